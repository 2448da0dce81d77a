"""Proofs of pixel_cnn_pp."""

import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfgen
from tests.zoo.autoregressive_proofs import dependencies, naive_sample, randomize, total_probability
from tfgen.distributions import DiscretizedLogisticMixture
from tfgen.layers import GatedResnet
from tfgen.layers.shifted_conv import WeightNormalized


def small(shape, levels, **options):
    options = {"width": 4, "blocks": 1, "resolutions": 2, "mixtures": 2} | options
    return tfgen.create("pixel_cnn_pp", image_shape=shape, levels=levels, **options)


def pixels_before(model):
    """Which channels belong to a pixel before each, bool (pixels, pixels * channels)."""
    height, width, channels = model.example.shape
    return np.arange(model.example.dimensions) // channels < np.arange(height * width)[:, None]


@pytest.mark.parametrize(
    ("shape", "levels", "options"),
    [
        ((4, 2, 1), 2, {}),
        ((2, 4, 1), 3, {"blocks": 2}),
        ((2, 2, 3), 2, {}),
        ((3, 5, 1), 2, {"resolutions": 1}),
        ((4, 4, 1), 2, {"resolutions": 3, "width": 3}),
    ],
)
def test_probabilities_of_all_pictures_sum_to_one(float64, shape, levels, options):
    model = small(shape, levels, **options)
    randomize(model, 1.0)
    assert total_probability(model) == pytest.approx(1.0, abs=1e-10)


def test_probabilities_of_all_pictures_sum_to_one_for_every_label(float64):
    model = small((2, 4, 1), 2, labels=3)
    randomize(model, 1.0)
    for label in range(3):
        assert total_probability(model, {"label": label}) == pytest.approx(1.0, abs=1e-10)
    images = np.random.default_rng(0).integers(0, 2, (1, 2, 4, 1)).astype(np.uint8)
    log_probs = [model.log_prob(images, np.array([label]))[0] for label in range(3)]
    assert len({round(float(value), 6) for value in log_probs}) == 3


@pytest.mark.parametrize(
    ("shape", "levels", "options"),
    [
        ((8, 8, 1), 4, {"resolutions": 3}),
        ((8, 4, 3), 4, {"resolutions": 3, "blocks": 2}),
        ((5, 7, 1), 2, {"resolutions": 1, "blocks": 2}),
        ((4, 6, 2), 256, {"labels": 3}),
    ],
)
def test_a_pixels_parameters_depend_on_earlier_pixels_only(float64, shape, levels, options):
    model = small(shape, levels, **options)
    randomize(model, 0.5)
    found, allowed = dependencies(model, {"label": 1} if model.label else None), pixels_before(model)
    assert not (found & ~allowed).any()
    # Nearly all of the past is seen, and of it all of the neighbours at the left and above.
    assert (found & allowed).sum() > 0.9 * allowed.sum()
    height, width, channels = shape
    for y, x in np.ndindex(height, width):
        neighbours = [(y, x - 1)] * (x > 0) + [(y - 1, x)] * (y > 0)
        for row, column in neighbours:
            start = (row * width + column) * channels
            assert found[y * width + x, start : start + channels].all()


@pytest.mark.parametrize(
    ("shape", "levels", "options"),
    [
        ((8, 8, 1), 4, {"resolutions": 3, "blocks": 2}),
        ((8, 8, 3), 256, {"resolutions": 3}),
        ((5, 7, 1), 17, {"resolutions": 1}),
        ((5, 7, 3), 2, {"resolutions": 1, "labels": 3}),
        ((4, 6, 1), 2, {"resolutions": 2, "labels": 3}),
    ],
)
def test_the_cached_sampler_equals_the_naive_one(float64, shape, levels, options, monkeypatch):
    model = small(shape, levels, **options)
    randomize(model, 0.5)
    noise = np.random.default_rng(0).random((3, *model.noise_shape))
    condition = {"label": tf.constant([0, 2, 1])} if model.label else {}
    steps, draw = [], type(model).draw

    def record(model, parameters, noise):
        steps.append(parameters.numpy())
        return draw(model, parameters, noise)

    with monkeypatch.context() as patch:
        patch.setattr(type(model), "draw", record)
        cached = model._fill(tf.constant(noise), **condition).numpy()
    # Few levels would hide small differences.
    whole = model.conditionals(tf.constant(cached), **condition).numpy()
    np.testing.assert_allclose(np.stack(steps, 1).reshape(whole.shape), whole, rtol=1e-9, atol=1e-9)
    assert len(np.unique(cached)) >= min(levels, 4)
    np.testing.assert_array_equal(cached, naive_sample(model, noise, **condition))


@pytest.mark.parametrize(("shape", "options"), [((8, 8, 1), {"resolutions": 3}), ((4, 6, 3), {"labels": 3})])
def test_completion_keeps_known_pixels_and_equals_the_naive_one(float64, shape, options):
    model = small(shape, 4, **options)
    randomize(model, 0.5)
    rng = np.random.default_rng(0)
    noise, known = rng.random((3, *model.noise_shape)), rng.integers(0, 4, (3, *shape))
    mask = rng.random((3, *shape[:2])) < 0.4
    mask[:, 0, 0] = False  # known pixels do not come first
    condition = {"label": tf.constant([0, 2, 1])} if model.label else {}
    given = {"known": tf.constant(known, tf.int32), "mask": tf.constant(mask)}
    cached = model._fill(tf.constant(noise), **given, **condition).numpy()
    np.testing.assert_array_equal(cached[mask], known[mask])
    np.testing.assert_array_equal(cached, naive_sample(model, noise, known, mask, **condition))


@pytest.mark.slow
def test_the_compiled_sampler_equals_the_eager_one(float64):
    # In a graph the levels stand behind conditions, and the batch may be of any size or of a known one.
    model = small((4, 4, 1), 4, resolutions=2)
    randomize(model, 0.5)
    noise = np.random.default_rng(0).random((3, *model.noise_shape))
    eager = model._fill(tf.constant(noise)).numpy()
    for size in (None, 3):
        fill = tf.function(model._fill, autograph=False)
        graph = fill.get_concrete_function(tf.TensorSpec((size, *model.noise_shape), tf.float64))
        np.testing.assert_array_equal(graph(tf.constant(noise)), eager)


@pytest.mark.slow
def test_each_cell_of_each_level_is_computed_once_per_picture(float64, monkeypatch):
    # Eagerly a loop runs its body, and a condition its branch, as often as a graph would compute them.
    model = small((8, 16, 1), 4, resolutions=3, blocks=2)
    pixels, rows, of_pixel, of_row = [], {}, GatedResnet.pixel, GatedResnet.row

    def count_pixel(layer, x, shortcuts, matrices, before, left):
        pixels.append(x)
        return of_pixel(layer, x, shortcuts, matrices, before, left)

    def count_row(layer, x, *others):
        rows.setdefault(layer.name, []).append(x.shape[0])
        return of_row(layer, x, *others)

    monkeypatch.setattr(GatedResnet, "pixel", count_pixel)
    monkeypatch.setattr(GatedResnet, "row", count_row)
    model._fill(tf.zeros((2, *model.noise_shape), tf.float64))
    levels = range(3)
    assert len(pixels) == sum(8 * 16 // 4**level * len(model.network.ul.resnets(level)) for level in levels)
    for level in levels:
        for resnet in model.network.u.resnets(level):
            assert rows[resnet.name] == [16 // 2**level] * (8 // 2**level)


def pre_activations(model, images, monkeypatch):
    """Runs the network, and returns what each convolution gives, by the scale that it began with."""
    outputs, call = [], WeightNormalized.call

    def record(layer, x, **options):
        outputs.append((layer, call(layer, x, **options)))
        return outputs[-1][1]

    with monkeypatch.context() as patch:
        patch.setattr(WeightNormalized, "call", record)
        model.network(model.example.to_network(images))
    return [(layer, output.numpy().astype(np.float64)) for layer, output in outputs]


def weights_of(model):
    return [weight.numpy() for weight in model.network.weights]


IMAGES = np.random.default_rng(5).integers(0, 17, (16, 8, 8, 1)).astype(np.uint8)


def test_the_first_batch_of_fit_gives_pre_activations_of_mean_zero_and_deviation_init_scale(monkeypatch):
    model = small((8, 8, 1), 17, dropout=0.0)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    model.fit(IMAGES, batch_size=16, epochs=1, verbose=0, shuffle=False)
    found = pre_activations(model, IMAGES, monkeypatch)
    # 3 of the picture and 1 of the outputs; 2 a resnet and 1 for what it is fed; 2 a change of size.
    assert len(found) == 4 + (2 * 2 + 3 * 3) + 3 * (2 + 3) + 2 * 2
    for layer, output in found:
        scale = 0.1 if layer.name == "conv_out" else 1.0
        assert np.abs(output.mean((0, 1, 2))).max() < 1e-5, layer.path
        assert np.abs(output.std((0, 1, 2)) - scale).max() < 1e-3, layer.path


@pytest.mark.slow
def test_only_the_first_batch_initializes():
    model = small((8, 8, 1), 17, resolutions=1)
    model.compile(keras.optimizers.SGD(0.0))
    before = weights_of(model)
    model.fit(IMAGES, batch_size=8, epochs=1, verbose=0, shuffle=False)
    first = weights_of(model)
    assert any((a != b).any() for a, b in zip(before, first, strict=True))
    model.fit(IMAGES[:4] // 2, batch_size=4, epochs=2, verbose=0)
    for a, b in zip(first, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_resumed_run_does_not_initialize_again(tmp_path):
    model = small((8, 8, 1), 17, labels=2, resolutions=1)
    labels = np.arange(16) % 2
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    model.fit(IMAGES, labels, batch_size=16, epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    resumed = tfgen.load_model(tmp_path / "model.keras")
    resumed.fit(IMAGES[:4] // 2, labels[:4], batch_size=4, epochs=1, verbose=0)
    for a, b in zip(weights_of(model), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(model.log_prob(IMAGES, labels), resumed.log_prob(IMAGES, labels))


def test_weights_are_averaged_from_the_initialized_ones_on():
    model = small((8, 8, 1), 17, resolutions=1)
    model.compile()
    assert model.averages["model"].decay == 0.9995
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    model.fit(IMAGES, batch_size=16, epochs=1, verbose=0)
    for weight, average in zip(weights_of(model), model.averages["model"].weights, strict=True):
        np.testing.assert_array_equal(weight, average.numpy())


@pytest.mark.parametrize(("given", "decay"), [(None, 0.9), (0.5, 0.5), (0.0, 0.0)])
def test_the_decay_of_the_average_can_be_chosen_and_is_saved(given, decay, tmp_path):
    model = small((4, 4, 1), 2, averaging=0.9, resolutions=1)
    model.compile(ema=given)
    assert model.averages["model"].decay == decay
    model.save(tmp_path / "model.keras")
    assert tfgen.load_model(tmp_path / "model.keras").averages["model"].decay == decay


@pytest.mark.slow
def test_dropout_is_on_in_training_only():
    model = small((8, 8, 1), 17, dropout=0.5, resolutions=1)
    model.compile(keras.optimizers.SGD(0.0), ema=0.0, run_eagerly=True)
    data = {"x": IMAGES, "batch_size": 16, "verbose": 0, "shuffle": False}
    model.fit(**data)
    losses = [model.fit(**data).history["nll"][0] for _ in range(3)]
    assert len(set(losses)) == 3
    first, second = (model.evaluate(IMAGES, batch_size=16, verbose=0, return_dict=True)["nll"] for _ in range(2))
    assert first == second
    assert first == pytest.approx(-np.mean(model.log_prob(IMAGES)), rel=1e-6)


@pytest.mark.slow
def test_training_lowers_the_loss_and_reports_exact_nats():
    model = small((8, 8, 1), 17, width=8, resolutions=1, averaging=0.5, dropout=0.1)
    stripes = np.tile(np.array([0, 16], np.uint8)[:, None], (16, 4, 8, 1)).reshape(16, 8, 8, 1)
    model.compile(keras.optimizers.Adam(3e-3))
    history = model.fit(stripes, batch_size=16, epochs=30, verbose=0).history["nll"]
    assert history[-1] < 0.5 * history[0]
    figures = model.evaluate(stripes, batch_size=16, verbose=0, return_dict=True)
    assert figures["bits_per_dim"] == pytest.approx(figures["nats"] / (64 * math.log(2)), rel=1e-5)


@pytest.mark.slow
def test_coupling_learns_that_green_is_red():
    rng = np.random.default_rng(0)
    red = rng.integers(0, 256, (512, 4, 4, 1))
    images = np.concatenate([red, red, np.full_like(red, 100)], -1).astype(np.uint8)
    model = small((4, 4, 3), 256, width=8, resolutions=1, mixtures=1, dropout=0.0, averaging=0.9)
    # At a rate that stays high the last steps leave green and blue up to 4 bits, by the order of the batches.
    keras.utils.set_random_seed(0)
    model.compile(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 480)))
    model.fit(images, batch_size=64, epochs=60, verbose=0)
    with model.averaged_weights():
        mixture = model.head(model.conditionals(tf.constant(images)))
    assert np.abs(mixture.coupling[..., 0].numpy() - 1.0).max() < 0.02
    # With one component the channels' log-probabilities add up; red's is that of a mixture without the others.
    of_red = DiscretizedLogisticMixture(
        mixture.logits, mixture.loc[..., :1], mixture.log_scale[..., :1], mixture.coupling[..., :0], 256
    )
    bits_of_red = -np.mean(of_red.log_prob(images[..., :1].astype(np.float32))) / math.log(2)
    bits = -np.mean(mixture.log_prob(images.astype(np.float32))) / math.log(2)
    assert 7.9 < bits_of_red < 8.6
    assert bits - bits_of_red < 3.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolutions": 3}, "multiples of 4"),
        ({"dropout": 1.0}, "dropout"),
        ({"blocks": 0}, "blocks"),
        ({"resolutions": 0}, "resolutions"),
        ({"mixtures": 0}, "mixtures"),
        ({"width": 0}, "width"),
    ],
)
def test_what_cannot_be_built_is_an_input_error(options, message):
    with pytest.raises(tfgen.InputError, match=message):
        small((6, 8, 1), 2, **options)


def layers_in_tfps_order(network):
    """Our layers in the order in which tfp makes its own: convolutions, dense, transposed, and whole resnets."""
    convs, links, grows, resnets = [network.u_in, network.above_in, network.left_in], [], [], []
    for way in ("down", "up"):
        levels = range(network.levels)
        for level in levels if way == "down" else reversed(levels):
            for pair in zip(getattr(network.u, way)[level], getattr(network.ul, way)[level], strict=True):
                for resnet in pair:
                    convs += [resnet.conv_in, resnet.conv_out]
                    links += [resnet.link] if resnet.link else []
                    resnets.append(resnet)
            if way == "down" and level < network.levels - 1:
                convs += [network.u.shrink[level], network.ul.shrink[level]]
            if way == "up" and level > 0:
                grows += [network.u.grow[level - 1], network.ul.grow[level - 1]]
    return convs, [*links, network.out], grows, resnets


def tfps_layers(distribution):
    """The layers of a `tfd.PixelCNN` in the order in which it makes them, weight-normalised ones by what they wrap."""
    layers = distribution.network._network.layers
    numbered = sorted(layers, key=lambda layer: int(re.search(r"(\d*)$", layer.name).group(1) or 0))
    found = {"Conv2D": [], "Dense": [], "Conv2DTranspose": [], "of_condition": []}
    for layer in numbered:
        if isinstance(layer, tfp.layers.weight_norm.WeightNorm):
            found[type(layer.layer).__name__].append(layer)
        elif type(layer).__name__ == "Dense":
            found["of_condition"].append(layer)
    return found


def interleaved(numbers, components, channels):
    """Which of tfp's outputs, component by component, is each of ours, kind by kind."""
    of_each = np.arange(numbers).reshape(components, -1)
    kinds = np.split(of_each, np.cumsum([1, channels, channels]), axis=1)
    return np.concatenate([kind.ravel() for kind in kinds])


def copy_to_tfp(model, distribution, rng):
    """Gives both the same random weights; tfp's have zeros where ours have no weights."""
    convs, links, grows, resnets = layers_in_tfps_order(model.network)
    theirs = tfps_layers(distribution)
    channels, outputs = model.example.shape[2], links[-1].filters
    order = interleaved(outputs, outputs // DiscretizedLogisticMixture.parameters_per_component(channels), channels)
    for ours, layer in zip(
        convs + grows + links, theirs["Conv2D"] + theirs["Conv2DTranspose"] + theirs["Dense"], strict=True
    ):
        v, g, bias = (
            rng.normal(size=ours.v.shape),
            rng.uniform(0.5, 1.0, ours.filters),
            0.3 * rng.normal(size=ours.filters),
        )
        if ours in convs[:3]:
            # tfp's first layers have no channel of ones, and add their bias in the first row and column too.
            v[:, :, -1], bias = 0.0, 0.0 * bias
        ours.v.assign(v), ours.g.assign(g), ours.bias.assign(bias)
        if ours in links:
            v = v[0, 0]
            if len(v) == 4 * model.network.filters:
                # tfp takes ELU of (u, shortcut, -u, -shortcut).
                v = v.reshape(4, -1, v.shape[1])[[0, 2, 1, 3]].reshape(v.shape)
            if ours is model.network.out:
                places = np.argsort(order)
                v, g, bias = v[:, places], g[places], bias[places]
        else:
            v = v[:, :, :channels] if ours in convs[:3] else v
            v = v.transpose(0, 1, 3, 2) if ours in grows else v
            padded = np.zeros(layer.v.shape)
            padded[: v.shape[0], : v.shape[1]] = v
            np.testing.assert_array_equal(layer.layer.kernel_constraint(padded), padded)
            v = padded
        layer.v.assign(v), layer.g.assign(g), layer.layer.bias.assign(bias), layer.initialized.assign(True)
    for ours, layer in zip(resnets if theirs["of_condition"] else [], theirs["of_condition"], strict=True):
        # tfp maps the number of a class.
        kernel, bias = rng.normal(size=layer.kernel.shape), rng.normal(size=layer.bias.shape)
        layer.kernel.assign(kernel), layer.bias.assign(bias)
        ours.of_label.assign(np.arange(ours.label_count)[:, None] * kernel + bias)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "labels"), [((8, 8, 3), None), ((4, 8, 1), 3)])
def test_the_whole_network_with_tfps_weights_has_tfps_log_probabilities(float64, shape, labels):
    filters, mixtures, levels, rng = 4, 2, 256, np.random.default_rng(0)
    model = tfgen.create(
        "pixel_cnn_pp", image_shape=shape, levels=levels, width=filters, blocks=2, resolutions=3, mixtures=mixtures,
        **({"labels": labels} if labels else {}),
    )  # fmt: skip
    distribution = tfp.distributions.PixelCNN(
        image_shape=shape, conditional_shape=() if labels else None, num_resnet=2, num_hierarchies=3,
        num_filters=filters, num_logistic_mix=mixtures, dropout_p=0.0, high=levels - 1, dtype=tf.float64,
    )  # fmt: skip
    copy_to_tfp(model, distribution, rng)
    images = rng.integers(0, levels, (3, *shape)).astype(np.float64)
    images[0, 0] = 0.0
    images[0, 1] = levels - 1.0
    label = np.array([0, 2, 1]) if labels else None
    condition = {"conditional_input": label.astype(np.float64)} if labels else {}

    parameters = model.network(tf.constant(images * (2 / (levels - 1)) - 1), label=label)
    # tfp bounds a scale by softplus, and a coupling not at all.
    channels = shape[2]
    sizes = [mixtures * (1 + channels), mixtures * channels, mixtures * channels * (channels - 1) // 2]
    before, scale, coupling = tf.split(parameters, sizes, -1)
    scale = tf.math.log(tf.math.softplus(scale) + math.exp(-7.0))
    assert np.abs(coupling).max(initial=0.0) < 20.0
    mixture = model.head(tf.concat([before, scale, coupling], -1)[:, :, :, None])
    mixture = DiscretizedLogisticMixture(
        mixture.logits, mixture.loc, mixture.log_scale, tf.reshape(coupling, mixture.coupling.shape), levels
    )
    actual = tf.reduce_sum(mixture.log_prob(images), (1, 2))
    np.testing.assert_allclose(actual, distribution.log_prob(images, training=False, **condition), rtol=1e-9, atol=1e-6)
    assert np.std(actual) > 0.1
