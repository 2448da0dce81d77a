import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfgen.replicas import PlacedSeed, Slice, shared

tfd = tfp.distributions

WHOLE = 10
LOGITS = np.random.default_rng(0).normal(size=(WHOLE, 4, 3)).astype(np.float32)

# Of a slice of the batch and a seed.
DRAWS = {
    "normal": lambda part, seed: tf.random.stateless_normal((part.stop - part.start, 2, 3), seed, alg="philox"),
    "draws before the batch": lambda part, seed: tf.random.stateless_uniform((4, part.stop - part.start, 3), seed),
    "integers": lambda part, seed: tf.random.stateless_uniform((part.stop - part.start,), seed, 0, 9, tf.int32),
    "truncated": lambda part, seed: tf.random.stateless_truncated_normal([part.stop - part.start, 2], seed),
    "gamma": lambda part, seed: tf.random.stateless_gamma([part.stop - part.start, 2], seed, alpha=2.0),
    "categorical": lambda part, seed: tf.random.stateless_categorical(LOGITS[part, 0], 7, seed),
    "second of a split": lambda part, seed: DRAWS["normal"](
        part, tf.unstack(tf.random.split(seed, 2, alg="philox"))[1]
    ),
    "split by tfp": lambda part, seed: DRAWS["normal"](part, tfp.random.split_seed(seed, 3)[2]),
    "folded": lambda part, seed: DRAWS["normal"](part, tf.random.fold_in(seed, 3, alg="philox")),
    "dropout": lambda part, seed: tf.nn.experimental.stateless_dropout(LOGITS[part], 0.5, seed, rng_alg="philox"),
    "prior": lambda part, seed: tfd.MultivariateNormalDiag(tf.zeros(3)).sample(part.stop - part.start, seed),
    "posterior": lambda part, seed: tfd.MultivariateNormalDiag(LOGITS[part, 0]).sample(seed=seed),
    "posterior, several": lambda part, seed: tfd.MultivariateNormalDiag(LOGITS[part, 0]).sample(4, seed=seed),
    "pixels": lambda part, seed: tfd.Independent(tfd.Bernoulli(LOGITS[part]), 2).sample(seed=seed),
    "levels": lambda part, seed: tfd.Independent(tfd.Categorical(LOGITS[part]), 1).sample(seed=seed),
    "relaxed": lambda part, seed: tfd.RelaxedOneHotCategorical(0.5, LOGITS[part]).sample(seed=seed),
}


def place(begin, end, key=(3, 4)):
    part = Slice(*(tf.constant(number) for number in (1, begin, end - begin, WHOLE)))
    return PlacedSeed(tf.constant(key), part)


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_replica_draws_its_slice_of_what_one_draws_for_the_whole_batch(draw):
    whole = draw(slice(0, WHOLE), tf.constant([3, 4])).numpy()
    axis = whole.shape.index(WHOLE)
    for begin, end in [(0, 5), (5, 10), (8, 10), (9, 10)]:
        drawn = draw(slice(begin, end), place(begin, end)).numpy()
        # To the last bit but for what vectors of another length do to exp and log.
        np.testing.assert_allclose(drawn, np.take(whole, range(begin, end), axis), rtol=1e-5, atol=1e-6)


def test_a_draw_for_no_example_is_empty():
    assert DRAWS["normal"](slice(6, 6), place(6, 6)).shape == (0, 2, 3)


def test_a_draw_in_a_graph_knows_the_sizes_that_it_knew():
    @tf.function(input_signature=[tf.TensorSpec((None, 3))])
    def draw(x):
        seed = PlacedSeed(tf.constant([3, 4]), Slice(0, 0, tf.shape(x)[0], 10))
        drawn = tf.random.stateless_normal(tf.shape(x), seed, alg="philox")
        assert drawn.shape.as_list() == [None, 3]
        return drawn

    assert draw(tf.zeros((4, 3))).shape == (4, 3)


def test_a_draw_without_the_batch_is_the_replicas_own():
    whole = tf.random.stateless_normal((7, 3), (3, 4), alg="philox").numpy()
    own = tf.random.stateless_normal((7, 3), place(0, 5), alg="philox").numpy()
    assert not np.any(own == whole)


def test_what_all_replicas_draw_alike_is_drawn_by_the_seed_itself():
    np.testing.assert_array_equal(shared(place(0, 5)), [3, 4])
    np.testing.assert_array_equal(shared(tf.constant([3, 4])), [3, 4])
