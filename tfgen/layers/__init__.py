"""Layers that Keras lacks."""

from tfgen.layers.diagonal_lstm import DiagonalBiLSTM
from tfgen.layers.gated_conv import GatedConv2D
from tfgen.layers.masked_conv import MaskedConv2D
from tfgen.layers.masked_dense import MaskedDense

__all__ = [
    "DiagonalBiLSTM",
    "GatedConv2D",
    "MaskedConv2D",
    "MaskedDense",
]
