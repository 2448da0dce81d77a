"""A PixelCNN as the likelihood of a decoder: pixels that know those before them, and what a code says of the picture."""

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions import Likelihood
from tfgen.errors import InputError
from tfgen.models.gated import GatedAutoregressiveModel
from tfgen.precision import full
from tfgen.specs import Images, Maps

tfd = tfp.distributions


@keras.saving.register_keras_serializable("tfgen")
class PixelCNNLikelihood(Likelihood):
    r"""The two stacks of Gated PixelCNN, conditional on a map f(z) that the decoder gives (Gulrajani et al. 2017).

    .. math:: p(x|z) = \prod_i p(x_i \mid x_{<i}, f(z))

    The shallower it is, the more is left to the code.

    Arguments:
        features: of the map, per channel.
        width: features of each stack, a multiple of the channels.
        depth: number of layers.
        kernel_size: n of the first layer; the others have 3.
        head_width: features of the layer before the softmax.
    """

    def __init__(self, features: int = 16, width: int = 32, depth: int = 4, kernel_size: int = 7, head_width: int = 32):
        super().__init__()
        self.parameters = features
        self.sizes = {"width": width, "depth": depth, "kernel_size": kernel_size, "head_width": head_width}
        if min(features, *self.sizes.values()) < 1:
            raise InputError(f"PixelCNN likelihood: features={features}, {self.sizes}, expected at least 1 of each")

    def check(self, example):
        if not isinstance(example, Images):
            raise InputError("PixelCNN likelihood: it is for pictures; points have the Gaussian likelihood")

    def build(self, example):
        *sides, channels = example.shape
        self.pixels = GatedAutoregressiveModel(
            example=example, map=Maps((*sides, channels * self.parameters)), dtype=self.dtype_policy, **self.sizes
        )

    def __call__(self, parameters, example):
        return _Pixels(self.pixels, full(parameters))

    def typical(self, p):
        """Returns pictures of which each channel is the median of its distribution, given those before it."""
        return p.transformed(tf.fill((1, *self.pixels.noise_shape), 0.5))

    def get_config(self):
        return {"features": self.parameters, **self.sizes}


class _Pixels(tfd.Distribution):
    """Pictures given maps `(..., height, width, features)`, float32 levels."""

    def __init__(self, pixels: GatedAutoregressiveModel, map, name: str = "Pixels"):
        parameters = dict(locals())
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )
        self._pixels, self._map = pixels, map
        self._flat = tf.reshape(map, (-1, *pixels.map.shape))

    def transformed(self, noise) -> tf.Tensor:
        """Returns what uniforms, `(1 or maps, height, width, draws, noise_size)`, make of each map."""
        noise = tf.broadcast_to(noise, tf.concat([tf.shape(self._flat)[:1], tf.shape(noise)[1:]], 0))
        drawn = tf.cast(self._pixels.sample_from_noise(noise, map=self._flat), tf.float32)
        return tf.reshape(drawn, tf.concat([tf.shape(self._map)[:-3], tf.shape(drawn)[1:]], 0))

    def _log_prob(self, x):
        batch = tf.broadcast_dynamic_shape(tf.shape(x)[:-3], tf.shape(self._map)[:-3])
        x, map = (
            tf.reshape(tf.broadcast_to(value, tf.concat([batch, shape], 0)), (-1, *shape))
            for value, shape in ((x, self._pixels.example.shape), (self._map, self._pixels.map.shape))
        )
        return tf.reshape(self._pixels.distribution(tf.cast(x, tf.int32), map=map).log_prob(x), batch)

    def _sample_n(self, n, seed=None):
        count = tf.shape(self._flat)[0]
        noise = tf.random.stateless_uniform(
            tf.concat([[n * count], self._pixels.noise_shape], 0), tfp.random.sanitize_seed(seed), alg="philox"
        )
        maps = tf.tile(self._flat, (n, 1, 1, 1))
        drawn = tf.cast(self._pixels.sample_from_noise(noise, map=maps), tf.float32)
        return tf.reshape(drawn, tf.concat([[n], tf.shape(self._map)[:-3], tf.shape(drawn)[1:]], 0))

    def _batch_shape(self):
        return self._map.shape[:-3]

    def _batch_shape_tensor(self, **parameters):
        return tf.shape(self._map)[:-3]

    def _event_shape(self):
        return tf.TensorShape(self._pixels.example.shape)

    def _event_shape_tensor(self, **parameters):
        return tf.constant(self._pixels.example.shape)
