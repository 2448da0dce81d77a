"""Proofs of lapgan."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.data import open_source
from tfgen.errors import InputError
from tfgen.layers.pyramid import double, halve
from tfgen.networks import mlp
from tfgen.specs import Images, Labels

SMALL = Images((8, 12, 1))
PICTURES = np.random.default_rng(0).integers(0, 256, (5, 8, 12, 1), np.uint8)


def answers(*functions):
    """Returns networks that compute functions of their input."""
    return [keras.layers.Lambda(function) for function in functions]


def make(details=(tf.zeros_like, tf.zeros_like), scores=None, coarse=None, **arguments):
    """Returns a model of pictures of 2x3, 4x6 and 8x12 pixels with known networks.

    Arguments:
        details: of the two finer levels, functions of the input's channels l and noise.
        scores: of the levels, functions of pictures, with l for the finer ones; the picture's mean unless given.
        coarse: the coarsest picture as a function of the code; 0 unless given.
        arguments: of the model.
    """
    generators = answers(
        coarse or (lambda z: tf.zeros((tf.shape(z)[0], 2, 3, 1))),
        *(
            (lambda x, f=f: f(*tf.split(x, 2, -1)) if f is not tf.zeros_like else tf.zeros_like(x[..., :1]))
            for f in details
        ),
    )
    mean = lambda x: tf.reduce_mean(x[..., :1], (1, 2))
    arguments = {
        "example": SMALL,
        "generators": generators,
        "discriminators": answers(*(scores or [mean] * 3)),
    } | arguments
    return tfgen.create("lapgan", code_size=4, **arguments)


def numbers(image):
    return image.numpy().astype(np.float64)


def in_a_test_step(model, function):
    model._random_count.assign([0, 0])
    with model._step_of(1):
        return function()


def repeated(x, times):
    return np.repeat(np.repeat(x, times, 1), times, 2)


def means(x, size):
    count, height, width, channels = x.shape
    return x.reshape(count, height // size, size, width // size, size, channels).mean((2, 4))


# The pyramid.


def test_right_details_make_the_picture():
    x = tf.constant(np.random.default_rng(1).uniform(-1, 1, (1, 8, 12, 1)), tf.float32)
    middle, small = halve(x), halve(halve(x))
    model = make(
        [lambda *_: middle - double(small), lambda *_: x - double(middle)], coarse=lambda z: small + 0.0 * z[0, 0]
    )
    np.testing.assert_allclose(model.generator(tf.zeros((1, model.latent_size))), x, atol=1e-6)


def test_the_code_is_a_coarse_one_and_a_plane_of_noise_for_each_finer_level():
    model = make(
        [lambda l, noise: noise, lambda l, noise: 10.0 * noise],
        coarse=lambda z: tf.reshape(z[:, :1], (-1, 1, 1, 1)) * tf.ones((2, 3, 1)),
    )
    assert model.latent_size == 4 + 4 * 6 + 8 * 12
    z = np.random.default_rng(1).normal(size=(2, model.latent_size)).astype(np.float32)
    expected = (
        z[:, 0].reshape(2, 1, 1, 1)
        + repeated(z[:, 4:28].reshape(2, 4, 6, 1), 2)
        + 10.0 * z[:, 28:].reshape(2, 8, 12, 1)
    )
    np.testing.assert_allclose(model.generator(z), expected, atol=1e-5)


def test_codes_are_uniform():
    z = make().latent_prior().sample(2000, seed=(0, 1)).numpy()
    assert np.abs(z).max() <= 1.0
    np.testing.assert_allclose(z.mean(), 0.0, atol=0.01)
    np.testing.assert_allclose(z.std(), 1 / np.sqrt(3), atol=0.01)


def test_details_see_the_coarse_picture():
    model = make(
        [lambda l, noise: 2.0 * l, lambda l, noise: -l], coarse=lambda z: 0.1 + tf.zeros((tf.shape(z)[0], 2, 3, 1))
    )
    noises, _ = model.generator.parts(tf.zeros((1, model.latent_size)))
    first = model.generator.picture(1, noises[1], tf.fill((1, 2, 3, 1), 0.1))
    np.testing.assert_allclose(first, np.full((1, 4, 6, 1), 0.3), rtol=1e-6)
    np.testing.assert_array_equal(model.generator.picture(2, noises[2], first), np.zeros((1, 8, 12, 1)))


def test_a_picture_has_a_score_of_each_level():
    highest = lambda x: tf.reduce_max(x, (1, 2))
    product = lambda x: tf.reduce_mean(x[..., :1] * x[..., 1:], (1, 2))
    model = make(scores=[highest, product, lambda x: x[:, 0, 0, :1] - 2.0 * x[:, 7, 11, 1:]])
    x = PICTURES / 127.5 - 1.0
    middle, small = means(x, 2), means(x, 4)
    expected = [
        small.max((1, 2)), (middle * repeated(small, 2)).mean((1, 2)), x[:, 0, 0] - 2.0 * middle[:, 3, 5],
    ]  # fmt: skip
    np.testing.assert_allclose(model.discriminate(PICTURES), np.concatenate(expected, 1), atol=1e-6)


# The games.


def softplus(x):
    return np.log1p(np.exp(x))


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_plays_for_the_details_of_the_datas_own_coarse_pictures(level):
    # What the coarser levels generate is nonsense, and must not matter.
    nonsense = lambda z: 1e3 + tf.zeros((tf.shape(z)[0], 2, 3, 1))

    def score(x, l):
        return 3.0 * x[:, 1, 1] + x[:, 0, 1] ** 2 - l[:, 2, 1]

    scores = [lambda x: x[:, 0, 0], *[lambda x: score(x[..., :1], x[..., 1:])] * 2]
    model = make([lambda l, noise: 0.5 * l] * 2, scores, coarse=nonsense)
    batch, x = {"image": tf.constant(PICTURES)}, PICTURES / 127.5 - 1.0
    l = repeated(means(x, 2 ** (3 - level)), 2)
    real, fake = score(means(x, 2 ** (2 - level)), l), score(1.5 * l, l)
    terms = in_a_test_step(model, lambda: model.discriminator_terms(batch, level))
    assert float(terms["real"]) == pytest.approx(np.mean(softplus(-real)), rel=1e-5)
    assert float(terms["fake"]) == pytest.approx(np.mean(softplus(fake)), rel=1e-5)
    terms = in_a_test_step(model, lambda: model.generator_terms(batch, level))
    assert float(terms["fooling"]) == pytest.approx(np.mean(softplus(-fake)), rel=1e-5)


def test_the_coarsest_level_is_a_game_of_its_own():
    model = make([lambda l, noise: 1e3 + l] * 2, coarse=lambda z: 0.5 + tf.zeros((tf.shape(z)[0], 2, 3, 1)))
    batch = {"image": tf.constant(PICTURES)}
    terms = in_a_test_step(model, lambda: model.discriminator_terms(batch, 0))
    means_of = (PICTURES / 127.5 - 1.0).mean((1, 2, 3))
    assert float(terms["real"]) == pytest.approx(np.mean(softplus(-means_of)), rel=1e-5)
    assert float(terms["fake"]) == pytest.approx(softplus(0.5), rel=1e-5)


def test_each_level_has_two_players_that_move_its_networks_only():
    model = tfgen.create("lapgan", example=Images((28, 28, 1)), width=4, code_size=3)
    players = model.players()
    sides = ["7x7", "14x14", "28x28"]
    assert [player.name for player in players] == [
        f"{role}_{side}" for side in sides for role in ("discriminator", "generator")
    ]
    for level, (discriminator, generator) in enumerate(zip(players[::2], players[1::2], strict=True)):
        assert discriminator.networks == [model.discriminator.networks[level]]
        assert generator.networks == [model.generator.networks[level]]
    assert len({id(v) for player in players for v in player.variables}) == sum(
        len(player.variables) for player in players
    )


def test_noise_is_fresh_in_each_use():
    model = make([lambda l, noise: noise] * 2)
    batch = {"image": tf.constant(PICTURES)}
    one, other = in_a_test_step(model, lambda: [model.fake_level(batch, 2) for _ in range(2)])
    assert np.abs(one - other).mean() > 0.3


def test_figures_tell_how_much_detail_there_is_and_how_much_the_noise_decides():
    x = np.tile(PICTURES, (200, 1, 1, 1))
    model = make([lambda l, noise: 0.5 * noise, lambda l, noise: 0.0 * noise + 0.2])
    figures = model.evaluate(x, batch_size=250, verbose=0, return_dict=True)
    y = PICTURES / 127.5 - 1.0
    middle, fine = means(y, 2) - repeated(means(y, 4), 2), y - repeated(means(y, 2), 2)
    assert figures["detail_4x6"] == pytest.approx(0.25 / 3.0 / np.mean(middle**2), rel=0.03)
    assert figures["diversity_4x6"] == pytest.approx(figures["detail_4x6"], rel=0.03)
    assert figures["detail_8x12"] == pytest.approx(0.04 / np.mean(fine**2), rel=1e-4)
    assert figures["diversity_8x12"] == 0.0


# What a trained model can do.


def test_without_details_a_coarse_picture_is_enlarged_by_repeating_pixels():
    small = np.random.default_rng(2).integers(0, 256, (3, 2, 3, 1), np.uint8)
    np.testing.assert_array_equal(make().super_resolve(small), repeated(small, 4))


@pytest.mark.parametrize(("upscalings", "kept"), [(1, 2), (2, 4), (7, 4)])
def test_redrawing_keeps_what_is_coarse(upscalings, kept):
    x = repeated(PICTURES[:, :2, :3], 4) if kept == 4 else repeated(PICTURES[:, :4, :6], 2)
    np.testing.assert_array_equal(make().redraw(x, upscalings=upscalings), x)
    expected = repeated(np.round(means(PICTURES.astype(np.float64), kept)), kept)
    # A mean that ends in a half may be rounded either way.
    assert np.abs(numbers(make().redraw(PICTURES, upscalings=upscalings)) - expected).max() <= 1


def test_details_are_drawn_from_the_seed():
    model = make([lambda l, noise: 0.3 * noise] * 2)
    small = np.full((2, 2, 3, 1), 128, np.uint8)
    one, again, other = (numbers(model.super_resolve(small, seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).mean() > 10.0
    # Of both levels: what is common to a cell of 2x2, and what is not.
    assert means(one, 2).std() > 10.0
    assert (one - repeated(means(one, 2), 2)).std() > 10.0
    # Of one level only, where that is asked for.
    finest = numbers(model.redraw(repeated(small, 4), upscalings=1, seed=1))
    assert np.abs(finest - 128.0).max() < 40.0 < np.abs(one - 128.0).max()
    np.testing.assert_array_equal(model.redraw(repeated(small, 4), upscalings=2, seed=1), one)


def test_a_class_reaches_every_network():
    weights = tf.constant([0.1, -0.3, 0.5])

    def shade(c):
        return tf.reshape(tf.linalg.matvec(c, weights), (-1, 1, 1, 1))

    generators = answers(
        lambda given: shade(given[1]) + tf.zeros((2, 3, 1)),
        *[lambda given: shade(given[1]) + 0.0 * given[0][..., :1]] * 2,
    )
    discriminators = answers(*[lambda given: 2.0 * shade(given[1])[..., 0, 0] + 0.0 * given[0][:, 0, 0, :1]] * 3)
    model = make(label=Labels(3), generators=generators, discriminators=discriminators)
    label = np.array([0, 2, 1, 1, 2], np.int32)
    shades = weights.numpy()[label]
    expected = np.round((np.clip(3.0 * shades, -1, 1) + 1.0) * 127.5)
    assert np.abs(numbers(model.sample(5, label=label))[:, 3, 4, 0] - expected).max() <= 1
    codes = np.zeros((5, model.latent_size), np.float32)
    line = numbers(model.interpolate(codes, codes, steps=2, label=label))
    assert np.abs(line[:, :, 3, 4, 0] - expected[:, None]).max() <= 1
    np.testing.assert_allclose(model.discriminate(PICTURES, label), np.tile(2.0 * shades[:, None], 3), rtol=1e-5)
    expected = np.round((2.0 * shades + 1.0) * 127.5)
    small = np.full((5, 2, 3, 1), 127, np.uint8)
    assert np.abs(numbers(model.super_resolve(small, label=label))[:, 3, 4, 0] - expected).max() <= 1
    batch = {"image": tf.constant(PICTURES), "label": tf.constant(label)}
    for level in range(3):
        fake = in_a_test_step(model, lambda level=level: model.fake_level(batch, level))
        coarse = repeated(means(PICTURES / 127.5 - 1.0, 2 ** (3 - level)), 2) if level else np.zeros((5, 2, 3, 1))
        np.testing.assert_allclose(fake, coarse + shades.reshape(-1, 1, 1, 1), atol=1e-5)
        terms = in_a_test_step(model, lambda level=level: model.discriminator_terms(batch, level))
        assert float(terms["real"]) == pytest.approx(np.mean(softplus(-2.0 * shades)), rel=1e-5)
        terms = in_a_test_step(model, lambda level=level: model.generator_terms(batch, level))
        assert float(terms["fooling"]) == pytest.approx(np.mean(softplus(-2.0 * shades)), rel=1e-5)


def test_a_conditional_model_does_nothing_without_labels():
    model = tfgen.create("lapgan", example=SMALL, label=Labels(3), width=4, code_size=3)
    codes = np.zeros((2, model.latent_size), np.float32)
    for call in (
        lambda: model.sample(2),
        lambda: model.generate(codes),
        lambda: model.discriminate(PICTURES),
        lambda: model.redraw(PICTURES),
        lambda: model.super_resolve(PICTURES[:, :2, :3]),
        lambda: model.interpolate(codes, codes),
    ):
        with pytest.raises(InputError, match="conditional; pass one label"):
            call()


def test_codes_of_an_unconditional_model_can_be_interpolated_and_added():
    model = tfgen.create("lapgan", example=SMALL, width=4, code_size=3)
    codes = model.latent_prior().sample(2, seed=(0, 1)).numpy()
    line = model.interpolate(codes[:1], codes[1:], steps=3)
    np.testing.assert_array_equal(line[0, ::2], model.generate(codes))
    assert model.arithmetic(codes, codes, codes).shape == (1, 8, 12, 1)


def test_pictures_keep_their_levels_in_half_precision():
    small = np.arange(0, 96, dtype=np.uint8).reshape(16, 2, 3, 1) + 100
    network = keras.layers.Conv2D(1, 1, kernel_initializer="zeros", dtype="mixed_bfloat16")
    other = keras.layers.Conv2D(1, 1, kernel_initializer="zeros", dtype="mixed_bfloat16")
    model = tfgen.create("lapgan", example=SMALL, width=4, dtype="mixed_bfloat16", generators=[None, network, other])
    np.testing.assert_array_equal(model.super_resolve(small), repeated(small, 4))


def test_networks_that_were_passed_in_come_back_from_a_file(tmp_path):
    network = mlp((8, 12, 2), (8, 12, 1), hidden=(5,), name="details")
    model = tfgen.create("lapgan", example=SMALL, width=4, code_size=3, generators=(None, None, network))
    assert model.generator.networks[2] is network
    model.save(tmp_path / "model.keras")
    loaded = tfgen.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.sample(4, seed=3), model.sample(4, seed=3))


# Mistakes.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"upscalings": 3}, "8x12 pixels cannot be halved 3 times"),
        ({"upscalings": 0}, "0 upscalings"),
        ({"generators": [None] * 2}, "2 generators for 3 levels"),
        ({"discriminators": [None] * 4}, "4 discriminators for 3 levels"),
        ({"generators": [None, mlp((4, 6, 1), (4, 6, 1), hidden=(3,), name="g"), None]}, "generator of level 1 does not take"),
        ({"generators": [None, mlp((4, 6, 2), (4, 6, 2), hidden=(3,), name="g"), None]}, "generator of level 1 gives"),
        ({"discriminators": [None, None, mlp((8, 12, 2), (2,), hidden=(3,), name="d")]}, "discriminator of level 2 gives"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        tfgen.create("lapgan", example=SMALL, width=4, **arguments)


def test_a_coarse_picture_of_another_size_is_refused():
    with pytest.raises(InputError, match=r"small: shape \(5, 4, 6, 1\), expected \(count, 2, 3, 1\)"):
        make().super_resolve(PICTURES[:, :4, :6])


# Training.


def one_level_on_digits(seed: int, steps: int = 3000):
    """Returns a model of digits whose details, from 4x4 to 8x8 pixels, perceptrons have learned."""
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((8, 8, 2)), keras.layers.Flatten()]
    for _ in range(2):
        layers += [keras.layers.Dense(256), keras.layers.BatchNormalization(momentum=0.9), keras.layers.ReLU()]
    generator = keras.Sequential([*layers, keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))])
    discriminator = mlp((8, 8, 2), (1,), hidden=(256, 128), activation="leaky_relu", name="discriminator")
    model = tfgen.create(
        "lapgan", example=Images((8, 8, 1), 17), upscalings=1, code_size=8, width=4, seed=seed,
        generators=[None, generator], discriminators=[None, discriminator],
    )  # fmt: skip
    model.compile(keras.optimizers.Adam(5e-4, beta_1=0.5), steps_per_execution=20)
    x = open_source("digits").arrays("train")["image"]
    drawn = np.random.default_rng(seed).integers(0, len(x), 64 * steps)
    model.fit(x[drawn], batch_size=64, verbose=0)
    return model


def facts_of(model) -> dict[str, float]:
    """Returns what is known of the details h that a model of digits draws, on those that it was not trained on."""
    x = tf.constant(open_source("digits").arrays("test")["image"])
    l = double(model.pictures({"image": x})[0])
    real, fake = model.example.to_network(x) - l, in_a_test_step(model, lambda: model.fake_level({"image": x}, 1)) - l
    shuffled = tf.gather(real, np.random.default_rng(0).permutation(len(x)))
    variances = [np.var(h, 0).ravel() for h in (real, fake)]
    energy = lambda h: float(tf.reduce_mean(tf.square(h)))
    return {
        "energy": energy(fake) / energy(real),
        "correlation": np.corrcoef(*variances)[0, 1],
        "error": energy(fake - real) / energy(fake - shuffled),
        "leak": np.sqrt(energy(halve(fake))),
    }


@pytest.mark.slow
def test_details_of_digits_are_of_the_right_size_place_and_picture():
    facts = facts_of(one_level_on_digits(0))
    assert 0.75 < facts["energy"] < 1.25
    assert facts["correlation"] > 0.8
    assert facts["error"] < 0.6
    assert facts["leak"] < 0.15
