"""The two networks of adversarial models where nothing else is asked for: DCGAN's, or a perceptron for points."""

import functools
from collections.abc import Callable, Sequence

import keras

from tfgen.networks.dcgan import batch_norm, dcgan_discriminator, dcgan_generator
from tfgen.networks.mlp import mlp
from tfgen.specs import Images, Points


def default_generator(
    example: Images | Points,
    latent_size: int,
    *,
    width: int | None = None,
    hidden: Sequence[int] | None = None,
    norm: Callable[[], keras.layers.Layer] | None = None,
    dtype: str | keras.DTypePolicy | None = None,
) -> keras.Sequential:
    """Returns a network from codes to what networks see of examples.

    Arguments:
        example: pictures, or points.
        latent_size: of the code.
        width: features next to a picture (64 unless given), or of the two hidden layers for points (128).
        hidden: widths of a perceptron's hidden layers, for a perceptron in place of DCGAN's network.
        norm: makes a layer that stands in for batch normalisation, which only networks of pictures have.
        dtype: its precision; Keras' current one unless given.

    Raises:
        InputError: pictures whose sides DCGAN's networks cannot halve.
    """
    perceptron = {"activation": "relu", "name": "generator", "dtype": dtype}
    if not isinstance(example, Images):
        return mlp((latent_size,), example.shape, hidden=hidden or (width or 128,) * 2, norm=norm, **perceptron)
    if hidden is None:
        return dcgan_generator(latent_size, example.shape, width=width or 64, norm=norm, dtype=dtype)
    perceptron |= {"norm": norm or functools.partial(batch_norm, dtype), "output_activation": "tanh"}
    return mlp((latent_size,), example.shape, hidden=hidden, **perceptron)


def default_discriminator(
    example: Images | Points,
    scores: int = 1,
    *,
    width: int | None = None,
    hidden: Sequence[int] | None = None,
    normalize: bool = True,
    noise: float = 0.0,
    hidden_noise: float = 0.0,
    last: Sequence[keras.layers.Layer] = (),
    dtype: str | keras.DTypePolicy | None = None,
) -> keras.Sequential:
    """Returns a network from what networks see of examples to `scores` numbers.

    Arguments:
        example: pictures, or points.
        scores: how many numbers.
        width, hidden: as of `default_generator`.
        normalize: whether DCGAN's has batch normalisation.
        noise: standard deviation of the Gaussian noise that is added to examples in training.
        hidden_noise: of the noise behind the hidden layers.
        last: layers before the last one.
        dtype: its precision; Keras' current one unless given.

    Raises:
        InputError: pictures whose sides DCGAN's networks cannot halve.
    """
    common = {"noise": noise, "hidden_noise": hidden_noise, "last": last, "dtype": dtype}
    if isinstance(example, Images) and hidden is None:
        common |= {"width": width or 64, "outputs": scores, "normalize": normalize}
        return dcgan_discriminator(example.shape, **common)
    common |= {"hidden": hidden or (width or 128,) * 2, "activation": "leaky_relu", "name": "discriminator"}
    return mlp(example.shape, (scores,), **common)
