"""Ready networks, sized by `width`, and what to read from them."""

from tfgen.networks.dcgan import dcgan_discriminator, dcgan_generator
from tfgen.networks.features import feature_maps, pooled_features
from tfgen.networks.mlp import mlp

__all__ = ["dcgan_discriminator", "dcgan_generator", "feature_maps", "mlp", "pooled_features"]
