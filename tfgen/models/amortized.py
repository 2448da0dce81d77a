"""Latent variable models that are assembled from an encoder, a posterior family, a prior, a decoder and a likelihood."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfgen.distributions import (
    DiagonalGaussian,
    Likelihood,
    Posterior,
    Prior,
    StandardNormal,
    default_likelihood,
)
from tfgen.errors import InputError
from tfgen.models.first_batch import FirstBatchModel
from tfgen.models.generative import ensure_network
from tfgen.models.latent import LatentVariableModel
from tfgen.models.players import Batch
from tfgen.networks import begin_at, conditional_mlp
from tfgen.optimizers import Adam
from tfgen.specs import Images, Labels, Points


class AmortizedModel(FirstBatchModel, LatentVariableModel):
    r"""A latent variable model whose posterior an encoder gives for each example (Kingma & Welling 2014).

    .. math:: q(z|x) = Q(encoder(x)), \quad p(x|z) = P(decoder(z))

    Every part can be replaced. With classes the encoder takes `[x, c]` with one-hot c, and the decoder a code with c
    behind it, `(batch, latent_size + count)`; the prior stays p(z). A model that is given something else says in
    `condition` what c is.

    Training begins with a decoder that answers with the average of the first batch, whatever the code is (as Burda et
    al. 2016 do): until its biases have grown to that, which takes thousands of steps, codes seem to be of little use, and
    most latents fall back on the prior for good.

    Arguments:
        example: pictures, or points.
        latent_size: of z.
        hidden: widths of the encoder's hidden layers, for a perceptron; the decoder mirrors them.
        encoder: what networks see of examples to the posterior's numbers; a perceptron unless given.
        decoder: codes to the likelihood's numbers `(batch, height, width, channels * parameters)`, or `(batch, size *
            parameters)` for points; a perceptron unless given.
        posterior: family of q(z|x); a diagonal Gaussian unless given.
        prior: p(z); the standard normal distribution unless given.
        likelihood: p(x|z); Bernoulli for binary pictures, the discretized logistic for others, and a Gaussian with a
            learned scale for points, unless given.
        label: classes that the model is conditional on.
        condition_size: of c; the number of classes unless given.
        kwargs: as of `LatentVariableModel`.
    """

    def __init__(
        self,
        *,
        example: Images | Points,
        latent_size: int,
        hidden: Sequence[int] = (),
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        posterior: Posterior | None = None,
        prior: Prior | None = None,
        likelihood: Likelihood | None = None,
        label: Labels | None = None,
        condition_size: int | None = None,
        **kwargs,
    ):
        super().__init__(example=example, label=label, **kwargs)
        entry = getattr(type(self), "entry", None)
        who, dtype = entry.id if entry else self.name, self.dtype_policy
        self.condition_size = (label.count if label else 0) if condition_size is None else condition_size
        if latent_size < 1:
            raise InputError(f"{who}: latent_size={latent_size}, expected at least 1")
        self.latent_size = latent_size
        self.p_x = likelihood or default_likelihood(example)
        self.p_x.check(example)
        self.q_z, self.p_z = posterior or DiagonalGaussian(), prior or StandardNormal()
        self.p_z.check(self.q_z)
        parts = ((self.q_z, (latent_size,)), (self.p_z, (latent_size, example)), (self.p_x, (example,)))
        for part, arguments in parts:
            if not part.built:
                part.build(*arguments)
                part.built = True
        *sides, channels = example.shape
        gives, numbers = (*sides, channels * self.p_x.parameters), (self.q_z.parameters(latent_size),)
        common = {"activation": "tanh", "dtype": dtype}
        # [0, 1], as these papers' perceptrons see pictures: with -1 in most places of most pictures every step of Adam
        # moves all weights of a unit together, far into where tanh is flat.
        first = [keras.layers.Rescaling(0.5, 0.5, dtype=dtype)] if isinstance(example, Images) else []
        self.encoder = encoder or conditional_mlp(
            example.shape, numbers, self.condition_size, hidden=hidden, first=first, name="encoder", **common
        )
        inputs = (latent_size + self.condition_size,)
        self.decoder = decoder or conditional_mlp(inputs, gives, 0, hidden=hidden[::-1], name="decoder", **common)
        ensure_network(who, "encoder", self._asked, example.shape, numbers)
        ensure_network(who, "decoder", self.decoder, inputs, gives)

    def condition(self, given) -> tf.Tensor:
        """Returns c, what networks are told of what is given, float32 `(batch, condition_size)`."""
        return tf.one_hot(given, self.label.count)

    def _asked(self, x, given=None) -> tf.Tensor:
        """Returns the encoder's answer to what networks see."""
        if not self.condition_size:
            return self.encoder(x, training=self.in_training)
        c = tf.zeros((tf.shape(x)[0], self.condition_size)) if given is None else self.condition(given)
        return self.encoder([x, c], training=self.in_training)

    def _decoded(self, z, given=None) -> tf.Tensor:
        """Returns the decoder's answer to codes `(..., latent_size)`."""
        if self.condition_size:
            c = self.condition(given)
            z = tf.concat([z, tf.broadcast_to(c, tf.concat([tf.shape(z)[:-1], [self.condition_size]], 0))], -1)
        codes = tf.reshape(z, (-1, z.shape[-1]))  # importance samples stand before the batch
        parameters = self.decoder(codes, training=self.in_training)
        return tf.reshape(parameters, tf.concat([tf.shape(z)[:-1], parameters.shape[1:]], 0))

    def initialize(self, batch: Batch) -> None:
        average = self.p_x.average(batch[self.example.key], self.example)
        if average is not None:
            begin_at(self.decoder, average)

    def prior(self, given=None):
        return self.p_z(self.latent_size, lambda x: self.q_z(self._asked(x), self.latent_size))

    def posterior(self, x, given=None):
        return self.q_z(self._asked(self.example.to_network(x), given), self.latent_size)

    def likelihood(self, z, given=None):
        return self.p_x(self._decoded(z, given), self.example)

    def event(self, x, seed):
        return self.p_x.event(x, self.example, seed)

    def centre(self, q):
        return self.q_z.centre(q)

    def scale(self, q):
        return self.q_z.scale(q)

    def typical(self, p):
        return self.p_x.typical(p)

    def networks(self):
        return [self.encoder, self.decoder, self.p_x, self.q_z, self.p_z]

    def default_optimizers(self):
        return {"model": Adam(1e-3)}
