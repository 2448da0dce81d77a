"""A stream of gated resnets through several resolutions, one half of the network of PixelCNN++."""

from collections.abc import Callable

import keras
import tensorflow as tf

from tfgen.layers.gated_resnet import GatedResnet
from tfgen.layers.shifted_conv import ShiftedConv2D, ShiftedConv2DTranspose


class GatedStream(keras.layers.Layer):
    """One stream: gated resnets on the way down through the resolutions and, with shortcuts from there, on the way up.

    A level has half the height and width of the one before it.

    Arguments:
        filters: features in all layers.
        centred: whether the stream sees rows above only, with columns around the pixel, or also its own row to the
            left; then each resnet is fed a centred stream's feature of the same pixel and depth.
        resnets: on each level on the way down.
        levels: number of resolutions.
        label_count: number of classes, or 0.
    """

    def __init__(self, filters: int, *, centred: bool, resnets: int, levels: int, label_count: int = 0, **kwargs):
        super().__init__(**kwargs)
        fed, options = (0 if centred else 1), {"centred": centred, "dtype": self.dtype_policy}

        def resnet(name, auxiliary):
            layer = GatedResnet(filters, auxiliary=auxiliary, label_count=label_count, name=name, **options)
            layer.build()
            return layer

        def scaling(kind, name, **more):
            layer = kind(filters, (2, 3 if centred else 2), name=name, **options, **more)
            layer.build((None, None, None, filters))
            return layer

        self.down = [[resnet(f"{self.name}_down_{level}_{i}", fed) for i in range(resnets)] for level in range(levels)]
        # A shortcut comes from each feature on the way down but the one where the way up starts.
        counts = [resnets + 1] * (levels - 1) + [resnets]
        self.up = [
            [resnet(f"{self.name}_up_{level}_{i}", fed + 1) for i in range(count)] for level, count in enumerate(counts)
        ]
        self.shrink = [scaling(ShiftedConv2D, f"{self.name}_shrink_{i}", stride=2) for i in range(levels - 1)]
        self.grow = [scaling(ShiftedConv2DTranspose, f"{self.name}_grow_{i}") for i in range(levels - 1)]
        self.built = True

    def resnets(self, level: int) -> list[GatedResnet]:
        """Returns a level's resnets in the order in which they run."""
        return [*self.down[level], *self.up[level]]

    def run(self, level: int, x, apply: Callable, descend: Callable) -> tf.Tensor:
        """Runs a level.

        Arguments:
            level: 0 is the picture's size.
            x: the level's input.
            apply: from `(resnet, x, shortcuts)` to the resnet's output.
            descend: what the levels below it make of x, at the size of this one.
        """
        skipped = [x]
        for resnet in self.down[level]:
            x = apply(resnet, x, [])
            skipped.append(x)
        x = descend(x) if level < len(self.shrink) else skipped.pop()
        for resnet in self.up[level]:
            x = apply(resnet, x, [skipped.pop()])
        return x
