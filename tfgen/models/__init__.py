"""The abstract bases: what all models share, and what each family shares."""

from tfgen.models.adversarial import AdversarialModel
from tfgen.models.amortized import AmortizedModel
from tfgen.models.autoregressive import AutoregressiveModel
from tfgen.models.classifying import ClassifyingModel
from tfgen.models.exact import ExactLikelihoodModel
from tfgen.models.first_batch import FirstBatchModel
from tfgen.models.gated import GatedAutoregressiveModel
from tfgen.models.generative import GenerativeModel
from tfgen.models.latent import LatentVariableModel
from tfgen.models.pixel_likelihood import PixelCNNLikelihood
from tfgen.models.players import Batch, Player, Terms
from tfgen.models.rate import RateWeight
from tfgen.models.stages import Stage

__all__ = [
    "AdversarialModel",
    "AmortizedModel",
    "AutoregressiveModel",
    "Batch",
    "ClassifyingModel",
    "ExactLikelihoodModel",
    "FirstBatchModel",
    "GatedAutoregressiveModel",
    "GenerativeModel",
    "LatentVariableModel",
    "PixelCNNLikelihood",
    "Player",
    "RateWeight",
    "Stage",
    "Terms",
]
