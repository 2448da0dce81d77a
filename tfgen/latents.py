"""What lies between, beside and beyond the codes of examples: interpolation, arithmetic, traversals, features.

`traverse`, `interpolate` and `arithmetic` take examples, which the model's `encode` turns into codes, or with `encoded=True`
codes themselves. Codes become examples again by its `decode`, or by the `generate` of a generator, whose codes have no
encoder. At most `batch_size` codes are decoded at once. Not all of this has a meaning for discrete codes:

- Codes that are indices (`vq_vae`) are names. There is nothing between two names, nor a sum of them; all three refuse.
- Codes that are one-hot vectors (`gumbel_vae`) have between them the relaxed codes that the decoder was trained with, in
  straight lines. Arcs and sums leave these, and are refused; a traversal puts each variable through its classes.

What a conditional model is given beside examples and codes is passed by name, as to its endpoints: `label=`, an integer for
each example, or one for all.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow_probability as tfp

from tfgen.distributions.categorical import OneHots
from tfgen.endpoints import Input, Label
from tfgen.errors import InputError, unknown
from tfgen.models.lines import analogy, arc, straight

tfd = tfp.distributions

# Of a prior whose quantiles have no closed form; the probability of a tail of 5% is then off by 0.2% (a standard error).
_DRAWS = 2**14


def encode(model, x, /, *, batch_size: int = 256, **given) -> np.ndarray:
    """Returns the codes that stand for examples: of a posterior its centres.

    Arguments:
        model: offers `encode`.
        x: uint8 levels `(count, height, width, channels)`, or float32 points `(count, size)`.
        batch_size: examples at once.
        given: what the encoder is conditional on.

    Returns:
        float32 `(count, latent_size)`, int32 `(count, height, width)` where codes are indices, or what else the model's
        codes are.

    Raises:
        InputError: the model offers no `encode`, what is no example, or a condition that is missing or not asked for.
    """
    _require(model, "encode", "examples have no codes")
    _check_names(model, ["encode"], given)
    return _told(model, "encode", x, given, batch_size)


def decode(model, z, /, *, batch_size: int = 256, **given) -> np.ndarray:
    """Returns the examples that codes stand for: uint8 levels `(count, height, width, channels)`, or float32 points.

    Arguments:
        model: offers `decode`, or `generate`.
        z: codes `(count, ...)`.
        batch_size: codes at once.
        given: what the decoder is conditional on.

    Raises:
        InputError: the model offers neither, what is no code of it, or a condition that is missing or not asked for.
    """
    decoder = _decoder(model)
    _check_names(model, [decoder], given)
    z = _checked(model, decoder, z)
    return _decoded(
        model, decoder, z.shape[:1], lambda at: z[at], _conditions(model, decoder, given, len(z)), batch_size
    )


def traverse(
    model,
    x,
    /,
    *,
    latents: Sequence[int] | None = None,
    steps: int | None = None,
    deviations: Sequence[float] | None = None,
    encoded: bool = False,
    batch_size: int = 256,
    **given,
) -> np.ndarray:
    """Decodes codes of which one latent after the other is changed, while the others stay (Higgins et al. 2017, section 4).

    A latent goes through the quantiles (i + 1/2) / steps of its prior, i = 0, 1, ..., which lie evenly in probability; where
    they have no closed form they are those of 16384 draws. One-hot codes have a variable in place of each latent, which
    goes through its classes. What the likelihood does not see changes nothing: in a ladder all latents but z_1's.

    Arguments:
        model: offers `encode` and `decode`; with `encoded` one of `decode` and `generate`.
        x: examples `(batch, ...)`, whose codes are changed.
        latents: those to change; all unless given.
        steps: values of each latent; 9 unless given.
        deviations: in place of quantiles, values in standard deviations of the prior from its mean.
        encoded: whether `x` are codes.
        batch_size: codes at once.
        given: what the model is conditional on.

    Returns:
        uint8 levels, or float32 points, `(batch, latents, steps, ...)`.

    Raises:
        InputError: the model does not offer that, codes that are indices, latents that there are not, or values asked for
            where there are classes.
    """
    decoder, (z,) = _codes(model, [x], given, encoded, batch_size, "traversal")
    given, classes = _conditions(model, decoder, given, len(z)), _classes(model)
    count = z.shape[-1] // (classes or 1)
    chosen = np.arange(count) if latents is None else np.asarray(latents)
    if (
        chosen.ndim != 1
        or chosen.dtype.kind not in "iu"
        or not chosen.size
        or chosen.min() < 0
        or chosen.max() >= count
    ):
        raise InputError(f"latents: {latents}, expected some of 0..{count - 1}")
    if not classes:
        values = _values(model, decoder, steps, deviations, given, len(z))
    elif steps is None and deviations is None:
        values = np.broadcast_to(np.eye(classes, dtype=np.float32)[:, None, None], (classes, 1, count, classes))
    else:
        raise InputError(
            f"traverse: variables of {_name(model)} go through their classes; leave steps and deviations out"
        )
    # A prior without conditions has the same values for all examples.
    values = np.broadcast_to(values, (len(values), len(z), *values.shape[2:]))

    def changed(example, latent, step):
        codes, latent = z[example].reshape(len(example), count, -1), chosen[latent]
        codes[np.arange(len(example)), latent] = values[step, example, latent]
        return codes.reshape(len(example), -1)

    return _decoded(model, decoder, (len(z), len(chosen), len(values)), changed, given, batch_size)


def interpolate(
    model,
    start,
    stop,
    /,
    *,
    steps: int = 8,
    spherical: bool = False,
    encoded: bool = False,
    batch_size: int = 256,
    **given,
) -> np.ndarray:
    """Decodes the codes between those of two examples, for each pair.

    Arguments:
        model: offers `encode` and `decode`; with `encoded` one of `decode` and `generate`.
        start: examples `(batch, ...)` at one end.
        stop: examples `(batch, ...)` at the other end.
        steps: number of examples, ends included.
        spherical: whether lines are arcs around the origin at even angles, rather than straight.
        encoded: whether `start` and `stop` are codes.
        batch_size: codes at once.
        given: what the model is conditional on: the same for both ends and for all that is between. Ends of different
            classes are for `encode`.

    Returns:
        uint8 levels, or float32 points, `(batch, steps, ...)`.

    Raises:
        InputError: the model does not offer that, numbers of examples that differ, codes that are indices, or arcs
            between one-hot codes.
    """
    decoder, (start, stop) = _codes(model, [start, stop], given, encoded, batch_size, "interpolation")
    if start.shape != stop.shape:
        raise InputError(f"interpolate: {len(start)} at the start and {len(stop)} at the stop, expected pairs")
    if spherical and _classes(model):
        raise InputError(f"interpolate: arcs leave the relaxed codes of {_name(model)}; leave spherical out")
    t = np.linspace(0.0, 1.0, _whole(steps, "steps"), dtype=np.float32)[:, None]
    line = arc if spherical else straight

    def between(pair, step):
        return np.asarray(line(start[pair], stop[pair], t[step]))

    given = _conditions(model, decoder, given, len(start))
    return _decoded(model, decoder, (len(start), len(t)), between, given, batch_size)


def arithmetic(model, a, b, c, /, *, encoded: bool = False, batch_size: int = 256, **given) -> np.ndarray:
    """Decodes mean(a) - mean(b) + mean(c), where each is a code's mean over several examples of a concept.

    Sums of single codes are unstable (Radford et al. 2016, section 6.3, who average three).

    Arguments:
        model: offers `encode` and `decode`; with `encoded` one of `decode` and `generate`.
        a: examples `(count, ...)` with the concept.
        b: examples `(count, ...)` of what is taken away.
        c: examples `(count, ...)` of what is added.
        encoded: whether `a`, `b` and `c` are codes.
        batch_size: examples at once.
        given: what the model is conditional on: a class for all examples and what comes out, or with `encoded` of that
            alone. Examples of different classes are for `encode`.

    Returns:
        uint8 levels, or float32 points, `(1, ...)`.

    Raises:
        InputError: the model does not offer that, or discrete codes.
    """
    for name, value in given.items():
        if not encoded and np.ndim(value):
            raise InputError(
                f"{name}: of shape {np.shape(value)}, expected one for all; or encode first, and say encoded=True"
            )
    decoder, codes = _codes(model, [a, b, c], given, encoded, batch_size, "arithmetic")
    if _classes(model):
        raise InputError(f"arithmetic: sums of one-hot vectors are no codes of {_name(model)}, nor relaxed ones")
    known = _kinds(model, decoder)
    return decode(model, analogy(*codes).numpy(), **{name: value for name, value in given.items() if name in known})


def features(model, x, /, *, batch_size: int = 256) -> np.ndarray:
    """Returns what a model knows of examples, as features for other tasks, float32 `(count, features)`.

    They are its codes; the codebook's vectors where codes are indices; or what else the model offers as `features`.

    Arguments:
        model: offers `encode` or `features`.
        x: uint8 levels `(count, height, width, channels)`, or float32 points `(count, size)`.
        batch_size: examples at once.

    Raises:
        InputError: the model offers neither, or has to be told the classes: features would give them away.
    """
    offered = model.endpoints()
    name = next((name for name in ("encode", "features") if name in offered), None)
    if name is None:
        raise InputError(f"{_name(model)}: offers neither encode nor features, but {', '.join(offered)}")
    if any(isinstance(kind, Label) for kind in _kinds(model, name).values()):
        raise InputError(f"{_name(model)}: its {name} is told the class, which features would give away")
    told = _told(model, name, x, {}, batch_size)
    if told.dtype.kind == "i":
        with model.averaged_weights():
            told = model.quantizer.lookup(told).numpy()
    return told.reshape(len(told), -1)


def _name(model) -> str:
    entry = getattr(type(model), "entry", None)
    return entry.id if entry else model.name


def _require(model, name: str, so: str) -> None:
    offered = model.endpoints()
    if name not in offered:
        raise InputError(f"{_name(model)}: offers no {name}, so {so}; it offers {', '.join(offered)}")


def _decoder(model) -> str:
    """Returns which endpoint turns codes into examples."""
    offered = model.endpoints()
    if "generate" in offered and "decode" not in offered:
        return "generate"
    _require(model, "decode", "codes have no examples")
    return "decode"


def _codes(
    model, batches: list, given: dict, encoded: bool, batch_size: int, what: str
) -> tuple[str, list[np.ndarray]]:
    """Returns which endpoint decodes, and the batches as codes `(batch, latent_size)` that can be calculated with."""
    decoder = _decoder(model)
    if next(iter(model.endpoints()[decoder].parameters(model).values())).dtype.is_integer:
        raise InputError(f"{_name(model)}: its codes are names, whose numbers say nothing; there is no {what} of them")
    _check_names(model, [decoder] if encoded else ["encode", decoder], given)
    if encoded:
        return decoder, [_checked(model, decoder, z) for z in batches]
    _require(model, "encode", "pass codes, with encoded=True")
    _require(model, "decode", "what it encodes has no examples")
    return decoder, [_told(model, "encode", x, given, batch_size) for x in batches]


def _checked(model, decoder: str, z) -> np.ndarray:
    """Returns codes as what decodes them takes them."""
    parameter, kind = next(iter(model.endpoints()[decoder].inputs.items()))
    z = kind.convert(z, model, parameter)
    if not len(z):
        raise InputError(f"{parameter}: no codes")
    return z


def _kinds(model, endpoint: str) -> dict[str, Input]:
    """Returns the inputs of an endpoint behind the first, none for one that is not offered."""
    mark = model.endpoints().get(endpoint)
    return {name: kind for name, kind in list(mark.inputs.items())[1:] if kind.applies(model)} if mark else {}


def _check_names(model, endpoints: list[str], given: dict) -> None:
    known = {name for endpoint in endpoints for name in _kinds(model, endpoint)}
    for name in given:
        if name not in known:
            raise InputError(f"{_name(model)}: {unknown('condition', name, known) if known else f'takes no {name}'}")


def _conditions(model, endpoint: str, given: dict, count: int) -> dict[str, np.ndarray]:
    """Returns what an endpoint takes beside examples, or codes, `(count, ...)` each."""
    found = {}
    for name, kind in _kinds(model, endpoint).items():
        value = given.get(name)
        value = np.full(count, value) if value is not None and not np.ndim(value) else value
        found[name] = kind.convert(value, model, name)
        if len(found[name]) != count:
            raise InputError(f"{name}: {len(found[name])} for {count} examples; pass one for each, or one for all")
    return found


def _classes(model) -> int | None:
    """Returns K where codes are one-hot vectors of size K, one behind the other."""
    family = getattr(model, "q_z", None)
    return family.classes if isinstance(family, OneHots) else None


def _whole(value, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name}: {value!r}, expected a whole number of at least 1")
    return int(value)


def _values(model, decoder: str, steps: int | None, deviations, given: dict, count: int) -> np.ndarray:
    """Returns what each latent goes through, float32 `(steps, batch, latents, 1)`; batch is 1 where it is all the same."""
    if deviations is None:
        steps = _whole(9 if steps is None else steps, "steps")
        places = (np.arange(steps, dtype=np.float32) + 0.5) / steps
    else:
        places = np.asarray(deviations, np.float32)
        if steps is not None or places.ndim != 1 or not places.size or not np.isfinite(places).all():
            raise InputError(f"deviations: {deviations}, expected a list of finite numbers, and no steps beside them")
    column = places[:, None]

    def of_one(prior) -> np.ndarray:
        if isinstance(prior, tfd.MultivariateNormalDiag):
            each = tfd.Normal(prior.mean(), prior.stddev())
        elif isinstance(prior, tfd.Independent):
            each = prior.distribution
        else:
            draws = prior.sample(_DRAWS, seed=(0, 0)).numpy().reshape(_DRAWS, -1)
            return np.quantile(draws, places, 0) if deviations is None else draws.mean(0) + column * draws.std(0)
        return (each.quantile(column) if deviations is None else each.mean() + column * each.stddev()).numpy()

    def prior_of(index: int) -> tfd.Distribution:
        if decoder == "generate":
            return model.latent_prior()
        spec, outer = model.example.tensor_spec(1), model.endpoints()[decoder].parameters(model)
        # Of a batch the examples come first; a prior knows of them what is given, if anything.
        batch = {spec.name: np.zeros(spec.shape, spec.dtype.as_numpy_dtype)}
        batch |= {outer[name].name: value[index : index + 1] for name, value in given.items()}
        return model.prior(model.given(batch))

    with model.averaged_weights():
        first = prior_of(0)
        priors = map(prior_of, range(count)) if first.batch_shape.rank else [first]
        return np.stack([of_one(prior) for prior in priors], 1)[..., None].astype(np.float32)


def _told(model, endpoint: str, x, given: dict, batch_size: int) -> np.ndarray:
    """Returns what an endpoint says of examples, in parts."""
    x = model.example.validate(x, "x")
    if not len(x):
        raise InputError("x: no examples")
    given, parts = _conditions(model, endpoint, given, len(x)), []
    for first in range(0, len(x), _whole(batch_size, "batch_size")):
        part = slice(first, first + batch_size)
        told = getattr(model, endpoint)(x[part], **{name: value[part] for name, value in given.items()})
        parts.append((told["mean"] if isinstance(told, dict) else told).numpy())
    return np.concatenate(parts)


def _decoded(
    model, endpoint: str, shape: tuple[int, ...], codes: Callable[..., np.ndarray], given: dict, batch_size: int
) -> np.ndarray:
    """Returns the examples at all places of a shape, in parts.

    Arguments:
        model, endpoint: what decodes.
        shape: of the answer, without that of an example.
        codes: gives codes `(count, ...)` for the places' indices along each axis, `(count,)`.
        given: conditions along the first axis.
        batch_size: codes at once.
    """
    parts = []
    for first in range(0, math.prod(shape), _whole(batch_size, "batch_size")):
        at = np.unravel_index(np.arange(first, min(first + batch_size, math.prod(shape))), shape)
        parts.append(
            getattr(model, endpoint)(codes(*at), **{name: value[at[0]] for name, value in given.items()}).numpy()
        )
    return np.concatenate(parts).reshape(*shape, *model.example.shape)
