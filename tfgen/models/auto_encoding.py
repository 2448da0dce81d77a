"""Adversarial models whose discriminator is an auto-encoder."""

import abc

import tensorflow as tf

from tfgen.endpoints import Example, endpoint
from tfgen.errors import InputError
from tfgen.models.adversarial import AdversarialModel
from tfgen.networks import AutoEncoder
from tfgen.precision import full
from tfgen.specs import Images, Points


class AutoEncodingModel(AdversarialModel):
    """A generator of examples, and an auto-encoder that scores them by how badly it restores them.

    A model gives `loss_of`, the loss of what is restored; it is low where the auto-encoder has learned to, on data.

    Arguments:
        example: pictures, or points.
        discriminator: the auto-encoder, from what networks see of examples to the same.
        kwargs: as of `AdversarialModel`.

    Raises:
        InputError: the discriminator is no `AutoEncoder`, or does not give back the shape of examples.
    """

    has_boundary = False

    def __init__(self, *, example: Images | Points, discriminator: AutoEncoder, **kwargs):
        if not isinstance(discriminator, AutoEncoder):
            raise InputError(
                f"{type(self).__name__}: the discriminator is a {type(discriminator).__name__}; "
                "pass tfgen.networks.AutoEncoder(encoder, decoder)"
            )
        super().__init__(example=example, discriminator=discriminator, discriminator_shape=example.shape, **kwargs)

    @abc.abstractmethod
    def loss_of(self, x, restored) -> tf.Tensor:
        """Returns how far what was restored is from what networks see of examples, float32 `(batch,)`."""

    def codes(self, x) -> tf.Tensor:
        """Returns the codes of what networks see of examples, `(batch, ...)`."""
        return self.discriminator.encoder(x, training=self.in_training)

    def restore(self, codes) -> tf.Tensor:
        """Returns what the decoder makes of codes, float32."""
        return full(self.discriminator.decoder(codes, training=self.in_training))

    def score(self, x) -> tf.Tensor:
        """Returns the loss of what is restored of what networks see of examples, float32 `(batch,)`."""
        return self.loss_of(full(x), self.restore(self.codes(x)))

    def realness(self, score) -> tf.Tensor:
        return -score

    @endpoint(returns="code", x=Example())
    def encode(self, x):
        """Returns the auto-encoder's codes of examples, float32 `(batch, ...)`."""
        return full(self.codes(self.example.to_network(x)))

    @endpoint(returns="example", x=Example())
    def reconstruct(self, x):
        """Returns examples as the auto-encoder restores them: uint8 levels, or float32 points."""
        return self.example.from_network(self.restore(self.codes(self.example.to_network(x))))
