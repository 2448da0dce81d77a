"""Hidden layer that runs along a vector: NADE's, for whole vectors and for one input at a time."""

import keras
import tensorflow as tf

from tfgen.layers.buffers import write
from tfgen.precision import full

# Inputs from which on XLA's compilation (seconds, once per size of batch) pays: it makes a step four times as fast.
_COMPILED_FROM = 400


@keras.saving.register_keras_serializable("tfgen")
class RunningHidden(keras.layers.Layer):
    r"""One hidden layer per conditional, all of them with the same weights (Larochelle & Murray 2011, eq. 3 and 4).

    .. math:: h_t = \sigma(c + \sum_{s<t} (x_{o_s} W_{o_s} + U_{o_s})), \quad y_{o_t} = b_{o_t} + V_{o_t} h_t

    in an order o. U is there if the layer `sees_mask`; it tells a zero from an input that is not known yet
    (Uria et al. 2014, section 4.1).

    The same `push` and `answer` make the walk of a whole batch of known vectors, `layer(x, order)`, and a step of a
    sampler. Memory does not grow with the walk, forward or backward: the gradient walks back by taking pushes back.

    Arguments:
        units: H.
        sees_mask: whether there is U.
    """

    def __init__(self, units: int, *, sees_mask: bool = False, **kwargs):
        # Sums over hundreds of inputs are not for half precision.
        super().__init__(autocast=False, **kwargs)
        self.units, self.sees_mask = units, sees_mask

    def build(self, input_shape, *order):
        size = input_shape[-1]

        def weight(name, shape, initializer="glorot_uniform"):
            return self.add_weight(name=name, shape=shape, initializer=initializer)

        self.kernel = weight("kernel", (size, self.units))
        self.hidden_bias = weight("hidden_bias", (self.units,), "zeros")
        self.mask_kernel = weight("mask_kernel", (size, self.units)) if self.sees_mask else None
        self.output_kernel = weight("output_kernel", (size, self.units))
        self.output_bias = weight("output_bias", (size,), "zeros")

    def step_weights(self) -> dict[str, tf.Tensor]:
        """Returns the weights for `start`, `push` and `answer`, at least float32."""
        weights = {"W": self.kernel, "c": self.hidden_bias, "V": self.output_kernel, "b": self.output_bias}
        if self.sees_mask:
            weights["U"] = self.mask_kernel
        return {name: full(tf.convert_to_tensor(weight)) for name, weight in weights.items()}

    def start(self, batch, weights: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the sums before any input, `(batch, units)`."""
        return tf.tile(weights["c"][None], (batch, 1))

    def push(self, sums, x, index, weights: dict[str, tf.Tensor], sign: float = 1.0) -> tf.Tensor:
        """Returns the sums with one more input.

        Arguments:
            sums: `(batch, units)`.
            x: value of the input, `(batch, 1)`.
            index: which it is, int32 `(batch,)`, or `(1,)` where it is the same for all.
            weights: from `step_weights`.
            sign: -1 takes the input back.
        """
        share = x * tf.gather(weights["W"], index)
        if self.sees_mask:
            share += tf.gather(weights["U"], index)
        return sums + sign * share

    def answer(self, sums, index, weights: dict[str, tf.Tensor]) -> tf.Tensor:
        """Returns the outputs `index` given what has been pushed, `(batch, 1)`."""
        rows, bias = tf.gather(weights["V"], index), tf.gather(weights["b"], index)
        return tf.reduce_sum(tf.sigmoid(sums) * rows, -1, keepdims=True) + bias[:, None]

    def call(self, x, order):
        """Computes all conditionals in one order.

        Arguments:
            x: `(batch, size)`.
            order: a permutation of 0..size-1, int32 `(size,)`.

        Returns:
            `(batch, size)`, each output at its own place.
        """
        weights = self.step_weights()
        bias = weights.pop("b")
        walk, walk_back = self._walk, self._walk_back
        if x.shape[-1] >= _COMPILED_FROM:
            walk, walk_back = (tf.function(f, jit_compile=True, autograph=False) for f in (walk, walk_back))

        def share(part: dict[str, tf.Tensor]) -> tf.Tensor:
            @tf.custom_gradient
            def outputs(*values):
                # Without a gradient of its own: XLA could not hand on the lists that it would be kept in.
                part = {name: tf.stop_gradient(value) for name, value in zip(names, values, strict=True)}
                y, sums = walk(x, order, part)

                def gradient(dy):
                    slopes = walk_back(x, order, part, sums, dy)
                    return [slopes[name] for name in names]

                return y, gradient

            names = sorted(part)
            return outputs(*(part[name] for name in names))

        # A walk keeps one core busy, so the units walk in two halves.
        halves = [{name: tf.split(weight, self._halves, -1)[at] for name, weight in weights.items()} for at in (0, 1)]
        return share(halves[0]) + share(halves[1]) + bias

    @property
    def _halves(self) -> list[int]:
        return [self.units // 2, self.units - self.units // 2]

    def _walk(self, x, order, weights):
        """Returns the outputs without bias, and the sums after the last input."""
        size, x = x.shape[-1], tf.transpose(x)[..., None]
        weights = {**weights, "b": tf.zeros(size, x.dtype)}

        def walk(t, sums, y):
            at = order[t]
            y = write(y, at, self.answer(sums, at[None], weights)[:, 0])
            return t + 1, self.push(sums, x[at], at[None], weights), y

        sums = self.start(tf.shape(x)[1], weights)
        _, sums, y = tf.while_loop(
            lambda t, *_: t < size, walk, (0, sums, tf.zeros_like(x[..., 0])), maximum_iterations=size
        )
        return tf.transpose(y), sums

    def _walk_back(self, x, order, weights, sums, dy):
        """Returns the gradients of the weights, given that of the outputs."""
        size, x, dy = x.shape[-1], tf.transpose(x)[..., None], tf.transpose(dy)

        def walk(t, sums, d_sums, d):
            at = order[t]
            # The input was pushed after its output was read: all that it moved lies in `d_sums`.
            d = {**d, "W": write(d["W"], at, tf.linalg.matvec(d_sums, x[at, :, 0], transpose_a=True))}
            if self.sees_mask:
                d["U"] = write(d["U"], at, tf.reduce_sum(d_sums, 0))
            sums = self.push(sums, x[at], at[None], weights, -1.0)
            h = tf.sigmoid(sums)
            d["V"] = write(d["V"], at, tf.linalg.matvec(h, dy[at], transpose_a=True))
            d_sums += h * (1.0 - h) * weights["V"][at] * dy[at][:, None]
            return t - 1, sums, d_sums, d

        d = {name: tf.zeros_like(weight) for name, weight in weights.items() if name != "c"}
        _, _, d_sums, d = tf.while_loop(
            lambda t, *_: t >= 0, walk, (size - 1, sums, tf.zeros_like(sums), d), maximum_iterations=size
        )
        return {**d, "c": tf.reduce_sum(d_sums, 0)}

    def given(self, x, known):
        """Computes all outputs given a set of inputs, by what a walk over that set would have summed.

        Arguments:
            x: `(batch, size)`.
            known: 1 where an input is known and 0 elsewhere, `(batch, size)`.

        Returns:
            `(batch, size)`; an output has a meaning where its input is not known.
        """
        weights = self.step_weights()
        sums = weights["c"] + tf.matmul(x * known, weights["W"])
        if self.sees_mask:
            sums += tf.matmul(known, weights["U"])
        return weights["b"] + tf.matmul(tf.sigmoid(sums), weights["V"], transpose_b=True)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "sees_mask": self.sees_mask}
