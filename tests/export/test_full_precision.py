"""What was trained in half precision is served in float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfgen.errors import InputError
from tfgen.export import full_precision, read_card, saved_model, verify
from tfgen.export.verification import cases, load
from tfgen.training.building import precision_policy


def in_half(like, policy="mixed_bfloat16", **more):
    """Returns a model with the arguments of another and weights that are random in every layer."""
    with precision_policy(policy):
        model = type(like)(**like.arguments | more)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(weight + 0.3 * rng.normal(size=weight.shape))
    return model


def in_full(like, model):
    """Returns a float32 model with the weights of another, made without the exporter."""
    full = type(like)(**like.arguments)
    for weight, other in zip(full.weights, model.weights, strict=True):
        assert other.dtype == weight.dtype
        weight.assign(other)
    return full


def types_in_graph(path):
    """Returns a SavedModel's graphs as text, without the list of the types that operations could take."""
    content = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    content.meta_graphs[0].meta_info_def.Clear()
    return str(content)


@pytest.mark.parametrize("id", [pytest.param("vae", marks=pytest.mark.slow), "dcgan"])
def test_an_artifact_answers_as_the_float32_model_of_the_same_weights(id, models, tmp_path):
    model = in_half(models[id], dtype="mixed_bfloat16")
    full = in_full(models[id], model)
    path = saved_model(model, tmp_path / id)
    report = verify(path, full)
    assert report.ok, str(report)
    assert {row.dtype for row in report.rows} <= {"float32", "uint8"}
    assert "DT_FLOAT" in types_in_graph(path)
    assert not {"DT_BFLOAT16", "DT_HALF"} & set(types_in_graph(path).split())
    card = read_card(path)
    assert card["weights"]["trained_in"] == "mixed_bfloat16"
    assert card["arguments"]["dtype"] == "float32"
    # The given model goes on in half precision, and its answers would not have passed.
    main = "encode" if id == "vae" else "features"
    (case, _) = cases(full, [main])
    half = getattr(model, main)(case.inputs["image"])
    half = half["mean"] if id == "vae" else half
    error = np.abs(half - case.outputs["mean" if id == "vae" else "features"]).max()
    assert 1e-4 < error < 1.0


def test_networks_that_were_passed_in_and_averages_are_taken_over(models, tmp_path):
    with precision_policy("mixed_bfloat16"):
        generator = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(64, "tanh"), keras.layers.Reshape((8, 8, 1))]
        )
    model = in_half(models["dcgan"], generator=generator)
    model.compile(ema=0.5)
    for average in model.averages.values():  # as if they had been trained apart
        for weight in average.weights:
            weight.assign(0.5 * weight)
    path = saved_model(model, tmp_path / "dcgan")
    kernel = generator.layers[0].kernel.numpy()
    with model.averaged_weights():
        average, bias = (weight.numpy() for weight in generator.layers[0].weights)
    assert np.abs(kernel - average).max() > 0
    z = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    expected = np.tanh(z @ average + bias).reshape(3, 8, 8, 1)
    levels = load(path).signatures["generate"](z=tf.constant(z))["image"].numpy()
    assert np.abs(levels - (expected + 1) * 127.5).max() < 1.5  # half precision is wrong by more than a level
    assert set(read_card(path)["weights"]["averaged"]) == {"generator", "discriminator"}


def test_a_float32_model_is_taken_as_it_is(models, clusters):
    for model in (*models.values(), clusters):
        assert full_precision.in_float32(model) is model


def test_float16_is_turned_too_and_the_policy_of_the_process_stays(models):
    model = in_half(models["dcgan"], "mixed_float16")
    with precision_policy("mixed_float16"):
        full = full_precision.in_float32(model)
        assert keras.config.dtype_policy().name == "mixed_float16"
    assert {layer.compute_dtype for layer in full_precision._layers(full)} == {"float32"}


def test_a_model_that_can_not_be_built_anew_is_named(models, tmp_path):
    with precision_policy("mixed_bfloat16"):
        layers = [
            keras.Input((4,)),
            keras.layers.Dense(64),
            keras.layers.Lambda(lambda x: tf.reshape(x, (-1, 8, 8, 1))),
        ]
        model = type(models["dcgan"])(**models["dcgan"].arguments | {"generator": keras.Sequential(layers)})
    with pytest.raises(InputError, match=r"dcgan.*: can not be built in float32 to be exported"):
        saved_model(model, tmp_path / "dcgan")
    assert not list(tmp_path.iterdir())
