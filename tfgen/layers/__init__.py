"""Layers that Keras lacks."""

from tfgen.layers.diagonal_lstm import DiagonalBiLSTM
from tfgen.layers.gated_conv import GatedConv2D
from tfgen.layers.masked_conv import MaskedConv2D
from tfgen.layers.masked_dense import MaskedDense
from tfgen.layers.row_lstm import RowLSTM
from tfgen.layers.running_hidden import RunningHidden

__all__ = [
    "DiagonalBiLSTM",
    "GatedConv2D",
    "MaskedConv2D",
    "MaskedDense",
    "RowLSTM",
    "RunningHidden",
]
