"""Losses, penalties and divergences: small functions with their formula."""

from tfgen.objectives.adversarial import discriminator_cross_entropy, non_saturating

__all__ = ["discriminator_cross_entropy", "non_saturating"]
