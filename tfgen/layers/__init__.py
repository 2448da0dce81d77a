"""Layers that Keras lacks."""

from tfgen.layers.gated_conv import GatedConv2D
from tfgen.layers.masked_conv import MaskedConv2D

__all__ = ["GatedConv2D", "MaskedConv2D"]
