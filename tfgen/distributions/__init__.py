"""Distributions that tfp lacks, and likelihoods: what a decoder's numbers say about an example."""

from tfgen.distributions.discretized_logistic import DiscretizedLogistic
from tfgen.distributions.likelihoods import (
    BernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    Likelihood,
    default_likelihood,
)
from tfgen.distributions.logistic_mixture import DiscretizedLogisticMixture

__all__ = [
    "BernoulliLikelihood",
    "DiscretizedLogistic",
    "DiscretizedLogisticLikelihood",
    "DiscretizedLogisticMixture",
    "GaussianLikelihood",
    "Likelihood",
    "default_likelihood",
]
