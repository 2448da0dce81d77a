"""What every model of the registry promises of half precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.contract.conftest import small_arguments
from tfgen.endpoints import Example, Label
from tfgen.registry import get_class
from tfgen.training.building import precision_policy

pytestmark = pytest.mark.slow

#: A number that is rounded to bfloat16 is off by up to 2^-9 of itself. Some tens of such errors of either sign lie between
#: a picture and a figure, 2^-6 to 2^-7 of it, twice as much where the figure is a square; gradients are off by as much in
#: each step, hence weights by such a part of the way that they went, and the figure by that of what the training changed.
RELATIVE = 2.0**-5
#: Scores and logits are numbers of order one, and what is left when they cancel out has their error.
ABSOLUTE = 2.0**-8


def batch_of(model, count):
    """Returns examples, and labels where the model is conditional."""
    batch = {model.example.key: Example().reference(model, count, 0)}
    return batch | ({"label": Label().reference(model, count, 0)} if model.label else {})


def built(id, policy, like=None):
    """Returns a small model, compiled, with the weights of another that is not."""
    cls = get_class(id)
    with precision_policy(policy):
        model = cls(**small_arguments(cls))
    if like is not None:
        model.set_weights(like.get_weights())
        model.compile()
    for layer in model._flatten_layers(include_self=False):
        # Layers of Keras draw their noise in the dtype in which they compute: it would be other noise.
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
        elif isinstance(layer, keras.layers.GaussianNoise):
            layer.stddev = 0.0
    return model


def test_bfloat16_has_the_figures_of_float32_after_200_steps(id):
    start = built(id, "float32")
    full, half = built(id, "float32", like=start), built(id, "mixed_bfloat16", like=start)
    assert {layer.compute_dtype for layer in half._flatten_layers(include_self=False) if layer.weights} >= {"bfloat16"}
    data = batch_of(full, 64)
    figures = []
    for model in (full, half):
        first = model.evaluate(data, batch_size=16, verbose=0, return_dict=True)
        model.fit(data, batch_size=16, epochs=50, shuffle=False, verbose=0)
        figures.append(model.evaluate(data, batch_size=16, verbose=0, return_dict=True))
    assert figures[0].keys() == figures[1].keys()
    for name, value in figures[0].items():
        if name.startswith("accuracy") or name.endswith("_se"):
            continue  # some of 64 examples lie on the edge of a class; an error of an error is not what a paper prints
        scale = max(abs(value), abs(value - first.get(name, value)))
        assert abs(figures[1][name] - value) <= RELATIVE * scale + ABSOLUTE, (name, first, figures)


def test_half_precision_ends_before_terms_and_figures(id):
    model = built(id, "mixed_bfloat16")
    batch = {key: tf.constant(value) for key, value in batch_of(model, 4).items()}
    for player in model.players():
        with model._step_of(0):
            terms = player.terms(model.unpack(batch))
        assert {name for name, term in terms.items() if term.dtype != tf.float32} == set(), player.name
    with model._step_of(1):
        figures = model.figures(model.unpack(batch))
    assert not [name for name, value in figures.items() if value.dtype == tf.bfloat16]


def test_float16_moves_or_skips_and_counts(id):
    model = built(id, "mixed_float16")
    model.compile()
    stages = model.stages()
    history = model.fit(batch_of(model, 8), batch_size=4, epochs=len(stages), verbose=0).history
    for player in model.players():
        optimizer = model.optimizers[player.name]
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        name = f"{player.name}_skipped_steps" if len(model.optimizers) > 1 else "skipped_steps"
        steps = 2 * sum(player.name in stage.players for stage in stages) // player.every
        assert int(optimizer.iterations) + sum(history[name]) == steps
    assert all(np.isfinite(weight.numpy()).all() for weight in model.weights if "float" in weight.dtype)
