"""Optimizers that Keras lacks, and Adam in one operation."""

import zlib

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfgen")
class Scaled(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule times a factor.

    Arguments:
        schedule: of learning rates.
        factor: at least 0.
    """

    def __init__(self, schedule, factor: float):
        super().__init__()
        self.schedule, self.factor = schedule, factor

    def __call__(self, step):
        return self.factor * self.schedule(step)

    def get_config(self):
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "factor": self.factor}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["factor"])


@keras.saving.register_keras_serializable("tfgen")
class Adam(keras.optimizers.Adam):
    """Adam as Keras has it, with the same arguments and state, one operation for each weight in place of a dozen.

    Each of the dozen reads and writes arrays of the size of the weight, which for perceptrons on a CPU takes about as
    long as the gradients.
    """

    def update_step(self, gradient, variable, learning_rate):
        if self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        m, v = self._momentums[index].value, self._velocities[index].value
        dtype = variable.dtype
        rate, done = (tf.cast(number, dtype) for number in (learning_rate, self.iterations))
        # Not cast: that would round them to float32 first.
        beta_1, beta_2, epsilon = (tf.constant(number, dtype) for number in (self.beta_1, self.beta_2, self.epsilon))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=beta_1 ** (done + 1.0),
            beta2_power=beta_2 ** (done + 1.0),
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
        )


@keras.saving.register_keras_serializable("tfgen")
class SGHMC(keras.optimizers.Optimizer):
    r"""Stochastic gradient Hamiltonian Monte Carlo: draws weights from exp(-U), where U is the loss.

    .. math:: v \leftarrow (1 - \alpha) v - \eta \nabla U + N(0, 2 \alpha \eta I), \qquad \theta \leftarrow \theta + v

    (T. Chen, E. Fox, C. Guestrin, "Stochastic Gradient Hamiltonian Monte Carlo", ICML 2014, eq. 15, without an estimate
    of the gradients' own noise). The loss has to be the whole potential: summed over the data, with the prior.

    Arguments:
        learning_rate: eta.
        friction: alpha, in (0, 1].
        seed: of the noise, with the optimizer's name; the same step draws the same noise, also when it is resumed.
        kwargs: as of every Keras optimizer.
    """

    def __init__(self, learning_rate=1e-6, friction: float = 0.1, seed: int = 0, name: str = "sghmc", **kwargs):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.friction, self.seed = friction, seed

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        rate, friction = (tf.cast(value, variable.dtype) for value in (learning_rate, self.friction))
        # Two players must not draw the same noise: their optimizers differ by name.
        key = tf.random.fold_in(tf.stack([self.seed, zlib.crc32(self.name.encode()) & 0x7FFFFFFF]), index, alg="philox")
        key = tf.random.fold_in(key, tf.cast(tf.convert_to_tensor(self.iterations), tf.int32), alg="philox")
        noise = tf.random.stateless_normal(variable.shape, key, dtype=variable.dtype, alg="philox")
        velocity = self._velocities[index]
        velocity.assign(
            (1.0 - friction) * velocity.value
            - rate * tf.cast(gradient, variable.dtype)
            + tf.sqrt(2.0 * friction * rate) * noise
        )
        variable.assign_add(velocity.value)

    def get_config(self):
        return super().get_config() | {"friction": self.friction, "seed": self.seed}
