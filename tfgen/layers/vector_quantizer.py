"""A codebook: each vector is replaced by the nearest of K codes."""

import keras
import tensorflow as tf

from tfgen import replicas
from tfgen.errors import InputError


@keras.saving.register_keras_serializable("tfgen")
class VectorQuantizer(keras.layers.Layer):
    r"""Vector quantisation with a straight-through gradient (van den Oord, Vinyals & Kavukcuoglu 2017, eq. 1 to 3).

    .. math:: k(z) = argmin_j \|z - e_j\|^2, \qquad z_q = e_{k(z)} + z - sg(z)

    so that the gradient with respect to z is that with respect to z_q (sg: no gradient). The codes e_j follow the
    vectors by moving averages (appendix A.1) of how many, and which, are nearest to them,

    .. math::
        N_j \leftarrow \gamma N_j + (1 - \gamma) n_j, \quad m_j \leftarrow \gamma m_j + (1 - \gamma) \sum_{k(z)=j} z,
        \quad e_j = m_j / \tilde N_j, \quad \tilde N_j = \frac{N_j + \epsilon}{N + K \epsilon} N, \quad N = \sum_j N_j

    or, `by_gradient`, they descend `codebook_loss`. `initialize` takes the first codes from vectors, `update` moves the
    averages; both are for training alone, and who trains calls them. What they know is saved with the weights.

    Arguments:
        codes: K, at least 1.
        size: D, numbers of a code.
        by_gradient: whether codes are weights that a loss moves.
        decay: gamma, in [0, 1).
        epsilon: of the smoothed count.
        restart: a code that is used less than this share of the mean is put onto a random vector; 0 for never.

    Raises:
        InputError: sizes below 1, or a decay outside of [0, 1).
    """

    def __init__(
        self,
        codes: int,
        size: int,
        *,
        by_gradient: bool = False,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        restart: float = 0.01,
        **kwargs,
    ):
        # Half precision would take the differences between distances away: the layer computes as it stores.
        kwargs["dtype"] = keras.dtype_policies.get(kwargs.get("dtype")).variable_dtype
        super().__init__(autocast=False, **kwargs)
        if codes < 1 or size < 1:
            raise InputError(f"VectorQuantizer: {codes} codes of {size} numbers, expected at least 1 of each")
        if not 0.0 <= decay < 1.0:
            raise InputError(f"VectorQuantizer: decay {decay}, expected a number in [0, 1)")
        self.codes, self.size, self.by_gradient = codes, size, by_gradient
        self.decay, self.epsilon, self.restart = decay, epsilon, restart
        # Replicas assign the same: what follows of the vectors of all.
        common = {"aggregation": "only_first_replica"}
        self.codebook = self.add_weight(
            name="codebook", shape=(codes, size), initializer="random_normal", trainable=by_gradient, **common
        )
        common["trainable"] = False
        self.usage = self.add_weight(name="usage", shape=(codes,), initializer="ones", **common)
        if not by_gradient:
            self.sums = self.add_weight(name="sums", shape=(codes, size), initializer="zeros", **common)
            self.sums.assign(self.codebook)
        self.begun = self.add_weight(name="begun", shape=(), dtype="int32", initializer="zeros", **common)
        self.built = True

    def call(self, z):
        """Returns z_q, of the shape of z, `(..., size)`, in full precision."""
        return self.straight_through(z, self.nearest(z))

    def nearest(self, z) -> tf.Tensor:
        """Returns k(z), int32 `(...)`, of vectors `(..., size)`."""
        z, codebook = self._full(z), tf.convert_to_tensor(self.codebook)
        # From the codes' mean: far from it the squares would round off what they differ in.
        centre = tf.reduce_mean(codebook, 0)
        codebook = codebook - centre
        # The square of z is the same for all codes.
        distances = tf.reduce_sum(tf.square(codebook), 1) - 2.0 * tf.tensordot(z - centre, codebook, [[-1], [1]])
        return tf.argmin(distances, -1, tf.int32)

    def lookup(self, k) -> tf.Tensor:
        """Returns the codes `(..., size)` of indices `(...)`."""
        return tf.gather(tf.convert_to_tensor(self.codebook), k)

    def straight_through(self, z, k) -> tf.Tensor:
        """Returns the codes of indices `(...)`; their gradient goes to the vectors `(..., size)`, and not to the codes."""
        z = self._full(z)
        return tf.stop_gradient(self.lookup(k)) + (z - tf.stop_gradient(z))

    def codebook_loss(self, z, k) -> tf.Tensor:
        """Returns the squared distance of each vector from its code, `(...)`, which moves codes alone."""
        return tf.reduce_sum(tf.square(tf.stop_gradient(self._full(z)) - self.lookup(k)), -1)

    def commitment(self, z, k) -> tf.Tensor:
        """Returns the same, `(...)`, which moves vectors alone."""
        return tf.reduce_sum(tf.square(self._full(z) - tf.stop_gradient(self.lookup(k))), -1)

    def perplexity(self) -> tf.Tensor:
        """Returns exp of the entropy of the usage: K where all codes are used alike, 1 where a single one is."""
        return perplexity(tf.convert_to_tensor(self.usage))

    def initialize(self, z, seed) -> None:
        """Puts the codes onto random vectors, once; later calls do nothing.

        Arguments:
            z: vectors of one batch, `(..., size)`.
            seed: int32 `(2,)`.
        """
        vectors = tf.reshape(tf.stop_gradient(self._full(z)), (-1, self.size))

        def begin(vectors, seed) -> None:
            vectors = replicas.gather(vectors)
            self.codebook.assign(self._drawn(vectors, seed))
            k = self.nearest(vectors)
            self.usage.assign(self._counts(k))
            if not self.by_gradient:
                self.sums.assign(self.usage.value[:, None] * self.codebook.value)
            self.begun.assign(1)

        replicas.when(self.begun.value == 0, begin, vectors, replicas.shared(seed))

    def update(self, z, k, seed) -> None:
        """Moves the averages by one batch, and restarts codes that have fallen out of use.

        Arguments:
            z: vectors `(..., size)`.
            k: indices of their codes, int32 `(...)`.
            seed: int32 `(2,)`.
        """
        vectors, k = tf.reshape(tf.stop_gradient(self._full(z)), (-1, self.size)), tf.reshape(k, [-1])
        vectors, k, seed = replicas.gather(vectors), replicas.gather(k), replicas.shared(seed)
        usage = self.decay * self.usage.value + (1.0 - self.decay) * self._counts(k)
        total, codebook = tf.reduce_sum(usage), tf.convert_to_tensor(self.codebook)
        mean = total / self.codes
        fresh = self._drawn(vectors, seed)
        dead = (usage < self.restart * mean)[:, None]
        if not self.by_gradient:
            near = tf.math.unsorted_segment_sum(vectors, k, self.codes)
            sums = self.decay * self.sums.value + (1.0 - self.decay) * near
            smoothed = (usage + self.epsilon) * total / (total + self.codes * self.epsilon)
            # Without a vector for a long time, a smoothed code would go to zero.
            codebook = tf.where((usage > self.epsilon)[:, None], sums / smoothed[:, None], codebook)
            self.sums.assign(tf.where(dead, mean * fresh, sums))
        self.usage.assign(tf.where(dead[:, 0], mean, usage))
        self.codebook.assign(tf.where(dead, fresh, codebook))

    def _full(self, z) -> tf.Tensor:
        """Returns vectors in the precision of the codes."""
        return tf.cast(z, self.variable_dtype)

    def _counts(self, k) -> tf.Tensor:
        """Returns how many of the indices `(count,)` name each code, `(codes,)`."""
        return tf.math.unsorted_segment_sum(tf.ones_like(k, self.usage.dtype), k, self.codes)

    def _drawn(self, vectors, seed) -> tf.Tensor:
        """Returns a random vector for each code, each at most once while there are enough."""
        count = tf.shape(vectors)[0]
        order = tf.argsort(tf.random.stateless_uniform((count,), seed, alg="philox"))
        return tf.gather(vectors, tf.gather(order, tf.range(self.codes) % count))

    def get_config(self):
        own = ("codes", "size", "by_gradient", "decay", "epsilon", "restart")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


def perplexity(counts) -> tf.Tensor:
    """Returns exp of the entropy of shares: what counts `(codes,)` are of their sum."""
    shares = tf.math.divide_no_nan(counts, tf.reduce_sum(counts))
    return tf.exp(-tf.reduce_sum(tf.math.xlogy(shares, shares)))
