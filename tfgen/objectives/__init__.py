"""Losses, penalties and divergences: small functions with their formula."""

from tfgen.objectives.adversarial import (
    discriminator_cross_entropy,
    hinge,
    least_squares,
    minimax,
    non_saturating,
)
from tfgen.objectives.divergences import Divergence, make_divergence
from tfgen.objectives.penalties import between, gradient_norms, gradient_penalty

__all__ = [
    "Divergence",
    "between",
    "discriminator_cross_entropy",
    "gradient_norms",
    "gradient_penalty",
    "hinge",
    "least_squares",
    "make_divergence",
    "minimax",
    "non_saturating",
]
