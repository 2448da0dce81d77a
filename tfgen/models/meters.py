"""Metrics that are not means."""

import keras
import tensorflow as tf

from tfgen.layers.vector_quantizer import perplexity


class ScalarMean(keras.metrics.Mean):
    """Weighted mean of scalars, with a fifth of the operations that Keras' has for values of any shape."""

    def update_state(self, values, sample_weight=1.0):
        weight = tf.cast(sample_weight, self.dtype)
        self.total.assign_add(tf.cast(values, self.dtype) * weight)
        self.count.assign_add(weight)


class Median(keras.metrics.Metric):
    """Median of positive figures of all examples seen, to one in a thousand.

    Counts of logarithmic bins, so that memory does not grow with the examples.
    """

    _BINS_PER_FACTOR_E, _REACH = 1000, 20.0

    def __init__(self, name: str):
        super().__init__(name=name, dtype="float32")
        self.counts = self.add_weight(
            name="counts", shape=(int(2 * self._REACH * self._BINS_PER_FACTOR_E),), initializer="zeros"
        )

    def update_state(self, values, sample_weight=None):
        place = (tf.math.log(tf.cast(values, tf.float32)) + self._REACH) * self._BINS_PER_FACTOR_E
        bins = tf.cast(tf.clip_by_value(tf.round(place), 0.0, self.counts.shape[0] - 1.0), tf.int32)
        self.counts.assign_add(tf.math.bincount(bins, minlength=self.counts.shape[0], dtype=tf.float32))

    def result(self):
        counts = tf.convert_to_tensor(self.counts)
        below = tf.reduce_sum(tf.cast(tf.cumsum(counts) < 0.5 * tf.reduce_sum(counts), tf.float32))
        return tf.exp(below / self._BINS_PER_FACTOR_E - self._REACH)


class ActiveUnits(keras.metrics.Metric):
    """How many latents say something of an example: Var_x(E_q[z_u]) > 0.01 (Burda et al. 2016, section 5.2)."""

    def __init__(self, name: str, size: int, threshold: float = 0.01):
        super().__init__(name=name, dtype="float64")
        self.threshold = threshold
        self.count = self.add_weight(name="count", initializer="zeros")
        self.mean = self.add_weight(name="mean", shape=(size,), initializer="zeros")
        self.square = self.add_weight(name="square", shape=(size,), initializer="zeros")

    def update_state(self, values, sample_weight=None):
        values = tf.cast(values, tf.float64)
        count = tf.cast(tf.shape(values)[0], tf.float64)
        total = self.count + count
        mean = tf.reduce_mean(values, 0)
        delta = mean - self.mean
        square = tf.reduce_sum(tf.square(values - mean), 0)
        self.square.assign_add(square + tf.square(delta) * self.count * count / total)
        self.mean.assign_add(delta * count / total)
        self.count.assign(total)

    def result(self):
        variance = self.square / tf.maximum(self.count, 1.0)
        return tf.reduce_sum(tf.cast(variance > self.threshold, tf.float32))


class Perplexity(keras.metrics.Metric):
    """exp of the entropy of the codes of all examples seen: the size where all are used alike, 1 where one is."""

    def __init__(self, name: str, size: int):
        super().__init__(name=name, dtype="float32")
        self.counts = self.add_weight(name="counts", shape=(size,), initializer="zeros")

    def update_state(self, values, sample_weight=None):
        codes = tf.reshape(tf.cast(values, tf.int32), [-1])
        size = self.counts.shape[0]
        self.counts.assign_add(tf.math.bincount(codes, minlength=size, maxlength=size, dtype=tf.float32))

    def result(self):
        return perplexity(tf.convert_to_tensor(self.counts))
