"""Ready networks, sized by `width`, and what to read from them."""

from tfgen.networks.auto_encoder import AutoEncoder, dcgan_auto_encoder, mlp_auto_encoder
from tfgen.networks.began import began_decoder, began_encoder
from tfgen.networks.beginning import begin_at
from tfgen.networks.bidirectional import BidirectionalBlock, BidirectionalResNet
from tfgen.networks.convolutional import conv_decoder, conv_encoder
from tfgen.networks.dcgan import dcgan_discriminator, dcgan_generator
from tfgen.networks.defaults import default_discriminator, default_generator
from tfgen.networks.features import feature_maps, pooled_features, with_hidden
from tfgen.networks.mixture import Mixture, copies
from tfgen.networks.mlp import conditional_mlp, mlp
from tfgen.networks.residual import residual_decoder, residual_encoder

__all__ = [
    "AutoEncoder",
    "BidirectionalBlock",
    "BidirectionalResNet",
    "Mixture",
    "began_decoder",
    "began_encoder",
    "begin_at",
    "conditional_mlp",
    "conv_decoder",
    "conv_encoder",
    "copies",
    "dcgan_auto_encoder",
    "dcgan_discriminator",
    "dcgan_generator",
    "default_discriminator",
    "default_generator",
    "feature_maps",
    "mlp",
    "mlp_auto_encoder",
    "pooled_features",
    "residual_decoder",
    "residual_encoder",
    "with_hidden",
]
