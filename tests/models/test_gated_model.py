"""Maps of codes under the two gated stacks: embedded, more than a byte holds, drawn one by one."""

import numpy as np
import pytest
import tensorflow as tf

from tests.zoo.autoregressive_proofs import assert_samples_are_the_naive_ones, dependencies, randomize, repeated
from tfgen.models import GatedAutoregressiveModel
from tfgen.specs import Codes, Labels


def small(shape, codes, **arguments):
    sizes = {"width": 6, "depth": 3, "head_width": 6, "kernel_size": 5, "embedding": 4} | arguments
    model = GatedAutoregressiveModel(example=Codes(shape, codes), **sizes)
    randomize(model, 0.5)
    return model


def maps(height, width, codes):
    """Returns all maps there are, int32 `(codes ** (height * width), height, width, 1)`."""
    every = np.stack(np.meshgrid(*[np.arange(codes)] * (height * width), indexing="ij"), -1)
    return every.reshape(-1, height, width, 1).astype(np.int32)


def test_probabilities_of_all_maps_sum_to_one_for_every_class():
    model, every = small((2, 3, 1), 3, label=Labels(2)), maps(2, 3, 3)
    assert len(every) == 729
    for label in range(2):
        log_prob = model.log_prob(every, **repeated({"label": label}, 729)).numpy().astype(np.float64)
        assert np.exp(log_prob).sum() == pytest.approx(1.0, abs=1e-5)
        assert np.ptp(log_prob) > 1.0


@pytest.mark.parametrize(("shape", "found"), [((4, 5, 1), 20 * 19 // 2), ((3, 2, 2), 12 * 11 // 2)])
def test_every_earlier_code_is_seen_and_no_other(shape, found):
    seen = dependencies(small(shape, 5, width=12, head_width=24, depth=6, dtype="float64"), draws=6)
    assert not np.triu(seen).any()
    assert seen.sum() == found


@pytest.mark.parametrize("shape", [(4, 3, 1), (2, 3, 2)])
def test_the_cached_sampler_draws_what_the_naive_one_draws(shape):
    plain, conditional = (small(shape, 5, label=label, dtype="float64") for label in (None, Labels(3)))
    assert_samples_are_the_naive_ones(plain)
    assert_samples_are_the_naive_ones(conditional, label=tf.constant([0, 2, 1]))


def test_codes_beyond_a_byte_are_drawn_and_measured():
    model = small((2, 2, 1), 600)
    bias = np.full(600, -1e9, np.float32)
    bias[[300, 599]] = 0.0
    model.head_out.kernel.assign(0.0 * model.head_out.kernel.value)
    model.head_out.bias.assign(bias)
    codes = model.sample(50, seed=1)
    assert codes.dtype == tf.int32
    assert set(np.unique(codes)) == {300, 599}
    np.testing.assert_allclose(model.distribution(codes).log_prob(codes), -4 * np.log(2.0), rtol=1e-5)


def test_a_code_is_a_name_without_an_order():
    # Other names for the codes, and the same model: rows of the embedding and columns of the softmax change places.
    model, other = (small((3, 3, 1), 4) for _ in range(2))
    names = np.array([2, 0, 3, 1])
    other.embedding.embeddings.assign(model.embedding.embeddings.numpy()[np.argsort(names)])
    other.head_out.kernel.assign(model.head_out.kernel.numpy()[..., np.argsort(names)])
    other.head_out.bias.assign(model.head_out.bias.numpy()[np.argsort(names)])
    x = np.random.default_rng(0).integers(0, 4, (6, 3, 3, 1))
    ours, others = (m.distribution(k).log_prob(k) for m, k in ((model, x), (other, names[x])))
    np.testing.assert_allclose(ours, others, rtol=1e-5)
