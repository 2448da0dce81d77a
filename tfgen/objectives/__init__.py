"""Losses, penalties and divergences: small functions with their formula."""

from tfgen.objectives.adversarial import (
    discriminator_cross_entropy,
    hinge,
    least_squares,
    margin_ranking,
    minimax,
    non_saturating,
)
from tfgen.objectives.boosting import Reweighting, make_reweighting
from tfgen.objectives.classes import (
    activation_maximization,
    class_cross_entropy,
    entropy,
    feature_matching,
    label_gan,
    marginal_entropy,
    real_logit,
)
from tfgen.objectives.divergences import Divergence, make_divergence
from tfgen.objectives.history import HistoricalAverage
from tfgen.objectives.penalties import between, gradient_norms, gradient_penalty
from tfgen.objectives.repelling import pulling_away
from tfgen.objectives.weighting import advantages, effective_sample_size, importance_weights

__all__ = [
    "Divergence",
    "HistoricalAverage",
    "Reweighting",
    "activation_maximization",
    "advantages",
    "between",
    "class_cross_entropy",
    "discriminator_cross_entropy",
    "effective_sample_size",
    "entropy",
    "feature_matching",
    "gradient_norms",
    "gradient_penalty",
    "hinge",
    "importance_weights",
    "label_gan",
    "least_squares",
    "make_divergence",
    "make_reweighting",
    "margin_ranking",
    "marginal_entropy",
    "minimax",
    "non_saturating",
    "pulling_away",
    "real_logit",
]
