"""Signatures that combine others call their graphs, and answer as they would by their own."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

import tfgen
from tfgen.errors import InputError
from tfgen.export import tflite, verify
from tfgen.export.lite import exporting
from tfgen.export.lite.exporting import lite_endpoints
from tfgen.export.lite.files import merge, operations, read_file
from tfgen.export.lite.linking import calls
from tfgen.export.lite.models import unpacked
from tfgen.export.lite.running import Interpreter
from tfgen.export.lite.sharing import combined

#: By model: which endpoints call which.
CALLS = {
    "vae": {"reconstruct": {"encode", "decode"}, "interpolate": {"encode", "decode"}, "manifold": {"decode"}},
    "pixel_cnn": {"sample_from_noise": {"complete_from_noise"}},
    "dcgan": {"interpolate": {"generate"}, "arithmetic": {"generate"}},
}


@pytest.fixture
def always(monkeypatch):
    """Shares graphs in float32, too, where answers are equal to the last level."""
    monkeypatch.setattr(exporting, "_shares", lambda precision, batch, functions: batch is None)


def graph_of(model, signature):
    [at] = [one.subgraphIndex for one in model.signatureDefs if one.signatureKey.decode() == signature]
    return model.subgraphs[at]


def called(path) -> dict[str, set[str]]:
    """Returns which signatures of a file hold the graph of another one in a condition, and which that is."""
    model = unpacked(read_file(path)[0])
    held: dict[str, list[int]] = {}
    for signature in model.signatureDefs:
        graph = model.subgraphs[signature.subgraphIndex]
        options = [
            one.builtinOptions for one in graph.operators if one.builtinOptionsType == schema.BuiltinOptions.IfOptions
        ]
        held[signature.signatureKey.decode()] = [
            one.thenSubgraphIndex for one in options if one.thenSubgraphIndex == one.elseSubgraphIndex
        ]
    # Who is called is nothing but a call itself.
    bodies = {one[0]: name for name, one in held.items() if len(one) == 1 and len(graph_of(model, name).operators) == 1}
    found = {name: {bodies[at] for at in ones} - {name} for name, ones in held.items()}
    return {name: others for name, others in found.items() if others}


@pytest.mark.parametrize("id", CALLS)
def test_what_only_combines_others_calls_them(models, id, tmp_path, always):
    path = tflite(models[id], tmp_path / "model.tflite")
    assert called(path) == CALLS[id]
    assert "custom" not in " ".join(operations(read_file(path)[0]))
    report = verify(path)
    assert report.ok
    assert all(row.equal is None or row.equal == 1.0 for row in report.rows)


def test_endpoints_are_found_by_what_they_do_and_the_model_stays_as_it_was(models):
    model = models["vae"]
    before = dict(vars(model))
    marks = {name: mark for name, mark in lite_endpoints(model).items() if name != "sample"}
    graphs = combined(model, marks, {name: model.compiled_endpoint(mark) for name, mark in marks.items()})
    assert graphs.keys() == CALLS["vae"].keys()
    assert not any(graph.variables for graph in graphs.values())
    assert vars(model).keys() == before.keys()


def test_a_file_of_some_endpoints_calls_only_what_is_in_it(models, tmp_path, always):
    path = tflite(models["vae"], tmp_path / "one.tflite", endpoints=["reconstruct"])
    assert called(path) == {}
    path = tflite(models["vae"], tmp_path / "two.tflite", endpoints=["reconstruct", "encode"])
    assert called(path) == {}  # the decoder's weights would be its own
    path = tflite(models["vae"], tmp_path / "three.tflite", endpoints=["reconstruct", "encode", "decode"])
    assert called(path) == {"reconstruct": {"encode", "decode"}}


def test_graphs_are_shared_where_that_makes_a_file_smaller_by_a_good_part(models, tmp_path, monkeypatch):
    data = {"image": np.random.default_rng(0).integers(0, 17, (40, 8, 8, 1), np.uint8)}

    def export(precision, **options):
        return tflite(
            models["vae"], tmp_path / "model.tflite", precision=precision, data=data, overwrite=True, **options
        )

    small = len(read_file(export("int8"))[0])
    assert called(tmp_path / "model.tflite") == {}  # who wants a small file of so small a network?
    monkeypatch.setattr(exporting, "_SHARED", (100, 1_000_000))
    assert called(export("float32")) == {}
    assert len(read_file(export("int8"))[0]) < 0.9 * small
    assert called(tmp_path / "model.tflite") == CALLS["vae"]
    # What lies between two of its codes is no batch of this size.
    assert called(export("int8", batch=2)) == {}
    monkeypatch.setattr(exporting, "_SHARED", (100, 200))
    assert called(export("int8")) == {}


@pytest.mark.parametrize("id", CALLS)
def test_one_interpreter_answers_all_signatures_in_any_order_and_number_of_examples(models, id, tmp_path, always):
    from ai_edge_litert.interpreter import Interpreter as LiteRT

    data, _, cases = read_file(tflite(models[id], tmp_path / "model.tflite"))
    interpreter = LiteRT(model_content=data)
    if id == "pixel_cnn":  # LiteRT computes loops on more examples than before wrongly, of one graph or of several
        cases = [case for case in cases if len(next(iter(case.inputs.values()))) == 3]
    for at in np.random.default_rng(0).integers(0, len(cases), 40):
        case = cases[at]
        answers = interpreter.get_signature_runner(case.signature)(**case.inputs)
        for name, expected in case.outputs.items():
            np.testing.assert_allclose(np.float32(answers[name]), np.float32(expected), rtol=1e-4, atol=1e-4)


def test_a_conditional_model_hands_its_labels_on(tmp_path, always):
    model = tfgen.create("cvae", image_shape=(6, 6, 1), labels=3, latent_size=2, hidden=(12,), seed=0)
    path = tflite(model, tmp_path / "model.tflite")
    assert called(path) == {"reconstruct": {"encode", "decode"}}
    assert verify(path).ok


def test_with_fewer_bits_it_has_the_precision_of_what_it_calls(models, tmp_path, monkeypatch, always):
    data = {"image": np.random.default_rng(0).integers(0, 17, (40, 8, 8, 1), np.uint8)}
    path = tflite(models["vae"], tmp_path / "model.tflite", precision="int8", data=data)
    assert set(read_file(path)[1]["precisions"].values()) == {"int8"}
    assert called(path) == CALLS["vae"]
    choose = exporting._choose

    def keep_decode(folder, precision, *args):
        if folder.name == "decode":
            return choose(folder, "float32", None, *args[1:])[0], "float32: int8 loses too much"
        return choose(folder, precision, *args)

    monkeypatch.setattr(exporting, "_choose", keep_decode)
    path = tflite(models["vae"], tmp_path / "mixed.tflite", precision="int8", data=data)
    precisions = read_file(path)[1]["precisions"]
    assert precisions["manifold"] == "float32: as decode"
    assert precisions["reconstruct"] == "int8"


def test_what_answers_otherwise_by_its_calls_gets_a_graph_of_its_own(models, tmp_path, always, monkeypatch):
    def wrong(model, marks, functions):
        graphs = combined(model, marks, functions)
        decode = next(iter(graphs["manifold"].structured_outputs))
        spec = graphs["manifold"].structured_input_signature[1]["side"]
        function = tf.function(lambda side: {decode: graphs["manifold"](side=side)[decode][::-1]})
        return {"manifold": function.get_concrete_function(side=spec)}

    monkeypatch.setattr(exporting, "combined", wrong)
    path = tflite(models["vae"], tmp_path / "model.tflite")
    assert called(path) == {}
    assert read_file(path)[1]["precisions"]["manifold"].startswith("float32: float32")
    assert verify(path).ok


# Linking itself.


def converted(name, compute, tmp_path, **inputs) -> bytes:
    specs = {key: tf.TensorSpec((None, 2), tf.float32, key) for key in inputs}
    graph = tf.function(compute, autograph=False).get_concrete_function(**specs)
    tf.saved_model.save(tf.Module(), str(tmp_path / name), signatures={name: graph})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / name), signature_keys=[name])
    converter.allow_custom_ops = True
    return converter.convert()


def placeholder(name, results):
    attribute = f'name: "tfgen_{name}" attr {{ key: "tfl_fusable_op" value {{ b: true }} }}'
    return tf.function(
        lambda *tensors: (tf.zeros_like(tensors[0]),) * results, experimental_implements=attribute, autograph=False
    )


@pytest.mark.parametrize("swapped", [False, True])
def test_inputs_and_outputs_are_told_by_their_names(tmp_path, swapped):
    inner = converted("inner", lambda b, a: {"z": a - 2.0 * b, "y": a * b}, tmp_path, a=0, b=0)
    call = placeholder("inner", 2)

    def compute(left, right):
        y, z = call(left, right)  # a, b
        return {"twice": 2.0 * y, "more": z + 1.0}

    outer = converted("outer", compute, tmp_path, left=0, right=0)
    assert calls(outer) == {"inner"} and not calls(inner)
    if swapped:
        model = unpacked(inner)
        graph = graph_of(model, "inner")
        graph.inputs, graph.outputs = graph.inputs[::-1].copy(), graph.outputs[::-1].copy()
        import flatbuffers

        builder = flatbuffers.Builder()
        builder.Finish(model.Pack(builder), b"TFL3")
        inner = bytes(builder.Output())
    whole = Interpreter(merge({"outer": outer, "inner": inner}))
    a, b = np.random.default_rng(0).normal(size=(2, 5, 2)).astype(np.float32)
    answers = whole.run("outer", {"left": a, "right": b})
    np.testing.assert_allclose(answers["twice"], 2.0 * a * b, rtol=1e-6)
    np.testing.assert_allclose(answers["more"], a - 2.0 * b + 1.0, rtol=1e-6)


def test_what_calls_a_signature_that_is_not_there_is_refused(tmp_path):
    outer = converted("outer", lambda x: {"y": placeholder("inner", 1)(x)[0]}, tmp_path, x=0)
    with pytest.raises(InputError, match="inner: called by another signature"):
        merge({"outer": outer})
