"""Losses of discriminators that know classes, functions of logits `(batch, classes)`; p is their softmax."""

import tensorflow as tf


def entropy(logits) -> tf.Tensor:
    r"""Returns how unsure the class of each example is, in nats, `(batch,)`: 0 to log K.

    .. math:: H(p) = -\sum_k p_k \log p_k
    """
    log_p = tf.nn.log_softmax(logits)
    return -tf.reduce_sum(tf.exp(log_p) * log_p, -1)


def marginal_entropy(logits) -> tf.Tensor:
    r"""Returns how equally a batch is spread over the classes, in nats, a scalar: 0 to log K.

    .. math:: H(\bar p), \quad \bar p = \frac{1}{B} \sum_i p(x_i)

    It is the entropy of the mean; the mean of the entropies is smaller by the mutual information.
    """
    # The softmax of log p-bar, whose entropy it is, is p-bar itself.
    return entropy(tf.reduce_logsumexp(tf.nn.log_softmax(logits), 0))


def class_cross_entropy(logits, label) -> tf.Tensor:
    r"""Returns the mean over the examples whose class is known, in nats; 0 if there are none.

    .. math:: -\frac{1}{|\{i: y_i \ge 0\}|} \sum_{i: y_i \ge 0} \log p(x_i)_{y_i}

    Arguments:
        logits: `(batch, classes)`.
        label: integers `(batch,)`, negative where the class is not known.
    """
    known = label >= 0
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.maximum(label, 0), logits=logits)
    count = tf.reduce_sum(tf.cast(known, each.dtype))
    return tf.math.divide_no_nan(tf.reduce_sum(tf.where(known, each, 0.0)), count)


def activation_maximization(logits, target=None) -> tf.Tensor:
    r"""Returns the generator's loss that pulls each example to one class (Zhou et al. 2018).

    .. math:: -E_q[\log p_t], \qquad t = \arg\max_{k \le K} l_k \text{ unless given}

    Its gradient with respect to l_k is p_k - 1[k = t].

    Arguments:
        logits: `(batch, K + 1)`; the last is that of generated examples.
        target: t, integers 0..K-1 `(batch,)`.
    """
    if target is None:
        real, _ = tf.split(logits, [logits.shape[-1] - 1, 1], -1)
        target = tf.argmax(real, -1)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=target, logits=logits))


def label_gan(logits) -> tf.Tensor:
    r"""Returns the generator's loss that pulls each example to the classes together (Salimans et al. 2016).

    .. math:: -E_q[\log p_r], \qquad p_r = \sum_{k \le K} p_k

    Its gradient with respect to l_k is -(1 - p_r) p_k / p_r, in proportion to what the classes have already.

    Arguments:
        logits: `(batch, K + 1)`; the last is that of generated examples.
    """
    return tf.reduce_mean(tf.nn.softplus(-real_logit(logits)))


def real_logit(logits) -> tf.Tensor:
    r"""Returns the logit of being of any class rather than generated, `(batch,)`.

    .. math:: \log \frac{\sum_{k \le K} p_k}{p_{K+1}} = \log \sum_{k \le K} e^{l_k} - l_{K+1}

    Arguments:
        logits: `(batch, K + 1)`; the last is that of generated examples.
    """
    real, fake = tf.split(logits, [logits.shape[-1] - 1, 1], -1)
    return tf.reduce_logsumexp(real, -1) - tf.squeeze(fake, -1)


def feature_matching(real, fake) -> tf.Tensor:
    r"""Returns the squared distance of two batches' mean features (Salimans et al. 2016, section 3.1).

    .. math:: \|E_p[f(x)] - E_q[f(x)]\|_2^2

    Arguments:
        real, fake: features `(batch, features)`.
    """
    return tf.reduce_sum(tf.square(tf.reduce_mean(real, 0) - tf.reduce_mean(fake, 0)))
