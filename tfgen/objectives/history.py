"""A penalty on weights that are far from what they have been on average."""

import keras
import tensorflow as tf

from tfgen.precision import steady_sum


class HistoricalAverage(keras.layers.Layer):
    r"""Historical averaging (Salimans et al. 2016, section 3.3).

    .. math:: \left\|\theta - \frac{1}{t} \sum_{i=1}^t \theta[i]\right\|^2

    The averages are weights of this layer, so that they are saved with the model that it is an attribute of.

    Arguments:
        network: whose trainable weights these are; it is built, and its present weights are the first of the history.
    """

    def __init__(self, network: keras.layers.Layer, **kwargs):
        super().__init__(trainable=False, **kwargs)
        same = {"dtype": "float32", "trainable": False, "aggregation": "only_first_replica"}  # on all replicas
        self.count = self.add_weight(shape=(), initializer="ones", name="count", **same)
        pairs = []
        for index, weight in enumerate(network.trainable_weights):
            mean = self.add_weight(shape=weight.shape, initializer="zeros", name=f"mean_{index}", **same)
            mean.assign(weight)
            pairs.append((weight, mean))
        # Not tracked by Keras: the weights belong to the network.
        object.__setattr__(self, "_pairs", tuple(pairs))
        self.built = True

    def penalty(self) -> tf.Tensor:
        """Returns the squared distance of the present weights to their average, a scalar."""
        return steady_sum(tf.reduce_sum(tf.square(weight.value - mean.value)) for weight, mean in self._pairs)

    def update(self) -> None:
        """Counts the present weights in."""
        self.count.assign_add(1.0)
        for weight, mean in self._pairs:
            mean.assign_add((weight.value - mean.value) / self.count.value)
