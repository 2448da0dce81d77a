"""Likelihoods of models with continuous codes by annealed importance sampling, and a check of them from both sides."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfgen.endpoints import make_seed
from tfgen.errors import InputError
from tfgen.models import Batch, LatentVariableModel

# The share of proposals that is accepted at the best step size (Wu et al. 2017, section 4), the step size that a pilot
# begins with, and by what power of e it changes per temperature and unit of acceptance.
_ACCEPTANCE, _FIRST_STEP, _GAIN = 0.65, 0.3, 0.1


@dataclasses.dataclass(frozen=True)
class AnnealedBound:
    """What annealed chains say of the likelihoods of examples.

    Attributes:
        log_weights: log w of each chain, nats, float64 `(chains, count)`; E[w] = p(x).
        acceptance: share of proposals that were accepted, float64 `(count,)`; nan if there was no transition.
    """

    log_weights: np.ndarray
    acceptance: np.ndarray

    @property
    def log_prob(self) -> np.ndarray:
        """Logarithm of the mean weight, float64 `(count,)`: on average a lower bound of log p(x)."""
        return _log_mean(self.log_weights)

    @property
    def effective_sample_size(self) -> np.ndarray:
        """(sum w)^2 / sum w^2, float64 `(count,)`: between 1 and the number of chains."""
        return np.exp(2.0 * _log_sum(self.log_weights) - _log_sum(2.0 * self.log_weights))


@dataclasses.dataclass(frozen=True)
class Sandwich:
    """Bounds of log p(x) from both sides, of examples that the model has drawn itself.

    Attributes:
        events: the examples as p(x|z) sees them, float32 `(count, ...)`.
        forward: chains from the prior, whose `log_prob` is a lower bound on average.
        backward: chains from the codes that the examples were made of, with E[w] = 1 / p(x).
    """

    events: np.ndarray
    forward: AnnealedBound
    backward: AnnealedBound

    @property
    def lower(self) -> np.ndarray:
        """Nats, float64 `(count,)`: on average no more than log p(x)."""
        return self.forward.log_prob

    @property
    def upper(self) -> np.ndarray:
        """Nats, float64 `(count,)`: on average no less than log p(x)."""
        return -self.backward.log_prob

    @property
    def gap(self) -> float:
        """Mean of upper less lower: how far, on average, either is from log p(x) at most, in nats."""
        return float(np.mean(self.upper - self.lower))


def sigmoid_betas(count: int, radius: float = 4.0) -> np.ndarray:
    r"""Returns inverse temperatures 0 = beta_0 < ... < beta_T = 1 that lie densest near both ends.

    .. math:: \beta_t = \frac{\sigma_t - \sigma_0}{\sigma_T - \sigma_0}, \qquad \sigma_t = \sigma(\rho (2 t / T - 1))

    Arguments:
        count: T, at least 1.
        radius: rho; the nearer to 0, the more even the steps.

    Returns:
        float64 `(count + 1,)`.
    """
    if count < 1:
        raise InputError(f"sigmoid_betas: {count} steps, expected at least 1")
    s = 1.0 / (1.0 + np.exp(-radius * np.linspace(-1.0, 1.0, count + 1)))
    return (s - s[0]) / (s[-1] - s[0])


def annealed_importance_sampling(
    model: LatentVariableModel,
    x,
    label=None,
    mask=None,
    *,
    betas: Sequence[float] | None = None,
    chains: int = 16,
    pilot_chains: int = 4,
    leapfrog_steps: int = 10,
    batch_size: int = 100,
    jit_compile: bool = False,
    seed=0,
) -> AnnealedBound:
    r"""Estimates log p(x) by chains that go from the prior to the posterior of the codes (Neal 2001; Wu et al. 2017).

    .. math::
        \log f_t(z) = \log p(z) + \beta_t \log p(x|z), \qquad
        \log w = \sum_{t=1}^T (\beta_t - \beta_{t-1}) \log p(x|z_{t-1})

    with z_0 from the prior, and z_t from z_{t-1} by a step of Hamiltonian Monte Carlo that leaves f_t as it is. Since
    E[w] = p(x), the logarithm of the mean weight is on average a lower bound, which rises with the number of temperatures
    and of chains. No encoder is needed.

    Step sizes are adapted to an acceptance of 0.65 by pilot chains, one for each example and temperature, and then held,
    so that each step leaves its f_t exactly as it is. Pictures with a density for a likelihood are dequantised by one draw.
    Averaged weights are used where there are any.

    Arguments:
        model: with codes of continuous numbers.
        x: uint8 levels `(count, height, width, channels)`, or float32 points `(count, size)`.
        label: int32 `(count,)`, for a conditional model.
        mask: float32, at least 0.5 where a number of an example is known, for a model of what is hidden given that, as
            `cvae`; what is bounded is then the likelihood of the hidden numbers.
        betas: 0 = beta_0 < ... < beta_T = 1; 1000 steps of `sigmoid_betas` unless given (the paper: 10 000).
        chains: of each example.
        pilot_chains: of each example, that step sizes are adapted with.
        leapfrog_steps: of each transition.
        batch_size: examples at once.
        jit_compile: whether XLA compiles the chains: on a CPU many times faster for networks that are tiny, and slower
            for others.
        seed: an int, or two int32.

    Raises:
        InputError: codes that are not continuous, betas that do not rise from 0 to 1, what is no example, or labels or a
            mask that are missing, too many, or of no use to the model.
    """
    annealing = _Annealing(model, betas, chains, pilot_chains, leapfrog_steps, batch_size, jit_compile)
    x = model.example.validate(x, "x")
    batch = annealing.batch(x, label, mask)
    found = []
    for part, of_part in annealing.parts(len(x), seed):
        of_event, of_pilot, of_chains = tf.unstack(tf.random.split(of_part, 3, alg="philox"))
        event, given = model.event(tf.constant(x[part]), of_event), annealing.given(batch, part)
        found.append(annealing.forward(event, given, annealing.pilot(event, given, of_pilot), of_chains))
    return _joined(found)


def bidirectional_monte_carlo(
    model: LatentVariableModel,
    count: int,
    label=None,
    mask=None,
    x=None,
    *,
    betas: Sequence[float] | None = None,
    chains: int = 16,
    pilot_chains: int = 4,
    leapfrog_steps: int = 10,
    batch_size: int = 100,
    jit_compile: bool = False,
    seed=0,
) -> Sandwich:
    r"""Bounds log p(x) of simulated examples from both sides (Grosse et al. 2015; Wu et al. 2017, section 4).

    For z drawn from the prior and x from p(x|z), z is a draw from the posterior of that x. The chains of
    `annealed_importance_sampling` that start there and go back to the prior have

    .. math:: \log w = \sum_{t=1}^T (\beta_{t-1} - \beta_t) \log p(x|z_t), \qquad E[w] = 1 / p(x)

    so that minus the logarithm of their mean weight is on average an upper bound. The gap between both says how far either
    is from the truth; for examples of the model, and for real ones as far as they are like those.

    Arguments:
        model: with codes of continuous numbers.
        count: of the examples.
        label: int32 `(count,)`, for a conditional model.
        mask: as of `annealed_importance_sampling`; what is hidden is simulated.
        x: examples `(count, ...)` of which only what is known matters, with a mask.
        betas: as of `annealed_importance_sampling`, like all else.
        chains: of each example, in each direction.
        pilot_chains: of each example.
        leapfrog_steps: of each transition.
        batch_size: examples at once.
        jit_compile: whether XLA compiles the chains.
        seed: an int, or two int32.

    Raises:
        InputError: as of `annealed_importance_sampling`.
    """
    annealing = _Annealing(model, betas, chains, pilot_chains, leapfrog_steps, batch_size, jit_compile)
    if x is not None:
        x = model.example.validate(x, "x")
    batch = annealing.batch(x, label, mask, count)
    events, forward, backward = [], [], []
    for part, of_part in annealing.parts(count, seed):
        of_simulation, of_pilot, of_forward, of_backward = tf.unstack(tf.random.split(of_part, 4, alg="philox"))
        given = annealing.given(batch, part)
        z, event = annealing.simulate(part.stop - part.start, given, of_simulation)
        sizes = annealing.pilot(event, given, of_pilot)
        events.append(event.numpy())
        forward.append(annealing.forward(event, given, sizes, of_forward))
        backward.append(annealing.backward(z, event, given, sizes, of_backward))
    return Sandwich(np.concatenate(events), _joined(forward), _joined(backward))


class _Annealing:
    """Chains of one model and one sequence of temperatures."""

    def __init__(
        self,
        model: LatentVariableModel,
        betas: Sequence[float] | None,
        chains: int,
        pilot_chains: int,
        leapfrog_steps: int,
        batch_size: int,
        jit_compile: bool,
    ):
        if not isinstance(model, LatentVariableModel):
            raise InputError(f"AIS: a {type(model).__name__}, expected a model with a prior and a likelihood of codes")
        numbers = {"chains": chains, "pilot_chains": pilot_chains, "leapfrog_steps": leapfrog_steps}
        for name, number in (numbers | {"batch_size": batch_size}).items():
            if number < 1:
                raise InputError(f"AIS: {name}: {number}, expected at least 1")
        betas = sigmoid_betas(1000) if betas is None else np.asarray(betas, np.float64)
        if betas.ndim != 1 or len(betas) < 2 or betas[0] != 0.0 or betas[-1] != 1.0 or (np.diff(betas) <= 0.0).any():
            raise InputError("AIS: betas rise from 0 to 1, both of them included")
        self.model, self.chains, self.pilot_chains = model, chains, pilot_chains
        self.leapfrog_steps, self.batch_size, self.jit_compile = leapfrog_steps, batch_size, jit_compile
        self.inner, self.rises = betas[1:-1].astype(np.float32), np.diff(betas)
        self._graph: tf.types.experimental.ConcreteFunction | None = None

    def parts(self, count: int, seed) -> Iterator[tuple[slice, tf.Tensor]]:
        """Yields where each part of so many examples is, and a seed for it."""
        if count < 1:
            raise InputError(f"AIS: {count} examples, expected at least 1")
        first = make_seed(seed)
        for index, start in enumerate(range(0, count, self.batch_size)):
            stop = min(start + self.batch_size, count)
            yield slice(start, stop), tf.random.fold_in(first, index, alg="philox")

    def batch(self, x, label, mask, count: int | None = None) -> Batch:
        """Returns what the model may be given, checked, as arrays; what of examples is unknown is 0.

        Arguments:
            x: examples that are checked already, or None.
            label, mask: of users.
            count: of the examples; that of `x` unless given.
        """
        model, count = self.model, len(x) if count is None else count
        specs = {spec.key: spec for spec in (model.specs | model.optional_specs).values()}
        taken = {key: spec for key, spec in specs.items() if key != model.example.key}
        told = {key: value for key, value in (("label", label), ("mask", mask)) if value is not None}
        if told.keys() != taken.keys():
            names = {"label": "labels", "mask": "a mask"}
            wanted = " and ".join(names.get(key, key) for key in sorted(taken)) or "neither labels nor a mask"
            entry = getattr(type(model), "entry", None)
            raise InputError(f"AIS: {entry.id if entry else model.name} is given {wanted}; pass that, and no other")
        if "mask" in taken and x is None:
            raise InputError("AIS: with a mask pass x too, of which what is known is looked at")
        batch = {key: taken[key].validate(value, key) for key, value in told.items()}
        batch[model.example.key] = np.zeros((count, *model.example.shape), np.float32) if x is None else x
        for key, value in batch.items():
            if len(value) != count:
                raise InputError(f"AIS: {len(value)} {key}s for {count} examples; pass one for each")
        return batch

    def given(self, batch: Batch, part: slice):
        """Returns what the model is given of a part of a batch."""
        return self.model.given({key: tf.constant(value[part]) for key, value in batch.items()})

    def simulate(self, count: int, given, seed) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns codes `(count, latent_size)` from the prior, and what p(x|z) makes of them."""
        of_z, of_x = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        with self.model.averaged_weights():
            z = self._draw(1, count, given, of_z)[0]
            return z, self.model.likelihood(z, given).sample(seed=of_x)

    def pilot(self, event, given, seed) -> tf.Tensor:
        """Returns step sizes `(transitions, batch)`, adapted on chains that are then forgotten."""
        none = tf.zeros((len(self.inner), len(event)))
        return self._up(self.pilot_chains, event, given, none, True, seed)[2]

    def forward(self, event, given, sizes, seed) -> AnnealedBound:
        """Follows chains from the prior to the posterior."""
        return _bound(*self._up(self.chains, event, given, sizes, False, seed))

    def backward(self, z, event, given, sizes, seed) -> AnnealedBound:
        """Follows chains from draws `z` of the posterior, `(batch, latent_size)`, to the prior."""
        z = tf.tile(z[None], (self.chains, 1, 1))
        betas, rises, sizes = self.inner[::-1], -self.rises[::-1], tf.reverse(sizes, [0])
        with self.model.averaged_weights():
            return _bound(*self._run(z, event, given, betas, rises, sizes, False, seed))

    def _up(self, chains: int, event, given, sizes, adapts: bool, seed):
        """Returns what `_path` does from the prior on."""
        of_start, of_chains = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        with self.model.averaged_weights():
            z = self._draw(chains, len(event), given, of_start)
            return self._run(z, event, given, self.inner, self.rises, sizes, adapts, of_chains)

    def _draw(self, chains: int, count: int, given, seed) -> tf.Tensor:
        """Returns codes from the prior, `(chains, count, latent_size)`."""
        prior = self.model.prior(given)
        return prior.sample((chains,) if prior.batch_shape.rank else (chains, count), seed=seed)

    def _run(self, *arguments) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns what `_path` does, from a graph that is traced once for all numbers of examples and chains."""
        arguments = tf.nest.map_structure(lambda one: None if one is None else tf.convert_to_tensor(one), arguments)
        if self._graph is None:
            steps = len(self.inner)
            z, event, given, *_ = arguments

            def any_number(one, axes: int = 1):
                return None if one is None else tf.TensorSpec((*[None] * axes, *one.shape[axes:]), one.dtype)

            specs = [
                any_number(z, 2), any_number(event), tf.nest.map_structure(any_number, given),
                tf.TensorSpec((steps,)), tf.TensorSpec((steps + 1,), tf.float64), tf.TensorSpec((steps, None)),
                tf.TensorSpec((), tf.bool), tf.TensorSpec((2,), tf.int32),
            ]  # fmt: skip
            path = tf.function(self._path, autograph=False, jit_compile=self.jit_compile)
            self._graph = path.get_concrete_function(*specs)
        return self._graph(*arguments)

    def _path(self, z, event, given, betas, rises, sizes, adapts, seed):
        """Weighs codes, moves them at the first temperature, weighs them again, and so on.

        Arguments:
            z: `(chains, batch, latent_size)`.
            event: where p(x|z) is evaluated.
            given: what the model is given with the examples, or None.
            betas: of each transition, float32 `(transitions,)`.
            rises: of beta, by which log p(x|z) is multiplied before each transition and after the last, float64
                `(transitions + 1,)`.
            sizes: of the leapfrog steps, float32 `(transitions, batch)`.
            adapts: whether they are found instead, bool.
            seed: int32 `(2,)`.

        Returns:
            log w, float64 `(chains, batch)`; mean acceptance, float64 `(batch,)`; the step sizes.
        """
        transitions = betas.shape[0]
        move = _Hamiltonian(self.model, event, given, self.leapfrog_steps)

        def step(index, state, log_w, accepted, size, kept):
            log_w += rises[index] * tf.cast(state[1], tf.float64)
            size = tf.where(adapts, size, sizes[index])
            state, chance = move(state, betas[index], size, tf.random.fold_in(seed, index, alg="philox"))
            chance = tf.reduce_mean(chance, 0)
            kept = kept.write(index, size)
            return index + 1, state, log_w, accepted + chance, size * tf.exp(_GAIN * (chance - _ACCEPTANCE)), kept

        nothing = tf.zeros_like(z[0, :, 0])
        start = (
            0, (z, *move.densities(z)), tf.zeros(tf.shape(z)[:2], tf.float64), nothing, nothing + _FIRST_STEP,
            tf.TensorArray(tf.float32, transitions, element_shape=nothing.shape),
        )  # fmt: skip
        _, state, log_w, accepted, _, kept = tf.while_loop(lambda index, *_: index < transitions, step, start)
        log_w += rises[-1] * tf.cast(state[1], tf.float64)
        return log_w, tf.cast(accepted, tf.float64) / transitions, kept.stack() if transitions else sizes


class _Hamiltonian:
    """Hamiltonian Monte Carlo on p(z) p(x|z)^beta.

    A state has codes, log p(x|z), log p(z), and the gradients of both: so it is good at any beta.
    """

    def __init__(self, model: LatentVariableModel, event, given, leapfrog_steps: int):
        self.model, self.event, self.leapfrog_steps = model, event, leapfrog_steps
        self.prior, self.given = model.prior(given), given

    def densities(self, z) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns log p(x|z), log p(z), and their gradients, for codes `(chains, batch, latent_size)`."""
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(z)
            log_likelihood = self.model.likelihood(z, self.given).log_prob(self.event)
            log_prior = self.prior.log_prob(z)
        slopes = [tape.gradient(log_density, z) for log_density in (log_likelihood, log_prior)]
        if any(slope is None for slope in slopes):
            raise InputError(f"AIS: the codes of {self.model.name} are not continuous; it has no other kind of chain")
        return log_likelihood, log_prior, *slopes

    def __call__(self, state, beta, size, seed) -> tuple[tuple, tf.Tensor]:
        """Returns the next state, and the chance that the proposal had, `(chains, batch)`."""
        of_momentum, of_choice = tf.unstack(tf.random.split(seed, 2, alg="philox"))
        momentum = tf.random.stateless_normal(tf.shape(state[0]), of_momentum, alg="philox")
        size = size[:, None]

        def energy(state, momentum):
            _, log_likelihood, log_prior, *_ = state
            return 0.5 * tf.reduce_sum(tf.square(momentum), -1) - beta * log_likelihood - log_prior

        def kicked(state, momentum):
            return momentum + 0.5 * size * (beta * state[3] + state[4])

        def leap(index, state, momentum):
            momentum = kicked(state, momentum)
            z = state[0] + size * momentum
            state = (z, *self.densities(z))
            return index + 1, state, kicked(state, momentum)

        _, proposal, final = tf.while_loop(
            lambda index, *_: index < self.leapfrog_steps, leap, (0, state, momentum)
        )  # fmt: skip
        log_chance = energy(state, momentum) - energy(proposal, final)
        # A path that has left all bounds is never taken.
        log_chance = tf.where(tf.math.is_nan(log_chance), -np.inf, tf.minimum(log_chance, 0.0))
        uniform = tf.random.stateless_uniform(tf.shape(log_chance), of_choice, alg="philox")
        taken = uniform < tf.exp(log_chance)
        chosen = (
            tf.where(taken[..., None] if new.shape.rank == 3 else taken, new, old)
            for new, old in zip(proposal, state, strict=True)
        )
        return tuple(chosen), tf.exp(log_chance)


def _bound(log_w, acceptance, sizes) -> AnnealedBound:
    return AnnealedBound(log_w.numpy(), acceptance.numpy())


def _joined(parts: Sequence[AnnealedBound]) -> AnnealedBound:
    return AnnealedBound(*(np.concatenate([getattr(part, field.name) for part in parts], -1)
                           for field in dataclasses.fields(AnnealedBound)))  # fmt: skip


def _log_sum(log_w: np.ndarray) -> np.ndarray:
    return np.logaddexp.reduce(log_w, 0)


def _log_mean(log_w: np.ndarray) -> np.ndarray:
    return _log_sum(log_w) - np.log(len(log_w))
