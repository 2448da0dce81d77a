"""Distributions that tfp lacks; likelihoods, posteriors and priors, of which latent variable models are made."""

from tfgen.distributions.categorical import OneHots, UniformOneHots
from tfgen.distributions.discretized_logistic import DiscretizedLogistic
from tfgen.distributions.flows import (
    GatedAutoregressive,
    HouseholderFlow,
    InverseAutoregressiveFlow,
    Planar,
    PlanarFlow,
)
from tfgen.distributions.hierarchy import Hierarchy, merge
from tfgen.distributions.likelihoods import (
    BernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    Likelihood,
    default_likelihood,
)
from tfgen.distributions.logistic_mixture import DiscretizedLogisticMixture
from tfgen.distributions.posteriors import DiagonalGaussian, FullCovarianceGaussian, Posterior
from tfgen.distributions.priors import Prior, StandardNormal, VampPrior

__all__ = [
    "BernoulliLikelihood",
    "DiagonalGaussian",
    "DiscretizedLogistic",
    "DiscretizedLogisticLikelihood",
    "DiscretizedLogisticMixture",
    "FullCovarianceGaussian",
    "GatedAutoregressive",
    "GaussianLikelihood",
    "Hierarchy",
    "HouseholderFlow",
    "InverseAutoregressiveFlow",
    "Likelihood",
    "OneHots",
    "Planar",
    "PlanarFlow",
    "Posterior",
    "Prior",
    "StandardNormal",
    "UniformOneHots",
    "VampPrior",
    "default_likelihood",
    "merge",
]
