"""Training as a game: whose weights move, when, and by how much; counted out on a game of two numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfgen.endpoints import Count, Seed, endpoint
from tfgen.errors import InputError
from tfgen.models import GenerativeModel, Player
from tfgen.models.generative import StandardError
from tfgen.models.players import Optimizers, WeightAverage
from tfgen.precision import steady_sum
from tfgen.specs import Points


@keras.saving.register_keras_serializable("tests")
class Weight(keras.layers.Layer):
    """One number."""

    def __init__(self, start: float, **kwargs):
        super().__init__(**kwargs)
        self.start = start
        self.w = self.add_weight(shape=(), initializer=keras.initializers.Constant(start), name="w")
        self.built = True


@keras.saving.register_keras_serializable("tests")
class Game(GenerativeModel):
    """The first player descends `a * mean(x) + 2a`, the second `b * a`."""

    def __init__(self, *, every: int = 1, noise: float = 0.0, bound: float = np.inf, alone: bool = False, **kwargs):
        super().__init__(example=Points(1), **kwargs)
        self.every, self.noise, self.bound, self.alone = every, noise, bound, alone
        self.first, self.second = Weight(1.0, name="first"), Weight(5.0, name="second")
        self.computed = {"first": 0, "second": 0}

    @property
    def numbers(self):
        return float(self.first.w), float(self.second.w)

    def first_terms(self, batch):
        self.computed["first"] += 1
        noise = self.noise * tf.random.stateless_normal((), self.seed())
        return {"pull": self.first.w * (tf.reduce_mean(batch["point"]) + noise), "weight": 2.0 * self.first.w}

    def second_terms(self, batch):
        self.computed["second"] += 1
        return {"product": self.second.w * self.first.w}

    def players(self):
        players = [
            Player("first", [self.first], self.first_terms),
            Player("second", [self.second], self.second_terms, every=self.every),
        ]
        return players[:1] if self.alone else players

    def default_optimizers(self):
        return {"first": keras.optimizers.SGD(1.0)} | ({} if self.alone else {"second": keras.optimizers.SGD(1.0)})

    def figures(self, batch):
        noise = self.noise * tf.random.stateless_normal(tf.shape(batch["point"])[:1], self.seed())
        return {"moved": batch["point"][:, 0] * self.first.w + noise}

    def after_move(self, player, terms):
        for weight in player.variables:
            weight.assign(tf.clip_by_value(weight.value, -self.bound, self.bound))

    @endpoint(returns="numbers", count=Count(), seed=Seed())
    def sample(self, count, seed=0):
        return tf.stack([self.first.w.value, self.second.w.value])


def points(*values):
    return np.array(values, np.float32)[:, None]


def eager(game, *optimizer, **arguments):
    """Compiles a game to be computed op by op: a graph of two numbers takes longer to make than to train."""
    game.compile(*optimizer, run_eagerly=True, **arguments)
    return game


def play(game, steps, x, batch_size=1, **kwargs):
    return game.fit(x, batch_size=batch_size, epochs=steps * batch_size // len(x), shuffle=False, verbose=0, **kwargs)


def played(steps, every=1, mean=3.0, a=1.0, b=5.0):
    """Counts the game out by hand: gradients are mean + 2 and the a that the first player has just left."""
    for step in range(1, steps + 1):
        a -= mean + 2.0
        b -= a if step % every == 0 else 0.0
    return a, b


# Who moves.


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_players_move_in_order_and_each_moves_its_own_weights_alone(run_eagerly):
    game = Game()
    game.compile(run_eagerly=run_eagerly)
    play(game, 1, points(3.0))
    # a = 1 - (3 + 2), and then b = 5 - a; had b moved a, it would have gained 5.
    assert game.numbers == (-4.0, 9.0) == played(1)


@pytest.mark.parametrize("how", [{}, {"run_eagerly": True}, {"jit_compile": True}, {"steps_per_execution": 4}], ids=str)
def test_a_player_moves_on_every_nth_step(how):
    game = Game(every=3)
    game.compile(**how)
    seen = []
    for _ in range(2):
        play(game, 4, points(3.0, 3.0, 3.0, 3.0))
        seen.append(game.numbers)
    assert seen == [played(4, 3), played(8, 3)]


def test_eager_training_reports_a_waiting_player_from_its_first_move_on():
    game = eager(Game(every=2))
    history = play(game, 2, points(3.0, 3.0)).history
    # The one move of the second player met b = 5 and a = 1 - 5 - 5.
    assert history["second_product"] == [-45.0]


def test_after_move_sees_the_moved_weights_before_the_next_player_moves():
    game = eager(Game(bound=2.0))
    play(game, 1, points(3.0))
    assert game.numbers == (-2.0, 2.0)  # b = clip(5 + 2)


def test_the_terms_of_a_player_without_trainable_weights_are_measured_and_nothing_moves():
    game = Game()
    game.second.trainable = False
    eager(game)
    history = play(game, 1, points(3.0)).history
    assert game.numbers == (-4.0, 5.0)
    assert history["second_product"] == [-20.0]


def test_a_weight_that_no_term_reaches_is_named():
    class Forgetful(Game):
        def second_terms(self, batch):
            return {"product": 2.0 * self.first.w}

    game = eager(Forgetful(name="forgetful"))
    with pytest.raises(InputError, match="forgetful: the loss of 'second' does not depend on second/w"):
        play(game, 1, points(3.0))


def test_the_weights_of_a_shared_network_count_once():
    weight = Weight(1.0)
    assert Player("both", [weight, weight], lambda batch: {}).variables == [weight.w]


# What is reported.


def test_metrics_are_named_after_players_and_terms():
    history = play(eager(Game()), 1, points(3.0)).history
    assert set(history) == {"first_loss", "first_pull", "first_weight", "second_loss", "second_product", "loss"}
    assert set(play(eager(Game(alone=True)), 1, points(3.0)).history) == {"loss", "pull", "weight"}


def test_a_loss_is_the_sum_of_its_terms_before_the_move():
    history = play(eager(Game()), 1, points(3.0)).history
    assert {name: value[0] for name, value in history.items()} == {
        "first_pull": 3.0,
        "first_weight": 2.0,
        "first_loss": 5.0,
        "second_product": -20.0,  # b = 5, and a has moved to -4
        "second_loss": -20.0,
        "loss": -15.0,
    }


def test_losses_are_summed_by_no_operation_that_takes_its_addends_in_any_order():
    scalars = [tf.TensorSpec((), tf.float32)] * 3
    graph = tf.function(lambda *terms: steady_sum(terms)).get_concrete_function(*scalars)
    assert not {"AddN", "AddV2", "Add"} & {operation.type for operation in graph.graph.get_operations()}
    assert graph(*(tf.constant(value) for value in (1.0, 2.0, 4.0))) == 7.0


def test_metrics_are_means_over_examples_not_over_batches():
    game = eager(Game(alone=True), keras.optimizers.SGD(0.0))
    history = game.fit(points(1, 1, 1, 1, 6), batch_size=4, shuffle=False, verbose=0).history
    assert history["pull"] == [2.0]
    measured = game.evaluate(points(1, 1, 1, 1, 6), batch_size=4, verbose=0, return_dict=True)
    assert measured["pull"] == measured["moved"] == 2.0


def test_evaluate_reports_terms_and_figures_with_their_standard_errors():
    x = points(*np.random.default_rng(0).normal(100.0, 1.0, 23))
    game = eager(Game())
    measured = game.evaluate(x, batch_size=4, verbose=0, return_dict=True)
    assert set(measured) == {
        *("first_loss", "first_pull", "first_weight", "second_loss", "second_product", "moved", "moved_se")
    }
    assert measured["moved"] == pytest.approx(x.mean(), rel=1e-6)
    assert measured["moved_se"] == pytest.approx(x.std(ddof=1) / np.sqrt(len(x)), rel=1e-5)
    assert measured["first_loss"] == pytest.approx(x.mean() + 2.0, rel=1e-6)
    assert game.numbers == (1.0, 5.0)


def test_the_standard_error_does_not_cancel_far_from_zero():
    values = 1e6 + np.random.default_rng(0).normal(size=1000)
    metric = StandardError("se")
    for chunk in np.split(values, [1, 10, 500]):
        metric.update_state(chunk)
    assert float(metric.result()) == pytest.approx(values.std(ddof=1) / np.sqrt(1000), rel=1e-6)
    metric.reset_state()
    metric.update_state([3.0])
    assert float(metric.result()) == 0.0


def test_terms_are_computed_in_python_only_while_the_step_is_traced():
    game = Game(every=2)
    game.compile()
    game.computed = dict.fromkeys(game.computed, 0)
    # The last batch of each epoch is smaller.
    for values in ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 7]):
        game.fit(points(*values), batch_size=2, epochs=2, verbose=0)
        assert game.computed == {"first": 1, "second": 1}
    batches = tf.data.Dataset.from_tensor_slices(points(*range(7)))
    game.fit(batches.batch(2), epochs=2, verbose=0)
    assert game.computed == {"first": 1, "second": 1}


# Optimizers.


def test_nothing_gives_the_papers_optimizers():
    game = eager(Game())
    play(game, 1, points(3.0))
    assert {name: type(o).__name__ for name, o in game.optimizers.items()} == {"first": "SGD", "second": "SGD"}
    assert list(game.optimizers) == ["first", "second"]


@pytest.mark.parametrize("given", ["adam", keras.optimizers.Adam(0.125)], ids=["name", "instance"])
def test_one_optimizer_gives_each_player_its_own_copy(given):
    game = eager(Game(), given)
    first, second = game.optimizers.values()
    assert first is not second
    assert isinstance(first, keras.optimizers.Adam)
    assert isinstance(second, keras.optimizers.Adam)
    if not isinstance(given, str):
        assert float(first.learning_rate) == float(second.learning_rate) == 0.125
        assert not given.built
    play(game, 1, points(3.0))
    assert int(first.iterations) == int(second.iterations) == 1


def test_a_dict_sets_optimizers_one_by_one_and_keeps_them():
    own = {"first": keras.optimizers.SGD(0.5), "second": "sgd"}
    game = eager(Game(), own)
    assert game.optimizers["first"] is own["first"]
    play(game, 1, points(3.0))
    assert game.first.w == 1.0 - 0.5 * 5.0


def test_the_only_player_keeps_the_optimizer_that_is_given():
    game, own = Game(alone=True), keras.optimizers.SGD(0.5)
    game.compile(own)
    assert game.optimizer is own


def test_an_optimizer_in_use_is_copied():
    own = keras.optimizers.SGD(0.5, momentum=0.5)
    both = eager(Game(), {"first": own, "second": own})
    assert both.optimizers["first"] is own
    assert both.optimizers["second"] is not own
    other = eager(Game(), {"first": own, "second": "sgd"})
    play(both, 2, points(3.0, 3.0))
    play(other, 2, points(3.0, 3.0))
    # Momentum: the second step is 1.5 times the first.
    assert both.first.w == other.first.w == 1.0 - 0.5 * 5.0 * 2.5


def test_a_learning_rate_schedule_counts_its_players_own_moves():
    game = Game(every=2)
    # 1 for the first move, and 1/4 from the second on.
    game.compile(keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([0], [1.0, 0.25])))
    play(game, 4, points(3.0, 3.0, 3.0, 3.0))
    a = [1.0 - 5.0 * rate for rate in (1.0, 1.25, 1.5, 1.75)]
    assert game.numbers == (a[3], 5.0 - a[1] - 0.25 * a[3])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"optimizer": {"frist": "sgd", "second": "sgd"}}, r"optimizer: unknown player 'frist'; did you mean first\?"),
        ({"optimizer": {"first": "sgd"}}, "optimizer: none for second"),
        ({"optimizer": {"first": "sgd", "second": None}}, "optimizer of 'second': None"),
        ({"optimizer": "sgdd"}, "optimizer of 'first': .*sgdd"),
        ({"optimizer": 3}, "optimizer of 'first': .*3"),
        (
            {"optimizer": keras.optimizers.SGD(use_ema=True)},
            r"optimizer of 'first': use_ema is done by compile\(ema=...\)",
        ),
        ({"loss": "mse"}, "a generative model brings its own losses; remove loss"),
        ({"metrics": ["mae"], "loss": "mse"}, "remove loss, metrics"),
        ({"ema": 1.0}, r"ema: decay 1.0 of 'first' is not in \[0, 1\)"),
        ({"ema": -0.1}, "ema: decay -0.1"),
        ({"ema": "0.9"}, "ema: decay '0.9'"),
        ({"ema": float("nan")}, "ema: decay nan"),
        ({"ema": {"frist": 0.9}}, r"ema: unknown player 'frist'; did you mean first\?"),
        ({"ema": {"second": None}}, "ema: decay None of 'second'"),
    ],
)
def test_a_compilation_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Game().compile(**arguments)


def test_keras_sees_the_optimizers_of_all_players():
    game = eager(Game(), "adam")
    assert isinstance(game.optimizer, Optimizers)
    assert [optimizer.name for optimizer in game.optimizer.optimizers] == ["first", "second"]
    play(game, 2, points(3.0, 3.0))
    assert int(game.optimizer.iterations) == 2
    assert len(game.optimizer.variables) == sum(len(o.variables) for o in game.optimizers.values()) > 0


def test_compiling_anew_starts_the_optimizers_and_averages_anew():
    game = Game()
    weights = len(game.weights)
    for _ in range(2):
        eager(game, "adam", ema=0.9)
        play(game, 1, points(3.0))
        assert len(game.weights) == weights + 2
        assert [int(optimizer.iterations) for optimizer in game.optimizers.values()] == [1, 1]
    game.compile("adam", ema={"second": 0.5})
    assert len(game.weights) == weights + 1
    game.compile("sgd")
    assert len(game.weights) == weights
    assert not game.averages


def accumulating(steps, rate=1.0, **arguments):
    return keras.optimizers.SGD(rate, gradient_accumulation_steps=steps, **arguments)


@pytest.mark.parametrize(
    "arguments", [{}, {"momentum": 0.5}, {"weight_decay": 0.25}, {"global_clipnorm": 0.5}], ids=str
)
def test_steps_whose_gradients_are_accumulated_equal_one_with_all_their_examples(arguments):
    many, one = Game(alone=True), Game(alone=True)
    many.compile(accumulating(4, 0.25, **arguments))
    one.compile(keras.optimizers.SGD(0.25, **arguments))
    x = points(-5, 2, 3, 4, -6, 7, 8, 11)
    play(many, 8, x)
    play(one, 2, x, batch_size=4)
    assert many.numbers == pytest.approx(one.numbers, rel=1e-6)
    assert many.numbers[0] != 1.0


def test_averages_and_after_move_wait_while_gradients_are_accumulated():
    moves = []

    class Watched(Game):
        def after_move(self, player, terms):
            moves.append((player.name, int(self._steps.value)))

    game = eager(Watched(), {"first": accumulating(2), "second": keras.optimizers.SGD(0.0)}, ema={"first": 0.75})
    play(game, 3, points(3.0, 3.0, 3.0))
    assert moves == [("second", 1), ("first", 2), ("second", 2), ("second", 3)]
    assert game.numbers == (-4.0, 5.0)
    np.testing.assert_allclose(game.sample(1)[0], averaged([1.0, -4.0], 0.75), rtol=1e-6)
    play(game, 1, points(3.0))
    assert moves[4:] == [("first", 4), ("second", 4)]
    np.testing.assert_allclose(game.sample(1)[0], averaged([1.0, -4.0, -9.0], 0.75), rtol=1e-6)


def test_a_player_that_moves_on_every_nth_step_accumulates_over_those():
    game = Game(every=2)
    game.compile({"first": keras.optimizers.SGD(0.0), "second": accumulating(2)})
    seen = []
    for _ in range(4):
        play(game, 1, points(3.0))
        seen.append(game.numbers)
    assert seen == [(1.0, 5.0)] * 3 + [(1.0, 4.0)]


def test_accumulated_gradients_survive_a_file(tmp_path):
    game = Game()
    game.compile(accumulating(2), ema=0.75)
    play(game, 1, points(1.0))
    game.save(tmp_path / "game.keras")
    loaded = keras.saving.load_model(tmp_path / "game.keras")
    for each in (game, loaded):
        play(each, 1, points(3.0))
        assert each.numbers == (1.0 - 4.0, 5.0 - (1.0 - 3.0) / 2.0)  # the second met a before and after its move
    np.testing.assert_array_equal(loaded.sample(1), game.sample(1))


def test_gradients_are_clipped_to_the_norm_of_their_own_player():
    game = eager(Game(), keras.optimizers.SGD(1.0, global_clipnorm=2.0))
    play(game, 1, points(3.0))
    # The first's gradient, 5, becomes 2; the second's, a = -1, is short enough by itself.
    assert game.numbers == pytest.approx((-1.0, 6.0))


def test_weights_decay_with_their_own_players_moves():
    game = eager(Game(every=2), keras.optimizers.SGD(1.0, weight_decay=0.25))
    play(game, 2, points(3.0, 3.0))
    a = 0.75 * (0.75 * 1.0 - 5.0) - 5.0
    assert game.numbers == (a, 0.75 * 5.0 - a)


# Averaged weights.


def averaged(values, decay):
    """The average of a weight that takes these values, starting from the first."""
    average = values[0]
    for moves, value in enumerate(values[1:], start=1):
        now = min(decay, moves / (9 + moves))
        average = now * average + (1.0 - now) * value
    return average


@pytest.mark.parametrize("decay", [0.15, 0.75])  # reached with the second move, and not at all
def test_averages_follow_the_recurrence_while_training_goes_on_with_raw_weights(decay):
    game = Game()
    game.compile(ema={"first": decay})
    play(game, 3, points(3.0, 3.0, 3.0))
    assert game.numbers == played(3)
    # sample is compiled, and answers with the average of the first player and the raw weight of the second.
    expected = [averaged([1.0, -4.0, -9.0, -14.0], decay), played(3)[1]]
    np.testing.assert_allclose(game.sample(1), expected, rtol=1e-6)
    assert game.numbers == played(3)
    play(game, 1, points(3.0))
    assert game.numbers == played(4)


def test_a_waiting_players_average_moves_only_with_it():
    game = eager(Game(every=2), ema=0.75)
    play(game, 4, points(3.0, 3.0, 3.0, 3.0))
    second = [5.0, played(2, 2)[1], played(4, 2)[1]]
    np.testing.assert_allclose(game.sample(1)[1], averaged(second, 0.75), rtol=1e-6)


def test_evaluate_measures_averaged_weights_in_and_after_fit():
    game = eager(Game(alone=True), ema=0.75)
    history = play(game, 1, points(3.0), validation_data=points(1.0)).history
    average = averaged([1.0, -4.0], 0.75)
    assert history["val_moved"] == pytest.approx([average])
    assert game.evaluate(points(1.0), verbose=0, return_dict=True)["moved"] == pytest.approx(average)
    assert game.numbers[0] == -4.0


def test_averaged_weights_are_put_back_when_something_goes_wrong():
    game = eager(Game(), ema=0.75)
    play(game, 1, points(3.0))
    with pytest.raises(ZeroDivisionError), game.averaged_weights():
        assert game.numbers[0] == pytest.approx(averaged([1.0, -4.0], 0.75))
        with game.averaged_weights():  # used within: not exchanged twice
            assert game.numbers[0] == pytest.approx(averaged([1.0, -4.0], 0.75))
        1 / 0  # noqa: B018
    assert game.numbers == played(1)


def test_endpoints_use_averaged_weights_unless_those_of_the_last_step_are_asked_for():
    game = eager(Game(), ema=0.75)
    play(game, 1, points(3.0))
    last, average = played(1)[0], averaged([1.0, -4.0], 0.75)
    shown = [game.sample(1)[0]]
    with game.averaged_weights(False):
        shown.append(game.sample(1)[0])
        with game.averaged_weights():
            shown.append(game.sample(1)[0])
            with game.averaged_weights(False):
                shown.append(game.sample(1)[0])
        shown.append(game.sample(1)[0])
    shown.append(game.sample(1)[0])
    np.testing.assert_allclose(shown, [average, last, average, last, last, average])
    assert game.numbers[0] == last


def test_statistics_beside_trainable_weights_are_copied_into_the_average():
    norm = keras.layers.BatchNormalization()
    norm.build((None, 2))
    average = WeightAverage([norm], 0.5)
    for weight in norm.weights:
        weight.assign(weight + 2.0)
    average.update(1000)
    average.swap()
    gamma, beta, mean, variance = (float(weight[0]) for weight in norm.weights)
    assert (gamma, beta) == (2.0, 1.0)  # half way between 1 and 3, and between 0 and 2
    assert (mean, variance) == (2.0, 3.0)


def test_sequences_come_back_from_a_configuration_as_tuples():
    class Sized(Game):
        def __init__(self, *, sizes=(), **kwargs):
            super().__init__(**kwargs)
            self.sizes = sizes

    for sizes in ((3, (1, 2)), [3, [1, 2]]):
        config = Sized(sizes=sizes).get_config()
        assert config == {"sizes": [3, [1, 2]]}
        assert Sized.from_config(config).arguments == {"sizes": (3, (1, 2))}


def test_averages_and_compilation_survive_a_file(tmp_path):
    game = Game(every=2)
    game.compile(keras.optimizers.SGD(1.0, momentum=0.5), ema={"first": 0.75}, steps_per_execution=2)
    play(game, 3, points(3.0, 3.0, 3.0))
    game.save(tmp_path / "game.keras")
    loaded = keras.saving.load_model(tmp_path / "game.keras")
    assert loaded.get_config() == game.get_config() == {"every": 2}
    assert loaded.get_compile_config() == game.get_compile_config()
    assert loaded.steps_per_execution == 2
    np.testing.assert_array_equal(loaded.sample(1), game.sample(1))
    for each in (game, loaded):
        play(each, 3, points(3.0, 3.0, 3.0))
    assert loaded.numbers == game.numbers
    np.testing.assert_array_equal(loaded.sample(1), game.sample(1))


# Randomness.


def seeds_of(game, kind, count):
    with game._step_of(kind):
        return [tuple(game.seed().numpy().tolist()) for _ in range(count)]


def test_no_two_draws_of_a_run_share_a_seed():
    game = Game(seed=7)
    training, testing = seeds_of(game, 0, 50), seeds_of(game, 1, 50)
    assert len({*training, *testing}) == 100
    assert {key for key, _ in training} == {7}
    assert not {*training} & {*seeds_of(game, 0, 50)}
    assert not {*training} & {*seeds_of(Game(seed=8), 0, 50)}
    assert training == seeds_of(Game(seed=7), 0, 50)


def test_training_noise_is_fresh_in_every_step():
    # The gradient of the first player is mean + 2 + noise, so the noise can be read off its steps.
    game = Game(noise=1.0, alone=True)
    steps = [1.0]
    for _ in range(6):
        play(game, 1, points(3.0))
        steps.append(game.numbers[0])
    noise = -np.diff(steps) - 5.0
    assert len({round(float(value), 4) for value in noise}) == 6


def test_evaluate_draws_the_same_numbers_each_time_and_leaves_trainings_alone():
    x = points(*range(8))
    game, undisturbed = Game(noise=1.0), Game(noise=1.0)
    first = game.evaluate(x, batch_size=4, verbose=0, return_dict=True)
    second = game.evaluate(x, batch_size=4, verbose=0, return_dict=True)
    assert first == second
    assert first["moved"] != 3.5
    play(game, 2, x, batch_size=4)
    play(undisturbed, 2, x, batch_size=4)
    assert game.numbers == undisturbed.numbers
    assert game.evaluate(x, batch_size=4, verbose=0, return_dict=True)["first_pull"] != first["first_pull"]


def test_another_seed_trains_otherwise():
    numbers = []
    for seed in (0, 0, 1):
        game = eager(Game(noise=1.0, seed=seed))
        play(game, 2, points(3.0, 3.0))
        numbers.append(game.numbers)
    assert numbers[0] == numbers[1] != numbers[2]


# Data that do not fit.


def test_data_that_the_model_does_not_model_are_refused_before_the_first_step():
    game = Game(alone=True, name="game")
    dataset = tf.data.Dataset.from_tensor_slices
    x = points(1, 2)
    for call, message in [
        (lambda: game.fit(np.zeros((4, 2))), r"point: shape \(4, 2\), expected \(count, 1\)"),
        (lambda: game.fit(points(1, np.nan)), "point: nan in example 1"),
        (lambda: game.fit({"pint": x}), "the data have pint, but game needs point"),
        (lambda: game.fit({}), "the data have nothing, but game needs point"),
        (lambda: game.fit(x, validation_data=points(np.inf)), "point: inf in example 0"),
        (lambda: game.fit(x, validation_data={"pint": x}), "the data have pint"),
        (lambda: game.fit(x, sample_weight=np.ones(2)), "no use for class_weight or sample_weight"),
        (lambda: game.fit(x, validation_data=(x, np.zeros(2), np.ones(2))), "sample weights: .* resample the data"),
        (lambda: game.fit((x, np.zeros(2), np.ones(2))), "sample weights"),
        (lambda: game.fit(dataset((x, [0, 0], [1.0, 1.0])).batch(2), verbose=0), "sample weights"),
        (lambda: game.fit(dataset({"pint": x}).batch(2), verbose=0), "the data have pint, but game needs point"),
        (lambda: game.fit(dataset(np.zeros((4, 2))).batch(2), verbose=0), r"point: shape .*, expected \(batch, 1\)"),
        (lambda: game.evaluate(np.zeros((4, 2))), r"point: shape \(4, 2\)"),
        (lambda: game.evaluate({"pint": x}), "the data have pint"),
        (lambda: game.train_on_batch(np.zeros((4, 2))), r"point: shape .*, expected \(batch, 1\)"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
    assert game.numbers[0] == 1.0
