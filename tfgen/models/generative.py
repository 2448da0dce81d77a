"""What every model shares: arguments that are saved, the training step, randomness, and endpoints."""

import abc
import concurrent.futures
import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfgen import replicas
from tfgen.endpoints import Endpoint, endpoints, inherit_marks, make_seed
from tfgen.errors import InputError, unknown
from tfgen.models.faults import FaultLog
from tfgen.models.meters import ScalarMean
from tfgen.models.players import Batch, Optimizers, Player, Terms, WeightAverage
from tfgen.models.stages import Stage, StageWalk, divide
from tfgen.precision import steady_sum
from tfgen.specs import Images, Labels, Points

# Position of each random stream in the model's counter.
_TRAINING, _TESTING = 0, 1


class _Meters:
    """Metrics by name, made when a step first reports the name.

    Not a dict, so that Keras does not save them: a file written before the first step has none.
    """

    def __init__(self):
        self._by_name: dict[str, keras.metrics.Metric] = {}

    def get(self, name: str, kind: Callable[..., keras.metrics.Metric]) -> keras.metrics.Metric:
        if name not in self._by_name:
            strategy = tf.distribute.get_strategy()

            def make() -> keras.metrics.Metric:
                with strategy.scope(), replicas.variables():
                    return kind(name=name)

            # In a thread of its own: TensorFlow traces a function twice that makes variables on its first trace.
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                self._by_name[name] = pool.submit(make).result()
        return self._by_name[name]

    def __getitem__(self, name: str) -> keras.metrics.Metric:
        return self._by_name[name]

    def all(self) -> list[keras.metrics.Metric]:
        return list(self._by_name.values())


class StandardError(keras.metrics.Metric):
    """Standard error of the mean of a figure over all examples seen, in float64."""

    def __init__(self, name: str):
        super().__init__(name=name, dtype="float64")
        self.count = self.add_weight(name="count", initializer="zeros", dtype="float64")
        self.mean = self.add_weight(name="mean", initializer="zeros", dtype="float64")
        self.square = self.add_weight(name="square", initializer="zeros", dtype="float64")

    def update_state(self, values, sample_weight=None):
        # Chan's update: sums of squares of numbers around 100 would cancel.
        values = tf.cast(values, tf.float64)
        count = tf.cast(tf.size(values), tf.float64)
        total = self.count + count
        mean = tf.reduce_mean(values)
        delta = mean - self.mean
        square = tf.reduce_sum(tf.square(values - mean))
        self.square.assign_add(square + tf.square(delta) * self.count * count / total)
        self.mean.assign_add(delta * count / total)
        self.count.assign(total)

    def result(self):
        return tf.sqrt(tf.math.divide_no_nan(self.square.value, self.count * tf.maximum(self.count - 1.0, 1.0)))


class _Kind(abc.ABCMeta):
    """Has constructors make variables that replicas may assign."""

    def __call__(cls, *args, **kwargs):
        with replicas.variables():
            model = super().__call__(*args, **kwargs)
        replicas.place_layers(model._seed_generators_below())
        return model


class GenerativeModel(keras.Model, metaclass=_Kind):
    """Base of all models.

    A model says in `players` who moves which weights down which terms, in `stages` when, and in `figures` what a paper
    would print.
    Networks are built when the constructor ends.

    Arguments:
        example: what one example is, `Images` or `Points`.
        label: the classes, for a conditional model.
        seed: start of the random numbers that training draws, int32; they continue when a saved model is resumed.

    Raises:
        InputError: an argument that the model does not know; the nearest names are offered.
    """

    #: Name of the endpoint that answers as `serving_default`.
    main_endpoint = "sample"

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        inherit_marks(cls)

    def __new__(cls, *args, **kwargs):
        cls.check_arguments(kwargs)
        model = super().__new__(cls, *args, **kwargs)
        # Keras' automatic configuration can record a default in place of what was passed.
        bound = inspect.signature(cls.__init__).bind(model, *args, **kwargs)
        arguments = dict(list(bound.arguments.items())[1:])
        for name, parameter in inspect.signature(cls.__init__).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments |= arguments.pop(name, {})
        object.__setattr__(model, "arguments", arguments)
        return model

    @classmethod
    def check_arguments(cls, names: Iterable[str], also: Iterable[str] = ()) -> None:
        """Raises InputError at the first name that neither the constructor nor every model takes, nor is in `also`."""
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        known = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        known |= {"seed", "name", "dtype", *also}
        for name in names:
            if name not in known:
                raise InputError(f"{cls.__name__}: {unknown('argument', name, known)}")

    def __init__(self, *, example: Images | Points, label: Labels | None = None, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.example = example
        self.label = label
        self.optimizers: dict[str, keras.optimizers.Optimizer] = {}
        self.averages: dict[str, WeightAverage] = {}
        self._meters = _Meters()
        self._reported: dict[str, tuple[str, ...]] = {}
        self._swapped = self._weights_chosen = False
        self._step_kind: int | None = None  # of the step that is being computed
        self._steps_open = 0  # replicas that compute it
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not -(2**31) <= seed < 2**31:
            raise InputError(f"seed: {seed!r}, expected an int32")
        self._random_key = int(seed)
        self._random_count = self.add_weight(
            shape=(2,), dtype="int32", initializer="zeros", trainable=False, name="random_count"
        )
        self._steps = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="steps")
        self._stage = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="stage")
        object.__setattr__(self, "_compiled_endpoints", {})
        self.faults: FaultLog | None = None
        # Every network is built by the constructors of the families, so Keras has nothing left to build.
        self.built = True

    # What a model says.

    @abc.abstractmethod
    def players(self) -> list[Player]:
        """Returns who moves, in order."""

    def stages(self) -> list[Stage]:
        """Returns the parts of the training, in order; one in which all players move unless a model says otherwise."""
        return [Stage("training", [player.name for player in self.players()])]

    @abc.abstractmethod
    def default_optimizers(self) -> dict[str, keras.optimizers.Optimizer]:
        """Returns the paper's optimizer for each player."""

    def figures(self, batch: Batch) -> Terms:
        """Returns what `evaluate` reports beside the terms: a value per example, shape `(batch,)`, by name."""
        return {}

    def meters(self, figure: str) -> Mapping[str, Callable[..., keras.metrics.Metric]]:
        """Returns what is reported of a figure: by name what makes a metric of that name."""
        return {figure: keras.metrics.Mean, f"{figure}_se": StandardError}

    def monitors(self, terms: Mapping[str, Terms]) -> Terms:
        """Returns what each step reports beside the terms and is part of no loss, scalars by name.

        Arguments:
            terms: of this step, by player; in training without those of players that do not move on every step.
        """
        return {}

    def after_move(self, player: Player, terms: Terms) -> None:
        """Runs after a player has moved: clipping, averaging, equilibrium variables."""

    def offers(self, name: str) -> bool:
        """Returns whether an endpoint of the class makes sense for this instance."""
        return True

    @property
    def specs(self) -> dict[str, Images | Points | Labels]:
        """The keys of a batch that the model reads, and what is behind each."""
        specs = {self.example.key: self.example}
        return specs | ({self.label.key: self.label} if self.label is not None else {})

    @property
    def optional_specs(self) -> dict:
        """The keys that a batch may have or lack, and what is behind each."""
        return {}

    # Randomness.

    def seed(self) -> tf.Tensor:
        """Returns the next seed of the running stream, int32 of shape `(2,)`, for one stateless draw.

        The training stream is saved with the model, so that a resumed run continues it. The testing stream starts
        anew with each `evaluate`, so that the same model gets the same figures.
        """
        stream = _TESTING if self._step_kind == _TESTING else _TRAINING
        self._random_count.assign_add(tf.one_hot(stream, 2, dtype=tf.int32))
        number = self._random_count.value[stream]
        return replicas.place(tf.stack([tf.constant(self._random_key, tf.int32), 2 * number + stream]))

    @property
    def in_training(self) -> bool:
        """Whether terms are being computed for a move; networks are called with it as `training`."""
        return self._step_kind == _TRAINING

    @property
    def in_step(self) -> bool:
        """Whether a training or test step is being computed; endpoints are then plain methods."""
        return self._step_kind is not None

    @contextlib.contextmanager
    def _step_of(self, kind: int) -> Iterator[None]:
        self._step_kind, self._steps_open = kind, self._steps_open + 1
        try:
            yield
        finally:
            self._steps_open -= 1
            if not self._steps_open:
                self._step_kind = None

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Within it terms are computed in inference mode, and the random streams go on as if they had not been."""
        before = self._random_count.numpy()
        try:
            with self._step_of(_TESTING):
                yield
        finally:
            self._random_count.assign(before)

    # Training.

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer | Mapping | None = None,
        *,
        ema: float | Mapping[str, float] | None = None,
        run_eagerly: bool = False,
        jit_compile: bool = False,
        steps_per_execution: int = 1,
        **unsupported,
    ):
        """Prepares the model for `fit` and `evaluate`.

        Arguments:
            optimizer: nothing for the paper's; one, of which each of several players gets its own copy; or a dict
                with one for each player. One that is in use already is copied too. Under `mixed_float16` each becomes a
                `LossScaleOptimizer`, unless it is one; steps whose scaled gradients overflow move nothing, and each
                player's are counted as `skipped_steps`. With `gradient_accumulation_steps` a player moves, and averages
                and `after_move` act, on every k-th of its steps only; a schedule counts the steps.
            ema: decay of a moving average of all players' weights, or a dict with those of some players; less in the
                first moves, see `WeightAverage`. Averaged weights are used to evaluate, sample and export; training
                goes on with the raw ones.
            run_eagerly, jit_compile, steps_per_execution: as in Keras. XLA is off unless asked for, since on a CPU
                it slows training down.

        Raises:
            InputError: a name that is no player's, something that is no optimizer, a decay outside of [0, 1), or an
                argument that a generative model has no use for, as `loss`.
        """
        if unsupported:
            raise InputError(
                f"compile: a generative model brings its own losses; remove {', '.join(sorted(unsupported))}"
            )
        super().compile(
            optimizer=None, run_eagerly=run_eagerly, jit_compile=jit_compile, steps_per_execution=steps_per_execution
        )
        decays = {} if ema is None else self._per_player("ema", ema, {})
        for name, decay in decays.items():
            if not isinstance(decay, (int, float)) or not 0.0 <= decay < 1.0:
                raise InputError(f"ema: decay {decay!r} of {name!r} is not in [0, 1)")
        players = {player.name: player for player in self.players()}
        shared = len(players) > 1 and not isinstance(optimizer, Mapping)
        self.optimizers = {}
        for name, chosen in self._per_player("optimizer", optimizer, self.default_optimizers()).items():
            self.optimizers[name] = self._make_optimizer(players[name], chosen, copy=shared)
        one = len(self.optimizers) == 1
        self.optimizer = self.optimizers[name] if one else Optimizers(self.optimizers, self._steps)
        for average in self.averages.values():
            self._tracker.untrack(average)
        self.averages = {name: WeightAverage(players[name].networks, decay) for name, decay in decays.items()}
        self._compile_arguments = {
            "ema": decays or None,
            "run_eagerly": run_eagerly,
            "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
        }

    def _make_optimizer(self, player: Player, chosen, copy: bool) -> keras.optimizers.Optimizer:
        """Returns a player's optimizer with all of its state."""
        try:
            optimizer = keras.optimizers.get(chosen)
        except ValueError as error:
            raise InputError(f"optimizer of {player.name!r}: {str(error).splitlines()[0]}") from error
        if optimizer is None or getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False):
            reason = "None" if optimizer is None else "use_ema is done by compile(ema=...)"
            raise InputError(f"optimizer of {player.name!r}: {reason}")
        if copy or optimizer.built or getattr(optimizer, "inner_optimizer", optimizer).built:
            optimizer = optimizer.from_config(optimizer.get_config())
        scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        if self.dtype_policy.name == "mixed_float16" and not scales:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        # Keras' callbacks tell several optimizers apart by their names, and `SGHMC` its noise.
        optimizer.name = getattr(optimizer, "inner_optimizer", optimizer).name = player.name
        # Built now: state that is not there yet is skipped when weights are loaded.
        with replicas.variables(of_optimizer=True):
            optimizer.build(player.variables)
        return optimizer

    def _per_player(self, what: str, given, default: Mapping) -> dict:
        """Returns a value for each player: its default, the same for all, or its own."""
        names = [player.name for player in self.players()]
        if given is None:
            given = default
        if not isinstance(given, Mapping):
            return dict.fromkeys(names, given)
        for name in given:
            if name not in names:
                raise InputError(f"{what}: {unknown('player', name, names)}")
        missing = [name for name in names if name not in given]
        if missing and what == "optimizer":
            raise InputError(f"{what}: none for {', '.join(missing)}")
        return {name: given[name] for name in names if name in given}

    def get_compile_config(self) -> dict | None:
        if not self.compiled:
            return None
        optimizers = {name: keras.saving.serialize_keras_object(o) for name, o in self.optimizers.items()}
        return {"optimizer": optimizers, **self._compile_arguments}

    def compile_from_config(self, config: dict) -> None:
        optimizers = {
            name: keras.saving.deserialize_keras_object(optimizer) for name, optimizer in config["optimizer"].items()
        }
        self.compile(**{**config, "optimizer": optimizers})

    @property
    def stage(self) -> int:
        """Number of the stage that the training is in, from 0."""
        with tf.init_scope():
            return int(self._stage.numpy())

    def moving(self) -> list[Player]:
        """Returns the players of the present stage."""
        names = self.stages()[self.stage].players
        return [player for player in self.players() if player.name in names]

    def stage_ends(self, epochs: int) -> list[int]:
        """Returns how many of `epochs` are over when each stage ends; those that are behind the model take none.

        Raises:
            InputError: there are fewer epochs than stages.
        """
        stages = self.stages()
        if self.stage == len(stages) - 1:
            return [0] * self.stage + [epochs]
        return divide(stages, epochs, self.name)

    def enter_stage(self, number: int, batches: Callable[[], Iterable[Batch]]) -> None:
        """Goes on to a later stage, one by one; a stage that is over is never entered again.

        Arguments:
            number: of the stage.
            batches: gives the training data in batches.
        """
        if number <= self.stage:
            return
        while self.stage < number:
            self._stage.assign_add(1)
            begin = self.stages()[self.stage].begin
            if begin is not None:
                begin(batches())
        # The graph has the moves of the stage for which it was traced.
        self.make_train_function(force=True)
        self.test_function = None

    def fit(
        self, x=None, y=None, batch_size=None, *args, total_epochs=None, class_weight=None, sample_weight=None, **kwargs
    ):
        """Trains as Keras does, on arrays, on `(x, y)` or on a `tf.data.Dataset`.

        A model that is trained in stages walks through all of them in one call; where it was trained before, it goes
        on in the stage that it had reached.

        Arguments:
            x: pictures (uint8 levels) or points as an array; a dict of arrays; or a dataset of dicts, as
                `tfgen.data.load` gives, of arrays, or of pairs (example, label).
            y: labels, where `x` is an array.
            batch_size: for arrays.
            total_epochs: how many epochs the whole training has, where this call does only some of them; stages are
                shares of it.
            args, kwargs: as in `keras.Model.fit`.

        Raises:
            InputError: the data are not what the model models, or there are fewer epochs than stages; found before
                the first step.
        """
        if class_weight is not None or sample_weight is not None:
            raise InputError("fit: a generative model has no use for class_weight or sample_weight; resample the data")
        if not self.compiled:
            self.compile()
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)  # or Keras warns that it cannot
        if kwargs.get("validation_data") is not None:
            held_out, label = self._validate(kwargs["validation_data"])
            kwargs["validation_data"] = held_out if label is None else (held_out, label)
        x, y = self._validate(x, y)
        if len(self.stages()) > 1:
            batches = functools.partial(self._batches_of, x, y, batch_size, kwargs.get("steps_per_epoch"))
            kwargs["callbacks"] = [StageWalk(total_epochs, batches), *(kwargs.get("callbacks") or [])]
        return super().fit(x, y, batch_size, *args, **kwargs)

    def _batches_of(self, x, y, batch_size: int | None, steps: int | None) -> Iterator[Batch]:
        """Yields the training data once, as `unpack` gives them."""
        if not isinstance(x, (tf.data.Dataset, np.ndarray, dict)):
            raise InputError(
                f"{self.name} reads the data again between its stages; give arrays or a tf.data.Dataset, "
                f"not {type(x).__name__}"
            )
        if not isinstance(x, tf.data.Dataset):
            x = tf.data.Dataset.from_tensor_slices(x if y is None else (x, y)).batch(batch_size or 32)
        return map(self.unpack, x if steps is None else x.take(steps))

    def evaluate(self, x=None, y=None, *args, **kwargs):
        """Measures as Keras does: every player's terms, and the figures that the family's papers report.

        The same model on the same data gives the same figures. Averaged weights are used where there are any.
        """
        if not self.compiled:
            self.compile()
        if not kwargs.get("_use_cached_eval_dataset"):
            x, y = self._validate(x, y)
        count = self._random_count.numpy()
        count[_TESTING] = 0
        self._random_count.assign(count)
        with self._weights_to_show():
            return super().evaluate(x, y, *args, **kwargs)

    def _validate(self, x, y=None) -> tuple:
        """Returns arrays for Keras after the checks that need their values; datasets are checked in the graph."""
        if isinstance(x, tuple) and y is None:
            x, y = self._split(x)
        if isinstance(x, (dict, np.ndarray, list)):
            keys = x if isinstance(x, dict) else [self.example.key]
            self._check_keys([*keys, *([] if y is None else ["label"])])
        if isinstance(x, dict):
            specs = self.specs | self.optional_specs
            x = {key: specs[key].validate(value, key) for key, value in x.items() if key in specs}
        elif isinstance(x, (np.ndarray, list)):
            x = self.example.validate(x, self.example.key)
        if y is not None:
            y = np.asarray(y) if self.label is None else self.label.validate(y, "label")
        return x, y

    def unpack(self, data) -> Batch:
        """Returns a batch as a dict with what the model reads of it, from a dict, an example, or (example, label)."""
        if isinstance(data, tuple):
            first, label = self._split(data)
            data = dict(first) if isinstance(first, dict) else {self.example.key: first}
            if label is not None:
                data.setdefault("label", label)
        elif not isinstance(data, dict):
            data = {self.example.key: data}
        self._check_keys(data)
        specs = self.specs | {key: spec for key, spec in self.optional_specs.items() if key in data}
        return {key: spec.check(data[key]) for key, spec in specs.items()}

    @staticmethod
    def _split(data: tuple) -> tuple:
        """Returns (example, label or None) of what Keras packs into a tuple."""
        first, label, *rest = (*data, None)
        if any(part is not None for part in rest):
            raise InputError("sample weights: a generative model has no use for them; resample the data")
        return first, label

    def _check_keys(self, keys: Iterable[str]) -> None:
        missing = [key for key in self.specs if key not in keys]
        if missing:
            raise InputError(
                f"the data have {', '.join(sorted(keys)) or 'nothing'}, but {self.name} needs {', '.join(missing)}"
            )

    def train_step(self, data) -> dict[str, tf.Tensor]:
        batch = self.unpack(data)
        self._steps.assign_add(1)
        names, terms = [], {}
        with self._step_of(_TRAINING), replicas.step(batch, self.example.key) as batch:
            for player in self.moving():
                if player.every == 1:
                    terms[player.name] = self._move(player, batch)
                else:
                    # There are no terms of a move that does not take place.
                    due = self._steps.value % player.every == 0
                    replicas.when(due, functools.partial(self._move, player), batch)
                names += self._reported.get(player.name, ())
            names += self._monitor(terms, batch)
        logs = {name: self._meters[name].result() for name in names}
        losses = [logs[f"{name}_loss"] for name in self.optimizers if f"{name}_loss" in logs]
        # `TerminateOnNaN` watches this name; the sum is no number once a player's loss is none.
        return logs | {"loss": steady_sum(losses)} if len(self.optimizers) > 1 and losses else logs

    def _move(self, player: Player, batch: Batch) -> Terms:
        """Moves one player down its loss, measures its terms, and returns them."""
        variables = [variable.value for variable in player.variables]
        optimizer = self.optimizers[player.name]
        scaling = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        # A forward pass that overflows leaves its infinities in statistics of batches.
        statistics = self._statistics() if scaling else []
        kept = [tf.identity(weight.value) for weight in statistics]
        with tf.GradientTape(persistent=self.faults is not None, watch_accessed_variables=False) as tape:
            tape.watch(variables)
            terms = {name: tf.cast(term, tf.float32) for name, term in player.terms(batch).items()}
            loss = steady_sum(terms.values())
            scaled = optimizer.scale_loss(replicas.weigh(loss))
        gradients = tape.gradient(scaled, variables)
        unreached = [v.path for v, g in zip(player.variables, gradients, strict=True) if g is None]
        if unreached:
            raise InputError(f"{self.name}: the loss of {player.name!r} does not depend on {', '.join(unreached)}")
        overall = replicas.mean(terms)
        replicas.level(self._statistics())
        if scaling:
            gradients, scale = replicas.finite_on_all(gradients), tf.identity(optimizer.dynamic_scale)
        if self.faults is None:
            self._apply(player, gradients, overall)
        else:
            # Scaled gradients may overflow: their optimizer skips such steps itself.
            seen = [] if scaling else gradients
            good = self.faults.look(self._steps.value, player, batch, terms, seen, tape)
            replicas.when(good, functools.partial(self._apply, player), gradients, overall)
        self._report(player, overall, loss if overall is terms else steady_sum(overall.values()), batch)
        if scaling:
            skipped = optimizer.dynamic_scale < scale
            replicas.when(skipped, functools.partial(_put_back, statistics), kept)
            self._report_skipped(player, skipped)
        return overall

    def _statistics(self) -> list[keras.Variable]:
        """Returns the weights that a forward pass may change."""
        others = [self._random_count, *(weight for average in self.averages.values() for weight in average.weights)]
        others = {id(weight) for weight in others}
        return [weight for weight in self.non_trainable_weights if id(weight) not in others]

    def _apply(self, player: Player, gradients: Sequence, terms: Terms) -> None:
        optimizer = self.optimizers[player.name]
        moves = tf.identity(optimizer.iterations)
        optimizer.apply(gradients, player.variables)
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.gradient_accumulation_steps:
            # Skipped, or added to those of the next steps: the weights are what they were.
            moved = tf.convert_to_tensor(optimizer.iterations) > moves
            replicas.when(moved, functools.partial(self._moved, player), terms)
        else:
            self._moved(player, terms)

    def _moved(self, player: Player, terms: Terms) -> None:
        if player.name in self.averages:
            self.averages[player.name].update(self.optimizers[player.name].iterations)
        self.after_move(player, terms)

    def watch_faults(self, on: bool = True) -> None:
        """Has every move of the training looked at for NaN and infinity; `faults.first` tells the first of them."""
        with self.distribute_strategy.scope():
            self.faults = FaultLog() if on else None
        self.train_function = None
        if self.compiled:
            self.make_train_function()

    def _report(self, player: Player, terms: Terms, loss, batch: Batch) -> None:
        before = f"{player.name}_" if len(self.optimizers) > 1 else ""
        weight = replicas.count_all(tf.shape(batch[self.example.key])[0])
        named = {f"{before}loss": loss} | {f"{before}{name}": term for name, term in terms.items()}
        for name, value in named.items():
            self._meters.get(name, ScalarMean).update_state(value, sample_weight=weight)
        self._reported[player.name] = tuple(named)

    def _report_skipped(self, player: Player, skipped) -> None:
        name = f"{player.name}_skipped_steps" if len(self.optimizers) > 1 else "skipped_steps"
        self._meters.get(name, keras.metrics.Sum).update_state(tf.cast(skipped, tf.float32))
        self._reported[player.name] += (name,)

    def _monitor(self, terms: Mapping[str, Terms], batch: Batch) -> list[str]:
        """Reports what `monitors` says of a step's terms, and returns the names."""
        named = self.monitors(terms)
        weight = replicas.count_all(tf.shape(batch[self.example.key])[0])
        for name, value in named.items():
            self._meters.get(name, ScalarMean).update_state(value, sample_weight=weight)
        return list(named)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return self._meters.all()

    def make_train_function(self, force=False):
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().make_train_function(force)
        if force or self.train_function is None:
            self.train_function = replicas.step_function(self, self.train_step)
        return self.train_function

    def make_test_function(self, force=False):
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().make_test_function(force)
        if force or self.test_function is None:
            self.test_function = replicas.step_function(self, self.test_step)
        return self.test_function

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Built already. Keras would look at a batch, and take the mean of the replicas' pictures.
        pass

    def test_step(self, data) -> dict[str, tf.Tensor]:
        batch = self.unpack(data)
        names, terms = [], {}
        with self._step_of(_TESTING), replicas.step(batch, self.example.key) as batch:
            for player in self.moving():
                own = {name: tf.cast(term, tf.float32) for name, term in player.terms(batch).items()}
                own = replicas.mean(own)
                self._report(player, own, steady_sum(own.values()), batch)
                names += self._reported[player.name]
                terms[player.name] = own
            names += self._monitor(terms, batch)
            for figure, values in self.figures(batch).items():
                values = replicas.gather(values)
                for name, kind in self.meters(figure).items():
                    self._meters.get(name, kind).update_state(values)
                    names.append(name)
        return {name: self._meters[name].result() for name in names}

    # Averaged weights and endpoints.

    @contextlib.contextmanager
    def averaged_weights(self, averaged: bool = True) -> Iterator[None]:
        """Within it the networks hold the averaged weights, if the model was compiled with `ema`.

        Endpoints and `evaluate` choose them by themselves, but where a caller has chosen already.

        Arguments:
            averaged: False for those of the last step, of which endpoints make no use else.
        """
        chosen, swap = self._weights_chosen, bool(self.averages) and averaged != self._swapped
        self._weights_chosen = True
        if swap:
            self._swap()
        try:
            yield
        finally:
            self._weights_chosen = chosen
            if swap:
                self._swap()

    def _weights_to_show(self) -> contextlib.AbstractContextManager[None]:
        """Within it the networks hold the weights that are measured and served."""
        return contextlib.nullcontext() if self._weights_chosen else self.averaged_weights()

    def _swap(self) -> None:
        for average in self.averages.values():
            average.swap()
        self._swapped = not self._swapped

    def keep_average(self, player: str) -> None:
        """Makes a player's averaged weights, if it has any, its own: what is trained next builds on what will be served."""
        if player in self.averages:
            average = self.averages[player]
            average.swap()
            average.update(0)

    def endpoints(self) -> dict[str, Endpoint]:
        """Returns what this model can do, by name."""
        return endpoints(self)

    def compiled_endpoint(self, mark: Endpoint) -> tf.types.experimental.ConcreteFunction:
        """Returns an endpoint's graph, traced once for all batch sizes."""
        if mark.name not in self._compiled_endpoints:
            self._compiled_endpoints[mark.name] = mark.trace(self)
        return self._compiled_endpoints[mark.name]

    def sample_parts(self, count: int, seed=0, *, part: int = 256, **condition) -> Iterator[np.ndarray]:
        """Draws many samples in parts, so that memory does not grow with them and progress can be shown.

        Arguments:
            count: how many in all.
            seed: an int, or two int32. The first part is `sample(part, seed)`; each further one has a seed made of
                this one and the number of the part.
            part: samples in a part; the last may have fewer.
            condition: what the samples are conditional on, by name, for all of them.

        Yields:
            A part's samples.
        """
        first = make_seed(seed)
        for index, start in enumerate(range(0, count, part)):
            stop = min(start + part, count)
            given = {name: value[start:stop] for name, value in condition.items()}
            key = tf.random.fold_in(first, index, alg="philox") if index else first
            yield self.sample(stop - start, key, **given).numpy()

    def call(self, *args, **kwargs):
        raise TypeError(f"{self.name} is not one function; it offers {', '.join(self.endpoints())}")

    # Saving.

    def get_config(self) -> dict:
        return {
            name: _nested(list, keras.saving.serialize_keras_object(value)) for name, value in self.arguments.items()
        }

    @classmethod
    def from_config(cls, config: dict, custom_objects=None):
        arguments = {
            name: _nested(tuple, keras.saving.deserialize_keras_object(value, custom_objects))
            for name, value in config.items()
        }
        return cls(**arguments)

    def _seed_generators_below(self) -> list[keras.random.SeedGenerator]:
        """Returns the random states of all layers (dropout and the like), in a fixed order."""
        found = {}
        for layer in self._flatten_layers(include_self=False):
            for generator in getattr(layer, "_seed_generators", []):
                found[id(generator)] = generator
        return list(found.values())

    def save_own_variables(self, store) -> None:
        super().save_own_variables(store)
        # Keras saves the state of a SeedGenerator nowhere.
        for index, generator in enumerate(self._seed_generators_below()):
            store[f"seed_generator_{index}"] = generator.state.numpy()

    def load_own_variables(self, store) -> None:
        own = {key: store[key] for key in store.keys() if not key.startswith("seed_generator_")}  # noqa: SIM118
        super().load_own_variables(own)
        for index, generator in enumerate(self._seed_generators_below()):
            if f"seed_generator_{index}" in store.keys():  # noqa: SIM118
                generator.state.assign(store[f"seed_generator_{index}"])


def _put_back(variables: Iterable[keras.Variable], values: Iterable[tf.Tensor]) -> None:
    """Gives variables the values that they had."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _nested(kind: type, value):
    """Returns nested lists and tuples as nested lists, which a file knows, or as tuples, which constructors have."""
    return kind(_nested(kind, one) for one in value) if isinstance(value, (list, tuple)) else value


def ensure_network(
    owner: str, role: str, network: keras.layers.Layer, inputs: tuple[int, ...], output: tuple[int, ...]
) -> None:
    """Builds a network by showing it zeros, and checks the shape of what it answers.

    Arguments:
        owner, role: who asks and what for, for the message.
        network: a Keras model or layer.
        inputs, output: shapes without the batch axis.

    Raises:
        InputError: the network does not take such inputs, or gives another shape.
    """
    try:
        answer = network(tf.zeros((1, *inputs)))
    except (ValueError, TypeError, tf.errors.InvalidArgumentError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{owner}: the {role} does not take inputs of shape {inputs}: {reason}") from error
    if tuple(answer.shape[1:]) != tuple(output):
        raise InputError(f"{owner}: the {role} gives shape {tuple(answer.shape[1:])}, expected {tuple(output)}")
