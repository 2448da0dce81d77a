"""How much the rate of a variational bound weighs in training."""

import dataclasses
import math

import keras
import tensorflow as tf

from tfgen.errors import InputError


@keras.saving.register_keras_serializable("tfgen")
@dataclasses.dataclass(frozen=True)
class RateWeight:
    r"""What a model descends for the rates R_g of its groups of latents, means over a batch, in nats.

    .. math:: \beta_t \sum_g \max(\lambda, R_g), \qquad \beta_t = \beta \min(1, t / T)

    or, with a capacity C in place of that, which grows along with it,

    .. math:: \gamma \Big| \sum_g \max(\lambda, R_g) - C \min(1, t / T) \Big|

    What `evaluate` calls the ELBO has weight 1 and no free bits.

    Arguments:
        beta: of the whole rate (Higgins et al. 2017).
        warm_up: T, steps over which the weight grows from 0 (Bowman et al. 2016; Sønderby et al. 2016), or the capacity.
        free_bits: lambda, nats of each group that cost nothing (Kingma et al. 2016, eq. 15).
        capacity: C, nats that the rate is held at (Burgess et al. 2018, eq. 8).
        gain: gamma, of the distance from the capacity.

    Raises:
        InputError: a negative number.
    """

    beta: float = 1.0
    warm_up: int = 0
    free_bits: float = 0.0
    capacity: float | None = None
    gain: float = 1000.0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and not (value >= 0.0 and math.isfinite(value)):
                raise InputError(f"RateWeight: {field.name}={value!r}, expected a number that is not negative")

    def __call__(self, rates, step) -> tf.Tensor:
        """Returns what is descended.

        Arguments:
            rates: nats of each example and group, `(batch, groups)`.
            step: t, int32; training counts from 1.
        """
        rates = tf.reduce_mean(rates, 0)
        rate = tf.reduce_sum(tf.maximum(rates, self.free_bits) if self.free_bits else rates)
        share = tf.minimum(1.0, tf.cast(step, tf.float32) / self.warm_up) if self.warm_up else 1.0
        if self.capacity is not None:
            return self.gain * tf.abs(rate - self.capacity * share)
        return self.beta * share * rate

    def get_config(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> "RateWeight":
        return cls(**config)
