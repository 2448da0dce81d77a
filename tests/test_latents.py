"""Traversals, interpolation, arithmetic and features: on models whose codes are the examples, and on the whole zoo."""

import functools

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen
from tests.contract.conftest import small_arguments
from tfgen import latents
from tfgen.distributions import GaussianLikelihood, VampPrior
from tfgen.errors import InputError
from tfgen.models import AmortizedModel
from tfgen.registry import get_class
from tfgen.specs import Images, Labels, Points

tfd = tfp.distributions

#: What classes 0 and 1 add to a code.
CLASSES = np.array([[10.0, 0.0, -5.0], [0.0, 20.0, 1.0]], np.float32)

WITH_CODES = [entry.id for entry in tfgen.list_models() if {"encode", "decode"} <= set(dir(get_class(entry.id)))]


def mirror(cls=AmortizedModel, **arguments):
    """Returns a model whose codes are the examples; with classes less what the class adds."""
    labelled = "label" in arguments
    told = [keras.Input((3,)), keras.Input((2,))] if labelled else [keras.Input((3,))]
    x = keras.layers.Concatenate()(told) if labelled else told[0]
    encoder = keras.Model(told if labelled else told[0], keras.layers.Dense(6)(x))
    model = cls(
        example=Points(3),
        latent_size=3,
        encoder=encoder,
        likelihood=GaussianLikelihood(1.0, learned=False),
        **arguments,
    )
    eye, nothing = np.eye(3), np.zeros((3, 3))
    mean = np.concatenate([eye, -CLASSES]) if labelled else eye
    encoder.set_weights([np.concatenate([mean, 0.0 * mean], 1), np.zeros(6)])
    model.decoder.set_weights([np.concatenate([eye, CLASSES]) if labelled else eye, nothing[0]])
    return model


class Shifted(AmortizedModel):
    """Codes of class c are N((100 c, 0, 0), diag(1, 4, 9))."""

    def prior(self, given=None):
        mean = 100.0 * tf.cast(given, tf.float32)[:, None] * [1.0, 0.0, 0.0]
        return tfd.MultivariateNormalDiag(mean, tf.broadcast_to([1.0, 2.0, 3.0], tf.shape(mean)))


def points(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def swept(x, values):
    """Returns points `(batch, latents, steps, 3)` of which one coordinate after the other has the values, `(steps, 3)`."""
    line = np.tile(x[:, None, None], (1, 3, len(values), 1))
    for latent in range(3):
        line[:, latent, :, latent] = values[:, latent]
    return line


def test_a_traversal_puts_one_latent_after_the_other_through_the_quantiles_of_the_prior():
    x = points(4)
    quantiles = scipy.stats.norm.ppf((np.arange(7) + 0.5) / 7)
    found = latents.traverse(mirror(), x, steps=7)
    assert found.shape == (4, 3, 7, 3)
    np.testing.assert_allclose(found, swept(x, np.tile(quantiles[:, None], 3)), atol=1e-5)


def test_a_traversal_takes_given_deviations_and_latents():
    x = points(4)
    found = latents.traverse(mirror(), x, latents=[2, 0], deviations=[-3, 0, 0.5])
    known = swept(x, np.tile(np.array([[-3.0], [0.0], [0.5]]), 3))
    np.testing.assert_allclose(found, known[:, [2, 0]], atol=1e-5)


def test_quantiles_of_a_mixture_cut_off_the_shares_that_they_say():
    model = mirror(prior=VampPrior(2))
    model.p_z.inputs.assign([[-3.0, 0.0, 1.0], [3.0, 0.0, 1.0]])
    line = latents.traverse(model, points(1), steps=5)[0]
    values = line[np.arange(3), :, np.arange(3)]
    for value, means in zip(values, [(-3.0, 3.0), (0.0, 0.0), (1.0, 1.0)], strict=True):
        shares = np.mean([scipy.stats.norm.cdf(value, mean) for mean in means], 0)
        np.testing.assert_allclose(shares, (np.arange(5) + 0.5) / 5, atol=4 * 0.5 / 2**7)
    spread = latents.traverse(model, points(1), deviations=[0.0, 1.0])[0]
    np.testing.assert_allclose(spread[0, :, 0], [0.0, np.sqrt(10.0)], atol=0.1)
    np.testing.assert_allclose(spread[2, :, 2], [1.0, 2.0], atol=0.1)


def test_a_traversal_of_a_uniform_prior_stays_within_it():
    model = tfgen.create("lapgan", **small_arguments(get_class("lapgan")) | {"label": None})
    values = latents._values(model, "generate", 4, None, {}, 1)[..., 0]
    np.testing.assert_allclose(values, np.tile(np.array([-0.75, -0.25, 0.25, 0.75])[:, None, None], model.latent_size))
    widths = latents._values(model, "generate", None, [1.0], {}, 1)
    np.testing.assert_allclose(widths, np.sqrt(1 / 3), rtol=1e-6)


def test_a_prior_that_depends_on_the_class_has_values_of_each_class():
    x, label = points(3), np.array([0, 1, 1])
    found = latents.traverse(mirror(Shifted, label=Labels(2)), x, deviations=[-1.0, 2.0], label=label)
    for row, point, c in zip(found, x, label, strict=True):
        values = np.array([[100.0 * c - 1.0, -2.0, -3.0], [100.0 * c + 2.0, 4.0, 6.0]])
        codes = swept(point[None] - CLASSES[c], values)[0]
        np.testing.assert_allclose(row, codes + CLASSES[c], atol=1e-4)


def test_averaged_weights_say_what_the_prior_is():
    model = mirror(prior=VampPrior(2))
    model.p_z.inputs.assign([[-3.0, 0.0, 1.0], [3.0, 0.0, 1.0]])
    model.compile(ema=0.5)
    before = latents.traverse(model, points(1), steps=3)
    model.p_z.inputs.assign(7.0 + model.p_z.inputs)
    np.testing.assert_array_equal(latents.traverse(model, points(1), steps=3), before)


def test_an_interpolation_is_that_of_the_endpoint():
    model, start, stop = mirror(), points(5), points(5, 1)
    line = latents.interpolate(model, start, stop, steps=6)
    np.testing.assert_allclose(line, model.interpolate(start, stop, steps=6), atol=1e-6)
    t = np.linspace(0, 1, 6)[:, None]
    np.testing.assert_allclose(line, (1 - t) * start[:, None] + t * stop[:, None], atol=1e-6)


def test_an_arc_turns_evenly_and_keeps_the_norm():
    start, stop = (3.0 * z / np.linalg.norm(z, axis=1, keepdims=True) for z in (points(5), points(5, 1)))
    line = latents.interpolate(mirror(), start, stop, steps=5, spherical=True).astype(np.float64)
    np.testing.assert_allclose(line[:, [0, -1]], np.stack([start, stop], 1), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(line, axis=-1), 3.0, rtol=1e-4)
    angles = np.arccos(np.sum(line[:, 1:] * line[:, :-1], -1) / 9.0)
    whole = np.arccos(np.sum(start * stop, -1) / 9.0)
    np.testing.assert_allclose(angles, np.tile(whole[:, None] / 4, 4), rtol=1e-3)


def test_arithmetic_is_on_the_means_of_the_codes():
    a, b, c = points(3, 1), points(4, 2), points(5, 3)
    answer = latents.arithmetic(mirror(), a, b, c)
    np.testing.assert_allclose(answer, (a.mean(0) - b.mean(0) + c.mean(0))[None], atol=1e-6)


def test_a_class_is_taken_off_by_the_encoder_and_added_by_the_decoder():
    model, x, label = mirror(label=Labels(2)), points(4), np.array([0, 1, 1, 0])
    np.testing.assert_allclose(latents.encode(model, x, label=label, batch_size=3), x - CLASSES[label], atol=1e-5)
    other = latents.decode(model, latents.encode(model, x, label=label), label=1 - label)
    np.testing.assert_allclose(other, x - CLASSES[label] + CLASSES[1 - label], atol=1e-5)
    t = np.linspace(0, 1, 3)[:, None]
    line = latents.interpolate(model, x, x[::-1], label=label, steps=3, batch_size=5)
    np.testing.assert_allclose(line, (1 - t) * x[:, None] + t * x[::-1, None], atol=1e-5)
    np.testing.assert_allclose(
        latents.arithmetic(model, x, x[:2], x[2:], label=1)[0], x.mean(0) - x[:2].mean(0) + x[2:].mean(0), atol=1e-5
    )
    deviations = np.array([-1.0, 2.0])
    swept_codes = swept(x - CLASSES[label], np.tile(deviations[:, None], 3))
    found = latents.traverse(model, x, deviations=deviations, label=label, batch_size=5)
    np.testing.assert_allclose(found, swept_codes + CLASSES[label][:, None, None], atol=1e-5)


def test_codes_of_a_generator_are_passed_as_they_are():
    model = tfgen.create("wgan", example=Points(3), latent_size=4, width=6)
    start, stop, more = (np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32) for seed in range(3))
    line = latents.interpolate(model, start, stop, steps=4, spherical=True, encoded=True)
    np.testing.assert_allclose(line, model.interpolate(start, stop, steps=4), atol=1e-5)
    answer = latents.arithmetic(model, start, stop, more, encoded=True)
    np.testing.assert_allclose(answer, model.arithmetic(start, stop, more), atol=1e-5)
    changed = start.copy()
    changed[:, 1] = 0.5
    found = latents.traverse(model, start, latents=[1], deviations=[0.5], encoded=True)
    np.testing.assert_allclose(found[:, 0, 0], model.generate(changed), atol=1e-5)


def test_no_more_codes_are_decoded_at_once_than_asked_for_and_the_answer_stays(monkeypatch):
    model, x, sizes = mirror(), points(7), []
    whole = latents.traverse(model, x, steps=5), latents.interpolate(model, x, x[::-1]), latents.encode(model, x)

    def counted(method):
        @functools.wraps(method)
        def call(self, batch, **given):
            sizes.append(len(batch))
            return method(self, batch, **given)

        return call

    for name in ("encode", "decode"):
        monkeypatch.setattr(AmortizedModel, name, counted(getattr(AmortizedModel, name)))
    small = {"batch_size": 4}
    parts = (
        latents.traverse(model, x, steps=5, **small),
        latents.interpolate(model, x, x[::-1], **small),
        latents.encode(model, x, **small),
    )
    assert max(sizes) == 4
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_features_are_codes_or_what_a_discriminator_knows():
    x = points(6)
    np.testing.assert_allclose(latents.features(mirror(), x, batch_size=4), x, atol=1e-6)
    images = np.random.default_rng(0).integers(0, 17, (3, 8, 8, 1), np.uint8)
    gan = tfgen.create("dcgan", example=Images((8, 8, 1), 17), width=4, latent_size=2)
    np.testing.assert_allclose(latents.features(gan, images), gan.features(images), rtol=1e-6)
    auto = tfgen.create("ebgan", example=Points(3), code_size=2, latent_size=2, width=4)
    np.testing.assert_allclose(latents.features(auto, x), auto.encode(x), rtol=1e-6)
    vq = tfgen.create("vq_vae", **small_arguments(get_class("vq_vae")) | {"example": Images((8, 8, 1), 17)})
    codes = latents.encode(vq, images)
    known = np.asarray(vq.quantizer.codebook)[codes].reshape(3, -1)
    np.testing.assert_array_equal(latents.features(vq, images), known)
    assert len(np.unique(codes)) > 1


def test_one_hot_codes_go_through_their_classes():
    model = tfgen.create("gumbel_vae", example=Points(3), variables=2, classes=3, hidden=(5,))
    x = points(4)
    codes = latents.encode(model, x).reshape(4, 2, 3)
    found = latents.traverse(model, x)
    assert found.shape == (4, 2, 3, 3)
    for row, variable, k in np.ndindex(4, 2, 3):
        code = codes[row].copy()
        code[variable] = np.eye(3)[k]
        np.testing.assert_allclose(found[row, variable, k], model.decode(code.reshape(1, 6))[0], atol=1e-5)
    np.testing.assert_allclose(
        latents.interpolate(model, x, x[::-1], steps=3), model.interpolate(x, x[::-1], steps=3), atol=1e-5
    )


def conditions(model, endpoint, count):
    mark = model.endpoints()[endpoint]
    inputs = list(mark.inputs.items())[1:]
    return {name: kind.reference(model, count, 0) for name, kind in inputs if kind.applies(model)}


@pytest.mark.parametrize("id", WITH_CODES)
def test_every_model_with_codes(id):
    cls = get_class(id)
    model = cls(**small_arguments(cls))
    first = model.endpoints()["encode"].inputs
    x = next(iter(first.values())).reference(model, 3, 0)
    given = conditions(model, "encode", 3) | conditions(model, "decode", 3)
    shape, dtype = model.example.shape, model.example.tensor_spec().dtype.as_numpy_dtype
    codes = latents.encode(model, x, **conditions(model, "encode", 3))
    back = latents.decode(model, codes, **conditions(model, "decode", 3))
    assert (back.shape, back.dtype) == ((3, *shape), dtype)
    if id == "vq_vae":
        for refused in (
            lambda: latents.traverse(model, x),
            lambda: latents.interpolate(model, x, x),
            lambda: latents.arithmetic(model, x, x, x),
        ):
            with pytest.raises(
                InputError, match=r"vq_vae: its codes are names, whose numbers say nothing; there is no "
            ):
                refused()
        return
    line = latents.interpolate(model, x, x[::-1], steps=3, **given)
    assert (line.shape, line.dtype) == ((3, 3, *shape), dtype)
    np.testing.assert_allclose(line[:, 0].astype(float), back.astype(float), atol=1.0 if dtype == np.uint8 else 1e-5)
    if id == "gumbel_vae":
        assert latents.traverse(model, x, **given).shape == (3, 2, 3, *shape)
        for refused, message in (
            (lambda: latents.arithmetic(model, x, x, x), "sums of one-hot vectors are no codes of gumbel_vae"),
            (lambda: latents.interpolate(model, x, x, spherical=True), "arcs leave the relaxed codes of gumbel_vae"),
            (lambda: latents.traverse(model, x, steps=3), "variables of gumbel_vae go through their classes"),
        ):
            with pytest.raises(InputError, match=message):
                refused()
        return
    sweep = latents.traverse(model, x, latents=[0, model.latent_size - 1], steps=2, **given)
    assert (sweep.shape, sweep.dtype) == ((3, 2, 2, *shape), dtype)
    of_one = {name: value[:1] for name, value in conditions(model, "decode", 3).items()}
    assert latents.arithmetic(model, codes, codes, codes, encoded=True, **of_one).shape == (1, *shape)


def autoregressive():
    return tfgen.create("made", example=Images((2, 2, 1), 2), hidden=(4,))


def generator():
    return tfgen.create("gan", example=Points(3), latent_size=2, width=4)


def auto_encoder():
    return tfgen.create("ebgan", example=Points(3), code_size=2, latent_size=2, width=4)


def classified():
    return mirror(label=Labels(2))


X = points(2)


@pytest.mark.parametrize(
    ("make", "ask", "message"),
    [
        (autoregressive, lambda m: latents.traverse(m, X), r"made: offers no decode, so codes have no .*log_prob"),
        (autoregressive, lambda m: latents.encode(m, X), r"made: offers no encode, so examples have no .*log_prob"),
        (autoregressive, lambda m: latents.features(m, X), r"made: offers neither encode nor features, but .*log_prob"),
        (generator, lambda m: latents.interpolate(m, X, X), r"gan: offers no encode, so pass codes, with encoded=True; it "),
        (auto_encoder, lambda m: latents.arithmetic(m, X, X, X), r"ebgan: offers no decode, so what it encodes has no "),
        (generator, lambda m: latents.decode(m, X), r"z: shape \(2, 3\), expected \(batch, 2\)"),
        (generator, lambda m: latents.decode(m, X[:0, :2]), r"z: no codes"),
        (generator, lambda m: latents.decode(m, X[:, :2], label=1), r"gan: takes no label"),
        (classified, lambda m: latents.encode(m, X), r"label: this model is conditional; pass one label 0\.\.1"),
        (classified, lambda m: latents.traverse(m, X, encoded=True), r"label: this model is conditional"),
        (classified, lambda m: latents.encode(m, X, label=[0, 1, 1]), r"label: 3 for 2 examples; pass one for each"),
        (classified, lambda m: latents.encode(m, X, label=2), r"label: values 2\.\.2, expected 0\.\.1"),
        (classified, lambda m: latents.encode(m, X, lable=1), r"unknown condition 'lable'; did you mean label\?"),
        (classified, lambda m: latents.arithmetic(m, X, X, X, label=[0, 1]), r"label: of shape \(2,\), expected one for all"),
        (classified, lambda m: latents.features(m, X), r"its encode is told the class, which features would give away"),
        (mirror, lambda m: latents.encode(m, X[:0]), r"x: no examples"),
        (mirror, lambda m: latents.interpolate(m, X, points(3)), r"interpolate: 2 at the start and 3 at the stop"),
        (mirror, lambda m: latents.interpolate(m, X, X, steps=0), r"steps: 0, expected a whole number of at least 1"),
        (mirror, lambda m: latents.encode(m, X, batch_size=1.5), r"batch_size: 1\.5, expected a whole number"),
        (mirror, lambda m: latents.traverse(m, X, latents=[3]), r"latents: \[3\], expected some of 0\.\.2"),
        (mirror, lambda m: latents.traverse(m, X, latents=[]), r"latents: \[\], expected some of 0\.\.2"),
        (mirror, lambda m: latents.traverse(m, X, steps=2, deviations=[1.0]), r"deviations: .* and no steps beside them"),
        (mirror, lambda m: latents.traverse(m, X, deviations=[np.nan]), r"deviations: \[nan\], expected a list of finite"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(make, ask, message):
    with pytest.raises(InputError, match=message):
        ask(make())
