"""Auto-encoders: an encoder and a decoder as one network."""

import keras

from tfgen.networks.dcgan import dcgan_discriminator, dcgan_generator
from tfgen.networks.mlp import mlp


@keras.saving.register_keras_serializable("tfgen")
class AutoEncoder(keras.Model):
    """A network that gives back its input, by way of a code.

    Arguments:
        encoder: any shape to a code.
        decoder: the code to the same shape.
    """

    def __init__(self, encoder: keras.Model, decoder: keras.Model, **kwargs):
        super().__init__(**kwargs)
        self.encoder, self.decoder = encoder, decoder

    def call(self, x, training=None):
        """Returns what is restored of a batch, of its shape."""
        return self.decoder(self.encoder(x, training=training), training=training)

    def get_config(self) -> dict:
        parts = {"encoder": self.encoder, "decoder": self.decoder}
        return super().get_config() | {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects) for name in ("encoder", "decoder")
        }
        return cls(**{**config, **parts})


def dcgan_auto_encoder(
    shape: tuple[int, int, int],
    code_size: int,
    *,
    width: int = 64,
    dtype: str | keras.DTypePolicy | None = None,
) -> AutoEncoder:
    """Returns DCGAN's discriminator, with a code in place of the logit, followed by its generator.

    Arguments:
        shape: `(height, width, channels)` of pictures in [-1, 1]; what comes back is in [-1, 1] too.
        code_size: of the code.
        width: features next to the picture; they double at each halving of the side.
        dtype: its precision; Keras' current one unless given.

    Raises:
        InputError: the sides cannot be halved at least once to 4 pixels or more.
    """
    encoder = dcgan_discriminator(shape, width=width, outputs=code_size, dtype=dtype)
    return AutoEncoder(encoder, dcgan_generator(code_size, shape, width=width, dtype=dtype), name="auto_encoder")


def mlp_auto_encoder(
    shape: tuple[int, ...],
    code_size: int,
    *,
    hidden: tuple[int, ...],
    activation: str = "relu",
    dtype: str | keras.DTypePolicy | None = None,
) -> AutoEncoder:
    """Returns an auto-encoder of Dense layers, linear in its code and its output.

    Arguments:
        shape: of what is restored, without the batch axis.
        code_size: of the code.
        hidden: widths of the encoder's hidden layers; the decoder mirrors them.
        activation: of the hidden layers.
        dtype: its precision; Keras' current one unless given.
    """
    common = {"activation": activation, "dtype": dtype}
    encoder = mlp(shape, (code_size,), hidden=hidden, name="encoder", **common)
    decoder = mlp((code_size,), shape, hidden=hidden[::-1], name="decoder", **common)
    return AutoEncoder(encoder, decoder, name="auto_encoder")
