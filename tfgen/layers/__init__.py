"""Layers that Keras lacks."""

from tfgen.layers.diagonal_lstm import DiagonalBiLSTM
from tfgen.layers.gated_conv import GatedConv2D
from tfgen.layers.gated_resnet import GatedResnet
from tfgen.layers.masked_conv import MaskedConv2D
from tfgen.layers.masked_dense import MaskedDense
from tfgen.layers.minibatch_discrimination import MinibatchDiscrimination
from tfgen.layers.normalized_conv import NormalizedConv2D, NormalizedConv2DTranspose, OrderedConv2D
from tfgen.layers.row_lstm import RowLSTM
from tfgen.layers.running_hidden import RunningHidden
from tfgen.layers.shifted_conv import ShiftedConv2D, ShiftedConv2DTranspose
from tfgen.layers.spectral_norm import SpectralNorm, spectrally_normalized
from tfgen.layers.vector_quantizer import VectorQuantizer
from tfgen.layers.virtual_batch_normalization import VirtualBatch, VirtualBatchNormalization

__all__ = [
    "DiagonalBiLSTM",
    "GatedConv2D",
    "GatedResnet",
    "MaskedConv2D",
    "MaskedDense",
    "MinibatchDiscrimination",
    "NormalizedConv2D",
    "NormalizedConv2DTranspose",
    "OrderedConv2D",
    "RowLSTM",
    "RunningHidden",
    "ShiftedConv2D",
    "ShiftedConv2DTranspose",
    "SpectralNorm",
    "VectorQuantizer",
    "VirtualBatch",
    "VirtualBatchNormalization",
    "spectrally_normalized",
]
