"""Layers that Keras lacks."""

from tfgen.layers.masked_conv import MaskedConv2D

__all__ = ["MaskedConv2D"]
