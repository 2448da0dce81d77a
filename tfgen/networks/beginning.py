"""Where networks begin."""

import math

import keras
import tensorflow as tf


def begin_at(network: keras.layers.Layer, answer: tf.Tensor) -> None:
    """Gives a network's last bias the value that the network should answer on average.

    A bias that is held, or has been trained already, stays; so does a network that ends without one. A bias for each
    channel gets the mean over all places.

    Arguments:
        network: whose last trainable weight is its bias; in a graph too.
        answer: float32, of the shape of an answer without the batch axis.
    """
    *_, bias = network.trainable_weights or [None]
    if bias is None or len(bias.shape) != 1 or bias.shape[0] not in (math.prod(answer.shape), answer.shape[-1]):
        return
    answer = tf.reduce_mean(tf.reshape(answer, (-1, bias.shape[0])), 0)
    fresh = tf.reduce_all(bias.value == 0.0)
    bias.assign(tf.where(fresh, tf.cast(answer, bias.dtype), bias.value))
