"""Losses of the adversarial game, functions of logits `(batch,)`; softplus(t) = log(1 + e^t)."""

import tensorflow as tf


def discriminator_cross_entropy(real, fake, target: float = 1.0) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Returns the two halves of the discriminator's loss, scalars in nats.

    .. math:: -E_p[\log \sigma(l)] - E_q[\log(1 - \sigma(l))] = E_p[softplus(-l)] + E_q[softplus(l)]

    At the optimum it is 2 log 2 - 2 JS(p, q) (Goodfellow et al. 2014, theorem 1).

    Arguments:
        real, fake: logits `(batch,)`.
        target: t of one-sided label smoothing (Salimans et al. 2016, section 3.4): the first half becomes
            E_p[t softplus(-l) + (1 - t) softplus(l)], and the best discriminator t p / (p + q).
    """
    on_real = tf.nn.softplus(-real)
    if target != 1.0:
        on_real += (1.0 - target) * real  # softplus(l) - softplus(-l) = l
    return tf.reduce_mean(on_real), tf.reduce_mean(tf.nn.softplus(fake))


def non_saturating(fake) -> tf.Tensor:
    r"""Returns the generator's loss with gradients where the discriminator wins (Goodfellow et al. 2014, section 3).

    .. math:: -E_q[\log \sigma(l)] = E_q[softplus(-l)]
    """
    return tf.reduce_mean(tf.nn.softplus(-fake))


def minimax(fake) -> tf.Tensor:
    r"""Returns the generator's loss of the zero-sum game (Goodfellow et al. 2014, eq. 1).

    .. math:: E_q[\log(1 - \sigma(l))] = -E_q[softplus(l)]
    """
    return -tf.reduce_mean(tf.nn.softplus(fake))


def least_squares(score, target: float) -> tf.Tensor:
    r"""Returns half of the mean squared distance to a target (Mao et al. 2017, eq. 2).

    .. math:: \frac{1}{2} E[(l - t)^2]
    """
    return 0.5 * tf.reduce_mean(tf.square(score - target))


def hinge(score, sign: float) -> tf.Tensor:
    r"""Returns the mean hinge loss of scores that should be beyond a margin of 1 on the side of `sign`.

    .. math:: E[\max(0, 1 - s l)]

    Over free functions the sum of both sides is least at l = sign(p - q), where it is 2 (1 - TV(p, q)).
    """
    return tf.reduce_mean(tf.nn.relu(1.0 - sign * score))


def margin_ranking(better, worse, margin: float) -> tf.Tensor:
    r"""Returns the mean hinge loss of pairs of scores whose first should exceed the second by a margin.

    .. math:: E[\max(0, b + m - a)]

    for the better score a and the worse b (Juefei-Xu et al. 2017): a pair beyond the margin counts nothing.
    """
    return tf.reduce_mean(tf.nn.relu(worse + margin - better))
