"""What the proofs of adversarial models share: a known pair of Gaussians, and the ring of eight modes."""

import keras
import numpy as np

import tfgen
from tfgen.data.mixtures import ring as make_ring
from tfgen.evaluation import ModeCoverage, mode_coverage
from tfgen.networks import mlp
from tfgen.networks.dcgan import batch_norm
from tfgen.specs import Points

# p = N(0, 1) is the data, q = N(1, 1.2**2) what the generator gives.
MEAN, DEVIATION = 1.0, 1.2
RING = make_ring()


def p(x):
    return np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)


def q(x):
    return p((x - MEAN) / DEVIATION) / DEVIATION


def integral(values_of) -> float:
    """Returns the integral of a function over the line, by a fine sum."""
    x = np.linspace(-14.0, 16.0, 200_001)
    return float(np.sum(values_of(x)) * (x[1] - x[0]))


def line(mean: float, deviation: float) -> keras.Model:
    """Returns the generator of a Gaussian, from a code of one number."""
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)], name="generator")
    network.set_weights([np.full((1, 1), deviation), np.full(1, mean)])
    return network


def discriminate(
    id: str, *, mean: float = MEAN, deviation: float = DEVIATION, rate: float = 2e-3, steps: int = 2000, **arguments
):
    """Returns a model whose discriminator was trained to tell N(0, 1) from N(mean, deviation**2)."""
    arguments = {"generator": line(mean, deviation), "discriminator": critic()} | arguments
    model = tfgen.create(id, example=Points(1), latent_size=1, seed=0, **arguments)
    falling = keras.optimizers.schedules.PolynomialDecay(rate, steps, 0.0)
    optimizers = {"discriminator": keras.optimizers.Adam(falling), "generator": keras.optimizers.SGD(0.0)}
    model.compile(optimizers, steps_per_execution=50)
    x = np.random.default_rng(0).normal(size=(steps * 256, 1)).astype(np.float32)
    model.fit(x, batch_size=256, epochs=1, verbose=0)
    return model


def critic() -> keras.Model:
    keras.utils.set_random_seed(0)
    return mlp((1,), (1,), hidden=(64, 64), activation="tanh", name="discriminator")


def measured(model, count: int = 400_000) -> dict[str, float]:
    """Returns the terms of a model on fresh points of N(0, 1)."""
    x = np.random.default_rng(1).normal(size=(count, 1)).astype(np.float32)
    return model.evaluate(x, batch_size=20_000, verbose=0, return_dict=True)


def weak_networks() -> dict[str, keras.Model]:
    """Returns a generator of points from one number and a discriminator, too small to learn the ring alone."""
    return {"generator": _weak(1, 32, 2, "relu"), "discriminator": _weak(2, 64, 1, "leaky_relu")}


def _weak(inputs: int, hidden: int, outputs: int, activation: str) -> keras.Model:
    # Biases too are random: if they were 0, all kinks of such a generator would be at the code 0.
    uniform = lambda fan_in: keras.initializers.RandomUniform(-(fan_in**-0.5), fan_in**-0.5)
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            *(
                keras.layers.Dense(units, act, kernel_initializer=uniform(fan_in), bias_initializer=uniform(fan_in))
                for units, act, fan_in in ((hidden, activation, inputs), (outputs, None, hidden))
            ),
        ]
    )


def digit_generator(latent_size: int) -> keras.Model:
    """Returns a perceptron from codes to 8x8 pictures in [-1, 1]."""
    common = {"hidden": (256, 256), "activation": "relu", "norm": batch_norm, "output_activation": "tanh"}
    return mlp((latent_size,), (8, 8, 1), name="generator", **common)


def on_the_ring(id: str, *, steps: int, rate: float = 1e-3, seed: int = 0, optimizer=None, **arguments):
    """Trains a model on the ring, and returns it with the coverage of 5000 of its samples.

    Arguments:
        id: of the model.
        steps: of the discriminator.
        rate: of Adam with the momenta 0.5 and 0.9, for both players.
        seed: of weights, noise and data.
        optimizer: in place of that.
        arguments: of the model.
    """
    keras.utils.set_random_seed(seed)
    model = tfgen.create(id, example=Points(2), latent_size=2, seed=seed, **arguments)
    adam = keras.optimizers.Adam(rate, beta_1=0.5, beta_2=0.9)
    model.compile(adam if optimizer is None else optimizer, steps_per_execution=50)
    model.fit(RING.sample(256 * steps, (seed,))[0], batch_size=256, epochs=1, verbose=0)
    return model, coverage(model.sample(5000, seed=1))


def coverage(points) -> ModeCoverage:
    return mode_coverage(points, RING.modes, RING.sigma)
