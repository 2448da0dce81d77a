"""Posterior families that transform a diagonal Gaussian."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.distributions.posteriors import Posterior
from tfgen.errors import InputError
from tfgen.layers import MaskedDense
from tfgen.precision import full

tfd, tfb = tfp.distributions, tfp.bijectors


class _Mapped(Posterior):
    """A diagonal Gaussian behind maps, of which there may be none.

    The code that stands for an example is what the maps make of the Gaussian's mean, and the scale is that of 256 draws.
    """

    maps: int

    def centre(self, q):
        return q.bijector.forward(q.distribution.mean()) if self.maps else super().centre(q)

    def scale(self, q):
        if not self.maps:
            return super().scale(q)
        # The same draws for all examples: none depends on those beside it.
        noise = tf.random.stateless_normal((256, 1, q.event_shape[0]), (0, 0), alg="philox")
        base = q.distribution
        return tf.math.reduce_std(q.bijector.forward(base.mean() + base.stddev() * noise), 0)


class Planar(tfb.Bijector):
    r"""f(z) = z + u' tanh(w^T z + b), with u' such that it can be inverted (Rezende & Mohamed 2015, eq. 10 and A.1).

    .. math::
        u' = u + (softplus(w^T u) - 1 - w^T u) \frac{w}{\|w\|^2}, \quad
        \log |\det f'| = \log |1 + (1 - \tanh^2(w^T z + b)) w^T u'|

    There is no inverse in closed form, and none here.

    Arguments:
        u: `(..., size)`.
        w: `(..., size)`.
        b: `(..., 1)`.
    """

    def __init__(self, u, w, b, name: str = "planar"):
        super().__init__(forward_min_event_ndims=1, parameters=dict(locals()), dtype=u.dtype, name=name)
        inner = tf.reduce_sum(w * u, -1, keepdims=True)
        square = tf.reduce_sum(tf.square(w), -1, keepdims=True)
        self._u = u + (tf.nn.softplus(inner) - 1.0 - inner) * tf.math.divide_no_nan(w, square)
        self._w, self._b = w, b

    def _slope(self, z) -> tf.Tensor:
        return tf.tanh(tf.reduce_sum(self._w * z, -1, keepdims=True) + self._b)

    def _forward(self, z):
        return z + self._u * self._slope(z)

    def _forward_log_det_jacobian(self, z):
        inner = tf.reduce_sum(self._w * self._u, -1)
        return tf.math.log(tf.abs(1.0 + (1.0 - tf.square(self._slope(z))[..., 0]) * inner))


@keras.saving.register_keras_serializable("tfgen")
class PlanarFlow(_Mapped):
    """A diagonal Gaussian behind planar maps, all of whose numbers the encoder gives (Rezende & Mohamed 2015).

    It knows the density of its own draws only. The code that stands for an example is what the maps make of the
    Gaussian's mean, and the scale is that of 256 draws.

    Arguments:
        maps: T.
    """

    has_density = False

    def __init__(self, maps: int = 4):
        super().__init__()
        self.maps = _count(self, maps)

    def parameters(self, latent_size):
        return 2 * latent_size + self.maps * (2 * latent_size + 1)

    def __call__(self, parameters, latent_size):
        mean, log_scale, *maps = tf.split(
            full(parameters), [latent_size] * 2 + [latent_size, latent_size, 1] * self.maps, -1
        )
        base = tfd.MultivariateNormalDiag(mean, tf.exp(log_scale))
        if not self.maps:
            return base
        steps = [Planar(*maps[3 * step : 3 * step + 3]) for step in range(self.maps)]
        return tfd.TransformedDistribution(base, tfb.Chain(steps[::-1]))

    def get_config(self):
        return {"maps": self.maps}


@keras.saving.register_keras_serializable("tfgen")
class HouseholderFlow(Posterior):
    r"""A diagonal Gaussian behind reflections (Tomczak & Welling 2016, eq. 13).

    .. math:: z_t = z_{t-1} - 2 \frac{v_t v_t^T}{\|v_t\|^2} z_{t-1}, \quad v_{t+1} = A_t v_t + a_t

    of which the encoder gives the first v. Reflections keep volumes, so that q is the Gaussian of U mu and
    U diag(sigma^2) U^T for their product U, and its density is known everywhere.

    Arguments:
        maps: T.
    """

    def __init__(self, maps: int = 1):
        super().__init__()
        self.maps = _count(self, maps)

    def build(self, latent_size):
        def weights(name: str, shape: tuple[int, ...], initializer: str) -> list[keras.Variable]:
            return [
                self.add_weight(name=f"{name}_{step}", shape=shape, initializer=initializer)
                for step in range(1, self.maps)
            ]

        self.kernels = weights("kernel", (latent_size, latent_size), "glorot_uniform")
        self.biases = weights("bias", (latent_size,), "zeros")

    def parameters(self, latent_size):
        return (3 if self.maps else 2) * latent_size

    def __call__(self, parameters, latent_size):
        mean, log_scale, *vector = tf.split(full(parameters), self.parameters(latent_size) // latent_size, -1)
        if not self.maps:
            return tfd.MultivariateNormalDiag(mean, tf.exp(log_scale))
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            kernel, bias = (full(tf.convert_to_tensor(weight)) for weight in (kernel, bias))
            vector.append(tf.matmul(vector[-1], kernel) + bias)
        # A reflection of no direction is none; a small number keeps it from being no number.
        reflections = [tf.linalg.LinearOperatorHouseholder(v + 1e-6) for v in vector]
        turned = mean
        for reflection in reflections:
            turned = reflection.matvec(turned)
        diagonal = tf.linalg.LinearOperatorDiag(tf.exp(log_scale), is_non_singular=True)
        return tfd.MultivariateNormalLinearOperator(
            turned, tf.linalg.LinearOperatorComposition([*reflections[::-1], diagonal], is_non_singular=True)
        )

    def get_config(self):
        return {"maps": self.maps}


class GatedAutoregressive(tfb.Bijector):
    r"""z' = s z + (1 - s) m, where s and m of a latent depend on latents before it (Kingma et al. 2016, algorithm 1).

    .. math:: s = sigmoid(a(z)), \quad \log |\det f'| = \sum_i \log s_i

    The inverse takes a pass per latent.

    Arguments:
        network: z, `(..., size)`, to m and a, each of that shape; the Jacobians are strictly triangular in some order.
        size: of z.
        dtype: of z.
    """

    def __init__(self, network: Callable, size: int, dtype=tf.float32, name: str = "gated_autoregressive"):
        super().__init__(forward_min_event_ndims=1, parameters=dict(locals()), dtype=dtype, name=name)
        self._network, self._size = network, size

    def _forward(self, z):
        m, a = self._network(z)
        return m + tf.sigmoid(a) * (z - m)

    def _forward_log_det_jacobian(self, z):
        return tf.reduce_sum(tf.math.log_sigmoid(self._network(z)[1]), -1)

    def _inverse(self, y):
        def pass_(z):
            m, a = self._network(z)
            return m + (y - m) / tf.sigmoid(a)

        # Each pass makes one more latent right, whatever the order is.
        return tf.while_loop(
            lambda *_: True, lambda z: (pass_(z),), (tf.zeros_like(y),), maximum_iterations=self._size
        )[0]


@keras.saving.register_keras_serializable("tfgen")
class InverseAutoregressiveFlow(_Mapped):
    r"""A diagonal Gaussian behind gated autoregressive maps (Kingma et al. 2016).

    .. math::
        z_t = \sigma(s_t) \odot z_{t-1} + (1 - \sigma(s_t)) \odot m_t, \quad
        \log q(z_T) = \log q(z_0) - \sum_{t,i} \log \sigma(s_{t,i})

    where masked layers (Germain et al. 2015) compute s_t and m_t of each latent from those before it and from a context h,
    which the encoder gives beside mu and log sigma. Every other map has the latents in reverse. Draws and their density take
    one pass; the density of any other code, and hence a mixture of such posteriors, takes one per latent and map.

    The code that stands for an example is what the maps make of the Gaussian's mean, and the scale is that of 256 draws.

    Arguments:
        maps: T.
        units: widths of the masked hidden layers.
        context: size of h.
    """

    # Near to 1 at first, so that the first maps of a training change little (section 4).
    _GATE = 1.5

    def __init__(self, maps: int = 2, units: Sequence[int] = (320,), context: int = 64):
        super().__init__()
        self.maps, self.units, self.context = _count(self, maps), tuple(units), context
        if context < 1 or not self.units or min(self.units) < 1:
            raise InputError(
                f"{type(self).__name__}: units={self.units}, context={context}, expected at least 1 of each"
            )

    def build(self, latent_size):
        self.masked, self.of_context = [], []
        for step in range(self.maps):
            widths = (*self.units, 2 * latent_size)
            masked = [
                MaskedDense(
                    width, strict=level == len(self.units), dtype=self.dtype_policy, name=f"masked_{step}_{level}"
                )
                for level, width in enumerate(widths)
            ]
            for layer, size in zip(masked, (latent_size, *self.units), strict=True):
                layer.build((None, size))
            told = keras.layers.Dense(self.units[0], use_bias=False, dtype=self.dtype_policy, name=f"context_{step}")
            told.build((None, self.context))
            self.masked.append(masked)
            self.of_context.append(told)

    def parameters(self, latent_size):
        return 2 * latent_size + (self.context if self.maps else 0)

    def __call__(self, parameters, latent_size):
        mean, log_scale, *context = tf.split(full(parameters), [latent_size] * 2 + [self.context] * bool(self.maps), -1)
        base = tfd.MultivariateNormalDiag(mean, tf.exp(log_scale))
        if not self.maps:
            return base
        steps = [
            GatedAutoregressive(self._network(step, context[0], latent_size), latent_size, mean.dtype)
            for step in range(self.maps)
        ]
        return tfd.TransformedDistribution(base, tfb.Chain(steps[::-1]))

    def _network(self, step: int, context, size: int) -> Callable:
        """Returns z -> m, a of one map, in which the context is worked out once for all draws."""
        told = self.of_context[step](context)
        order = tf.range(1, size + 1)
        if step % 2:
            order = order[::-1]
        # Degree 0 sees no latent, only the context.
        degrees = [order, *(tf.range(width) % size for width in self.units), tf.concat([order, order], 0)]

        def network(z):
            h = z
            for level, layer in enumerate(self.masked[step]):
                h = layer(h, degrees[level], degrees[level + 1])
                if level == 0:
                    h += told
                if level < len(self.units):
                    h = tf.nn.elu(h)
            m, a = tf.split(full(h), 2, -1)
            return m, a + self._GATE

        return network

    def get_config(self):
        return {"maps": self.maps, "units": list(self.units), "context": self.context}


def _count(layer: Posterior, maps: int) -> int:
    if maps < 0:
        raise InputError(f"{type(layer).__name__}: {maps} maps, expected 0 or more")
    return maps
