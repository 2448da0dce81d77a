"""Losses of the adversarial game, functions of logits `(batch,)`; softplus(t) = log(1 + e^t)."""

import tensorflow as tf


def discriminator_cross_entropy(real, fake) -> tuple[tf.Tensor, tf.Tensor]:
    r"""Returns the two halves of the discriminator's loss, scalars in nats.

    .. math:: -E_p[\log \sigma(l)] - E_q[\log(1 - \sigma(l))] = E_p[softplus(-l)] + E_q[softplus(l)]

    At the optimum it is 2 log 2 - 2 JS(p, q) (Goodfellow et al. 2014, theorem 1).
    """
    return tf.reduce_mean(tf.nn.softplus(-real)), tf.reduce_mean(tf.nn.softplus(fake))


def non_saturating(fake) -> tf.Tensor:
    r"""Returns the generator's loss with gradients where the discriminator wins (Goodfellow et al. 2014, section 3).

    .. math:: -E_q[\log \sigma(l)] = E_q[softplus(-l)]
    """
    return tf.reduce_mean(tf.nn.softplus(-fake))
