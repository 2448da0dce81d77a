"""Distributions that tfp lacks; likelihoods, posteriors and priors, of which latent variable models are made."""

from tfgen.distributions.categorical import Levels, OneHots, UniformOneHots
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
from tfgen.distributions.observed import Observed
from tfgen.distributions.posteriors import DiagonalGaussian, FullCovarianceGaussian, Posterior
from tfgen.distributions.priors import Prior, StandardNormal, VampPrior
from tfgen.distributions.top_down import AutoregressiveNormal, Descent, Memory, Rung, TopDown

__all__ = [
    "AutoregressiveNormal",
    "BernoulliLikelihood",
    "Descent",
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
    "Levels",
    "Likelihood",
    "Memory",
    "Observed",
    "OneHots",
    "Planar",
    "PlanarFlow",
    "Posterior",
    "Prior",
    "Rung",
    "StandardNormal",
    "TopDown",
    "UniformOneHots",
    "VampPrior",
    "default_likelihood",
    "merge",
]
