"""Training in half precision: every player scales its loss, and a step that overflows leaves no trace but a count."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tests.models.test_training import Game, Weight, averaged, eager, play, played, points
from tfgen.errors import InputError
from tfgen.optimizers import SGHMC

SCALE = 2.0**15
#: Its mean is a gradient of the first player's, which overflows only when it is scaled.
HUGE = 1e36


def half(game_class=Game, *optimizer, **arguments):
    return eager(game_class(dtype="mixed_float16"), *(optimizer or [keras.optimizers.SGD(1.0)]), **arguments)


def test_under_mixed_float16_every_players_optimizer_scales_its_loss(tmp_path):
    game = half()
    for optimizer in game.optimizers.values():
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        assert isinstance(optimizer.inner_optimizer, keras.optimizers.SGD)
    play(game, 1, points(3.0))
    assert game.numbers == played(1)
    game.save(tmp_path / "game.keras")
    for optimizer in keras.saving.load_model(tmp_path / "game.keras").optimizers.values():
        assert isinstance(optimizer.inner_optimizer, keras.optimizers.SGD)


def test_a_loss_scale_that_is_given_is_kept_and_not_put_around_another(tmp_path):
    own = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0), initial_scale=4.0, dynamic_growth_steps=2)
    game = half(Game, own)
    for optimizer in game.optimizers.values():
        assert isinstance(optimizer.inner_optimizer, keras.optimizers.SGD)
    play(game, 1, points(3.0))
    assert game.numbers == played(1)
    game.save(tmp_path / "game.keras")
    loaded = keras.saving.load_model(tmp_path / "game.keras")
    for each in (game, loaded):
        play(each, 1, points(3.0))
        assert each.numbers == played(2)
        assert [float(o.dynamic_scale) for o in each.optimizers.values()] == [8.0, 8.0]  # behind two good steps


def test_an_optimizer_within_a_loss_scale_may_not_average_either():
    own = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(use_ema=True))
    with pytest.raises(InputError, match="use_ema is done by compile"):
        Game().compile(own)


class Watched(Game):
    """Notes who has moved, and keeps the last mean that a forward pass has met, as a batch normalisation would."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seen = Weight(0.0, name="seen")
        self.seen.trainable = False
        self.moves = []

    def first_terms(self, batch):
        self.seen.w.assign(tf.reduce_mean(batch["point"]))
        return super().first_terms(batch)

    def after_move(self, player, terms):
        self.moves.append((player.name, int(self._steps.value)))


@pytest.mark.parametrize("watching", [False, True])
def test_a_step_that_overflows_is_skipped_by_its_player_alone_and_leaves_everything_as_it_was(watching):
    game = half(Watched, ema=0.75)
    if watching:
        game.watch_faults()
    first, second = game.optimizers.values()
    play(game, 2, points(3.0, HUGE))
    # The second player does not meet the data: it descends b * a with the a that did not move.
    assert game.numbers == (-4.0, 5.0 + 4.0 + 4.0)
    assert (float(first.dynamic_scale), float(second.dynamic_scale)) == (SCALE / 2.0, SCALE)
    assert (int(first.iterations), int(second.iterations)) == (1, 2)
    assert float(game.seen.w) == 3.0
    assert game.moves == [("first", 1), ("second", 1), ("second", 2)]
    averages = [averaged([1.0, -4.0], 0.75), averaged([5.0, 9.0, 13.0], 0.75)]
    np.testing.assert_allclose(game.sample(1), averages, rtol=1e-6)
    play(game, 1, points(3.0))
    assert game.numbers == (-9.0, 13.0 + 9.0)
    assert game.faults is None or game.faults.first is None


def test_skipped_steps_are_counted_by_player_and_epoch():
    game = Game(dtype="mixed_float16", every=2)
    game.compile("sgd")
    history = play(game, 8, points(HUGE, 3.0, HUGE, HUGE)).history
    assert history["first_skipped_steps"] == [3.0, 3.0]
    assert history["second_skipped_steps"] == [0.0, 0.0]
    assert "second_skipped_steps" not in game.evaluate(points(3.0), verbose=0, return_dict=True)
    assert "skipped_steps" in play(half(lambda **dtype: Game(alone=True, **dtype)), 1, points(3.0)).history
    for dtype in ("float32", "mixed_bfloat16"):  # which scale nothing
        assert not [name for name in play(eager(Game(dtype=dtype)), 1, points(3.0)).history if "skipped" in name]


def test_a_skipped_step_is_not_accumulated():
    game = half(Game, keras.optimizers.SGD(1.0, gradient_accumulation_steps=2), ema={"first": 0.75})
    history = play(game, 3, points(3.0, HUGE, 5.0)).history
    assert history["first_skipped_steps"] == [1.0]  # waiting is no skipping
    # The second player's moves behind steps 1 and 2 meet a = 1 both, and the third waits.
    assert game.numbers == (1.0 - (5.0 + 7.0) / 2.0, 5.0 - 1.0)
    np.testing.assert_allclose(game.sample(1)[0], averaged([1.0, -5.0], 0.75), rtol=1e-6)


def test_clipping_and_decay_see_gradients_as_they_are_without_a_scale():
    for dtype in ("float32", "mixed_float16"):
        game = eager(Game(dtype=dtype), keras.optimizers.SGD(1.0, global_clipnorm=2.0, weight_decay=0.25))
        play(game, 1, points(3.0))
        assert game.numbers == pytest.approx((0.75 - 2.0, 3.75 + 1.25))


def test_players_that_draw_their_weights_have_noise_of_their_own_in_half_precision_too():
    class Twins(Game):
        def first_terms(self, batch):
            return {"nothing": 0.0 * self.first.w}

        def second_terms(self, batch):
            return {"nothing": 0.0 * self.second.w}

    for dtype in ("float32", "mixed_float16"):
        for steps in (None, 2):
            game = eager(Twins(dtype=dtype), SGHMC(0.1, gradient_accumulation_steps=steps))
            play(game, 2, points(3.0, 3.0))
            assert (
                abs((game.numbers[0] - 1.0) - (game.numbers[1] - 5.0)) > 1e-3
            )  # the same but for rounding, if it were one


@pytest.mark.slow
def test_a_network_that_overflows_in_float16_finds_its_scale_and_trains_on():
    model = tfgen.create("dcgan", image_shape=(8, 8, 1), levels=5, width=2, latent_size=2, dtype="mixed_float16")
    # Gradients of some 1e-3 times 2^40 are beyond float16's 65504.
    model.compile(
        {
            name: keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**40)
            for name, optimizer in model.default_optimizers().items()
        },
        ema=0.9,
    )
    x = np.random.default_rng(0).integers(0, 5, (4, 8, 8, 1)).astype(np.uint8)
    before = [weight.numpy() for weight in model.weights]
    first = model.fit(x, batch_size=4, verbose=0).history
    assert [first[f"{name}_skipped_steps"] for name in model.optimizers] == [[1.0], [1.0]]
    counters = {id(model._random_count), id(model._steps)}
    for weight, value in zip(model.weights, before, strict=True):
        assert id(weight) in counters or np.array_equal(weight.numpy(), value), weight.path
    history = model.fit(x, batch_size=4, epochs=40, verbose=0).history
    for name, optimizer in model.optimizers.items():
        skipped = 1 + sum(history[f"{name}_skipped_steps"])
        assert 10 < skipped < 40
        assert int(optimizer.iterations) == 41 - skipped
        assert float(optimizer.dynamic_scale) == 2.0 ** (40 - skipped)
        assert history[f"{name}_skipped_steps"][-1] == 0.0
    assert all(np.isfinite(weight.numpy()).all() for weight in model.weights)
    assert any(not np.array_equal(w.numpy(), v) for w, v in zip(model.trainable_weights, before, strict=False))


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adam])
def test_accumulated_steps_of_a_network_equal_one_with_all_their_examples(optimizer):
    x = np.random.default_rng(0).integers(0, 2, (16, 3, 3, 1)).astype(np.uint8)
    start, *models = (tfgen.create("made", image_shape=(3, 3, 1), levels=2, hidden=(5,)) for _ in range(3))
    for model, steps in zip(models, (None, 4), strict=True):
        model.set_weights(start.get_weights())
        more = {"gradient_accumulation_steps": steps, "global_clipnorm": 0.5, "weight_decay": 0.01}
        model.compile(optimizer(0.1, **more), ema=0.9)
        model.fit(x, batch_size=16 // (steps or 1), epochs=4, shuffle=False, verbose=0)
    one, many = ([weight.numpy() for weight in model.weights if weight.dtype == "float32"] for model in models)
    assert max(np.abs(a - b.numpy()).max() for a, b in zip(one, start.trainable_weights, strict=False)) > 0.01
    for ours, theirs in zip(one, many, strict=True):  # the averages among them
        np.testing.assert_allclose(theirs, ours, atol=1e-5)
