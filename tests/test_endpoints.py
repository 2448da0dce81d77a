"""Endpoints: what a model can do, called from Python and as a graph."""

import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen.endpoints import Count, Example, Label, Latent, Seed, Tensor, endpoint, make_seed, samples_by_class
from tfgen.errors import InputError
from tfgen.models import GenerativeModel
from tfgen.specs import Images, Labels, Points


class Toy(GenerativeModel):
    """Has an endpoint for each kind of input, and counts how often each is computed in Python."""

    latent_size = 3

    def __init__(self, *, example=Images((2, 2, 1), 4), label=None, **kwargs):
        super().__init__(example=example, label=label, **kwargs)
        self.calls = {}

    def players(self):
        return []

    def default_optimizers(self):
        return {}

    def count_call(self, name):
        self.calls[name] = self.calls.get(name, 0) + 1

    @endpoint(returns="example", x=Example())
    def invert(self, x):
        self.count_call("invert")
        return 3 - x

    @endpoint(x=Example(), label=Label())
    def measure(self, x, label=None):
        total = tf.reduce_sum(tf.cast(x, tf.int32), (1, 2, 3))
        return {"total": total, "label": tf.zeros_like(total) if label is None else label}

    @endpoint(returns="example", count=Count(), seed=Seed(), label=Label())
    def sample(self, count, seed=0, label=None):
        self.count_call("sample")
        return tf.cast(tf.random.stateless_uniform((count, 2, 2, 1), seed, 0, 4, tf.int32, alg="philox"), tf.uint8)

    @endpoint(returns="doubled", z=Latent(), offset=Tensor(lambda model: ()))
    def double(self, z, offset):
        return 2.0 * z + offset[:, None]

    @endpoint(start=Example("start"), stop=Example("stop"), steps=Count())
    def between(self, start, stop, steps=2):
        return tf.cast(start, tf.float32) + tf.cast(stop, tf.float32) / tf.cast(steps, tf.float32)


class Quieter(Toy):
    """Overrides an endpoint without marking it anew, and offers one less."""

    def invert(self, x):
        self.count_call("quieter")
        return super().invert(x) // 2

    def offers(self, name):
        return name != "double"


@pytest.fixture(scope="module")
def toy():
    return Toy()


@pytest.fixture(scope="module")
def labelled():
    return Toy(label=Labels(3))


def pictures(count):
    return np.random.default_rng(count).integers(0, 4, (count, 2, 2, 1), np.uint8)


def test_an_endpoint_is_named_by_its_method_and_its_tensors_by_the_data(toy):
    marks = toy.endpoints()
    assert sorted(marks) == ["between", "double", "invert", "measure", "sample"]
    assert marks["invert"].parameters(toy) == {"x": tf.TensorSpec((None, 2, 2, 1), tf.uint8, name="image")}
    assert marks["invert"].output(toy) == "image"
    assert [spec.name for spec in marks["between"].parameters(toy).values()] == ["start", "stop", "steps"]
    assert marks["between"].output(toy) == "between"
    points = Toy(example=Points(2))
    assert points.endpoints()["invert"].parameters(points)["x"] == tf.TensorSpec((None, 2), tf.float32, name="point")
    assert points.endpoints()["invert"].output(points) == "point"


def test_labels_are_an_input_of_conditional_models_only(toy, labelled):
    assert list(toy.endpoints()["measure"].parameters(toy)) == ["x"]
    assert list(labelled.endpoints()["measure"].parameters(labelled)) == ["x", "label"]


def test_a_call_from_python_gives_the_plain_methods_answer(toy):
    x = pictures(3)
    np.testing.assert_array_equal(toy.invert(x), 3 - x)
    assert toy.invert(x).dtype == tf.uint8
    answers = toy.measure(x)
    assert set(answers) == {"total", "label"}
    np.testing.assert_array_equal(answers["total"], x.sum((1, 2, 3)))


def test_an_endpoint_is_traced_once_for_all_batch_sizes():
    toy = Toy()
    for count in (1, 3, 2):
        np.testing.assert_array_equal(toy.invert(pictures(count)), 3 - pictures(count))
        assert toy.sample(count, seed=count).shape == (count, 2, 2, 1)
    assert toy.calls == {"invert": 1, "sample": 1}


def test_inside_of_a_graph_an_endpoint_is_the_plain_method():
    toy = Toy()

    @tf.function
    def twice(x):
        return toy.invert(toy.invert(x))

    x = pictures(2)
    np.testing.assert_array_equal(twice(x), x)
    assert toy.calls == {"invert": 2}
    assert "invert" not in toy._compiled_endpoints


def test_a_graph_takes_outer_names_and_gives_named_tensors(labelled):
    graph = labelled.compiled_endpoint(labelled.endpoints()["measure"])
    answers = graph(image=tf.constant(pictures(2)), label=tf.constant([2, 0]))
    assert {name: (tensor.dtype, tensor.shape[0]) for name, tensor in answers.items()} == {
        "total": (tf.int32, 2),
        "label": (tf.int32, 2),
    }
    graph = labelled.compiled_endpoint(labelled.endpoints()["between"])
    first, second = tf.constant(pictures(1)), tf.constant(pictures(1)) // 2
    expected = tf.cast(first, tf.float32) + tf.cast(second, tf.float32) / 4.0
    np.testing.assert_array_equal(graph(start=first, stop=second, steps=tf.constant(4))["between"], expected)


def test_an_override_stays_an_endpoint_and_an_unoffered_one_is_hidden():
    quieter = Quieter()
    assert sorted(quieter.endpoints()) == ["between", "invert", "measure", "sample"]
    for count in (1, 2):
        np.testing.assert_array_equal(quieter.invert(pictures(count)), (3 - pictures(count)) // 2)
    assert quieter.calls == {"quieter": 1, "invert": 1}
    assert quieter.endpoints()["invert"].method is not Toy().endpoints()["invert"].method


def test_each_kind_draws_reference_inputs_that_it_accepts(labelled):
    for name, mark in labelled.endpoints().items():
        for count in (1, 3):
            arguments = {p: mark.inputs[p].reference(labelled, count, seed=7) for p in mark.parameters(labelled)}
            again = {p: mark.inputs[p].reference(labelled, count, seed=7) for p in mark.parameters(labelled)}
            for parameter, value in arguments.items():
                np.testing.assert_array_equal(value, again[parameter])
                spec = mark.parameters(labelled)[parameter]
                assert spec.is_compatible_with(tf.constant(value)), f"{name}: {parameter}"
                np.testing.assert_array_equal(mark.inputs[parameter].convert(value, labelled, parameter), value)


def test_reference_examples_and_labels_fill_their_range(labelled):
    assert set(np.unique(Example().reference(labelled, 50, 0))) == {0, 1, 2, 3}
    assert set(np.unique(Label().reference(labelled, 50, 0))) == {0, 1, 2}
    uniform = Tensor(lambda model: (50,), draw="uniform").reference(labelled, 3, 0)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert Latent().reference(labelled, 3, 0).min() < 0


@pytest.mark.parametrize("id", ["gan", "dcgan"])
def test_reference_codes_are_drawn_as_the_model_draws_its_own(id):
    model = tfgen.create(id, image_shape=(8, 8, 1), latent_size=50)
    codes, own = Latent().reference(model, 200, 0), model.latent_prior().sample(200, seed=(0, 0)).numpy()
    # Standard errors of the variance are 0.014 and less.
    assert codes.var() == pytest.approx(own.var(), abs=0.06)
    assert (np.abs(codes).max() <= 1.0) == (np.abs(own).max() <= 1.0)


def test_grey_pictures_lists_and_tensors_are_taken(toy):
    x = pictures(2)
    for value in (x[..., 0], x.tolist(), tf.constant(x), x.astype(np.int64)):
        np.testing.assert_array_equal(toy.invert(value), 3 - x)
    np.testing.assert_array_equal(toy.sample(tf.constant(2), seed=tf.constant([0, 0])), toy.sample(2))


def test_wrong_arguments_are_named(toy, labelled):
    x = pictures(2)
    z = np.zeros((2, 3), np.float32)
    for call, message in [
        (lambda: toy.invert(x / 3.0), "x: float64 in 0..1; pictures are uint8 levels 0..3"),
        (lambda: toy.invert(x + 1), "x: values .*, expected levels 0..3"),
        (lambda: toy.invert(tf.constant(x + 1)), "x: values .*, expected levels 0..3"),
        (lambda: toy.invert(tf.zeros((2, 2, 2, 3), tf.uint8)), r"x: shape \(2, 2, 2, 3\), expected \(count, 2, 2, 1\)"),
        (lambda: toy.between(x, x[:1]), "stop: 1 for 2 examples; pass one for each"),
        (lambda: toy.between(x, x[0]), r"stop: shape \(2, 2, 1\)"),
        (lambda: toy.double(z[:, :2], np.zeros(2)), r"z: shape \(2, 2\), expected \(batch, 3\)"),
        (lambda: toy.double(z, z), r"offset: shape \(2, 3\), expected \(batch, \)"),
        (lambda: toy.double(z * np.nan, np.zeros(2)), "z: nan in example 0"),
        (lambda: toy.double([["a", "b", "c"]], np.zeros(1)), "z: dtype <U1, expected float32"),
        (lambda: toy.double([[1.0], [1.0, 2.0]], np.zeros(2)), "z: the examples have different shapes"),
        (lambda: toy.measure(x, label=[0, 1]), "measure: this model takes no label"),
        (lambda: labelled.measure(x), r"label: this model is conditional; pass one label 0..2 per example"),
        (lambda: labelled.measure(x, label=1), r"label: shape \(\), expected one integer per example"),
        (lambda: labelled.measure(x, label=[0, 3]), "label: values 0..3, expected 0..2"),
        (lambda: labelled.measure(x, label=tf.constant([0, -1])), "label: values -1..0"),
        (lambda: labelled.measure(x, label=[0]), "label: 1 for 2 examples; pass one for each"),
        (lambda: labelled.sample(3, label=[0, 1]), "label: 2 for 3 examples"),
    ]:
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("count", [0, -1, 2.0, "2", True, None, [2], 2**31, np.float32(2), (1, (2, 3))])
def test_a_count_is_a_whole_number_of_at_least_one(toy, count):
    with pytest.raises(InputError, match="^count: "):
        toy.sample(count)


@pytest.mark.parametrize("count", [2, np.int64(2), np.uint8(2), np.array(2)])
def test_a_count_may_be_any_integer(toy, count):
    assert toy.sample(count).shape[0] == 2


def test_a_missing_argument_is_pythons_error(toy):
    with pytest.raises(TypeError, match="missing a required argument: 'x'"):
        toy.invert()
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        toy.invert(pictures(1), y=1)


def test_seeds_of_integers_are_pairs_and_differ():
    numbers = [0, 1, -1, 2**31 - 1, 2**31, 2**32, -(2**31), -(2**40), 2**61 - 1, -(2**61)]
    seeds = {tuple(make_seed(number).tolist()) for number in numbers}
    assert len(seeds) == len(numbers)
    for number in numbers:
        seed = make_seed(number)
        assert seed.shape == (2,)
        assert seed.dtype == np.int32


@pytest.mark.parametrize("five", [5, np.uint8(5), np.int64(5), np.array(5), tf.constant(5)])
def test_a_seed_may_be_any_integer(five):
    np.testing.assert_array_equal(make_seed(five), [5, 0])


@pytest.mark.parametrize("pair", [(3, -4), [3, -4], np.array([3, -4]), tf.constant([3, -4], tf.int64)])
def test_a_seed_may_be_a_pair(pair):
    seed = make_seed(pair)
    assert seed.dtype == np.int32
    np.testing.assert_array_equal(seed, [3, -4])


@pytest.mark.parametrize(
    "wrong", [1.5, "1", None, True, (1, 2, 3), (1,), (1.0, 2.0), (2**31, 0), 2**61, 2**80, [[1, 2]]]
)
def test_other_seeds_are_refused(toy, wrong):
    with pytest.raises(InputError, match="^seed: "):
        toy.sample(1, seed=wrong)


def test_the_same_seed_gives_the_same_answer_and_another_another(toy):
    np.testing.assert_array_equal(toy.sample(4, seed=3), Toy().sample(4, seed=(3, 0)))
    assert not np.array_equal(toy.sample(4, seed=3), toy.sample(4, seed=4))
    assert not np.array_equal(toy.sample(4, seed=(3, 0)), toy.sample(4, seed=(3, 1)))


class OwnClasses(Toy):
    """Learns from labels, and takes classes of its own for some of what it can do."""

    style = Labels(5)

    def sample(self, count, seed=0):
        return super().sample(count, seed)

    @endpoint(x=Example(), wanted=Label("style"))
    def restyle(self, x, wanted=None):
        return {"wanted": wanted}


def test_who_asks_has_to_know_the_class_also_where_training_does_not():
    partial = Toy(label=Labels(3, partial=True))
    assert partial.measure(pictures(2), label=[2, 0])["label"].numpy().tolist() == [2, 0]
    with pytest.raises(InputError, match=r"label: values -1\.\.0, expected 0\.\.2"):
        partial.measure(pictures(2), label=[-1, 0])
    with pytest.raises(InputError, match=r"pass one label 0\.\.2 per example"):
        partial.measure(pictures(2))
    assert Label().reference(partial, 99, 0).min() == 0


def test_a_label_may_be_of_other_classes_than_those_of_the_data():
    model = OwnClasses()
    assert list(model.endpoints()["restyle"].parameters(model)) == ["x", "wanted"]
    assert model.restyle(pictures(2), wanted=[4, 0])["wanted"].numpy().tolist() == [4, 0]
    with pytest.raises(InputError, match=r"wanted: values 5\.\.5, expected 0\.\.4"):
        model.restyle(pictures(1), wanted=[5])


def test_an_override_without_a_parameter_is_without_that_input(labelled):
    model = OwnClasses(label=Labels(3))
    assert list(model.endpoints()["sample"].parameters(model)) == ["count", "seed"]
    assert model.sample(3).shape == (3, 2, 2, 1)
    assert samples_by_class(labelled)
    assert not samples_by_class(model)
    assert not samples_by_class(Toy())
