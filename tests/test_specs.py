"""Specs: what an example is, and the map between levels and what networks see."""

import numpy as np
import pytest
import tensorflow as tf

from tfgen.errors import InputError
from tfgen.specs import Codes, Images, Labels, Points


def pictures(count=4, levels=256, shape=(3, 2, 1)):
    return np.random.default_rng(0).integers(0, levels, (count, *shape), np.uint8)


def test_every_level_survives_the_way_to_the_network_and_back():
    for levels in range(2, 257):
        spec = Images((1, 1, levels), levels)
        image = np.arange(levels, dtype=np.uint8).reshape(1, 1, 1, levels)
        x = spec.to_network(image)
        assert x.dtype == tf.float32
        np.testing.assert_array_equal(spec.from_network(x), image, err_msg=f"{levels} levels")


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_levels_lie_evenly_between_minus_one_and_one(levels):
    x = Images((1, 1, levels), levels).to_network(np.arange(levels, dtype=np.uint8)[None, None, None])
    np.testing.assert_allclose(x[0, 0, 0], np.linspace(-1, 1, levels), atol=1e-6)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_what_a_network_gives_is_taken_to_the_nearest_level(levels):
    spec = Images((1, 1, levels), levels)
    rng = np.random.default_rng(0)
    level = np.arange(levels)
    x = np.linspace(-1, 1, levels) + rng.uniform(-0.49, 0.49, levels) * 2 / (levels - 1)
    found = spec.from_network(x[None, None, None].astype(np.float32))
    assert found.dtype == tf.uint8
    np.testing.assert_array_equal(found[0, 0, 0], level)


def test_what_a_network_gives_outside_of_its_range_is_clipped():
    found = Images((1, 2, 1), 17).from_network(np.array([-9.0, 9.0], np.float32).reshape(1, 1, 2, 1))
    assert found.numpy().ravel().tolist() == [0, 16]


def test_half_precision_from_a_network_does_not_shift_levels():
    spec = Images((1, 1, 17), 17)
    level = np.arange(17, dtype=np.uint8)[None, None, None]
    np.testing.assert_array_equal(spec.from_network(tf.cast(spec.to_network(level), tf.bfloat16)), level)


def test_a_picture_to_look_at_spans_black_to_white():
    image = np.array([0, 1], np.uint8).reshape(1, 1, 2, 1)
    assert Images((1, 2, 1), 2).to_picture(image).ravel().tolist() == [0, 255]
    full = pictures()
    np.testing.assert_array_equal(Images((3, 2, 1)).to_picture(full), full)


def test_points_are_the_same_inside_and_outside_of_networks():
    spec, x = Points(3), np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_array_equal(spec.from_network(spec.to_network(x)), x)


def test_dimensions_are_the_scalars_of_an_example():
    assert Images((28, 14, 3)).dimensions == 28 * 14 * 3
    assert Points(5).dimensions == 5


def test_tensor_specs_name_the_key_and_leave_the_batch_free():
    assert Images((3, 2, 1)).tensor_spec() == tf.TensorSpec((None, 3, 2, 1), tf.uint8, name="image")
    assert Points(2).tensor_spec(7) == tf.TensorSpec((7, 2), tf.float32, name="point")
    assert Labels(3).tensor_spec() == tf.TensorSpec((None,), tf.int32, name="label")


@pytest.mark.parametrize(
    "spec",
    [Images([3, 2, 1], 17), Images((np.int64(3), 2, 1)), Points(3), Labels(2, ["a", "b"]), Labels(2, partial=True)],
    ids=repr,
)
def test_a_spec_comes_back_from_its_configuration(spec):
    assert type(spec).from_config(spec.get_config()) == spec
    assert hash(type(spec).from_config(spec.get_config())) == hash(spec)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Images((8, 8)), r"shape \(8, 8\) is not \(height, width, channels\)"),
        (lambda: Images((8, 0, 1)), "of at least 1"),
        (lambda: Images(8), "shape 8 is not"),
        (lambda: Images((8.5, 8, 1)), "whole numbers"),
        (lambda: Images("8x8"), "shape '8x8' is not"),
        (lambda: Images((8, 8, 1), 1), "1 levels; a uint8 picture has 2 to 256"),
        (lambda: Images((8, 8, 1), 257), "257 levels"),
        (lambda: Images((8, 8, 1), 2.5), "2.5 levels"),
        (lambda: Images((8, 8, 1), None), "None levels"),
        (lambda: Points(0), "size 0, expected a whole number of at least 1"),
        (lambda: Points("2"), "size '2'"),
        (lambda: Labels(0), "count 0"),
        (lambda: Labels(True), "count True"),
        (lambda: Labels(3, ("a", "b")), "2 names for 3 classes"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_valid_arrays_pass_unchanged():
    image = pictures(levels=17)
    np.testing.assert_array_equal(Images((3, 2, 1), 17).validate(image), image)
    label = np.array([0, 2, 1], np.int64)
    assert Labels(3).validate(label).dtype == np.int32
    assert Points(2).validate([[1, 2], [3, 4]]).dtype == np.float32


def test_integers_of_any_type_and_booleans_become_uint8():
    for dtype in (np.int64, np.int8, np.uint16, bool):
        image = (pictures(levels=2)).astype(dtype)
        validated = Images((3, 2, 1), 2).validate(image)
        assert validated.dtype == np.uint8
        np.testing.assert_array_equal(validated, image.astype(np.uint8))


def test_grey_pictures_may_come_without_a_channel_axis():
    image = pictures()
    np.testing.assert_array_equal(Images((3, 2, 1)).validate(image[..., 0]), image)
    np.testing.assert_array_equal(Images((3, 2, 1)).check(tf.constant(image[..., 0])), image)


def test_an_empty_batch_is_valid():
    assert Images((3, 2, 1)).validate(np.zeros((0, 3, 2, 1), np.uint8)).shape == (0, 3, 2, 1)
    assert Labels(3).validate(np.zeros(0, np.int64)).shape == (0,)
    assert Points(2).validate(np.zeros((0, 2))).shape == (0, 2)


nan = np.zeros((4, 3, 2, 1), np.float32)
nan[2, 1] = np.nan


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 3, 2, 3), np.uint8), r"image: shape \(4, 3, 2, 3\), expected \(count, 3, 2, 1\)"),
        (np.zeros((3, 2, 1), np.uint8), r"shape \(3, 2, 1\), expected \(count, 3, 2, 1\)"),
        (np.uint8(3), r"shape \(\), expected"),
        ([np.zeros((3, 2, 1)), np.zeros((4, 2, 1))], "the examples have different shapes"),
        (np.full((4, 3, 2, 1), 17, np.uint8), "values 17..17, expected levels 0..16"),
        (np.full((4, 3, 2, 1), -1), "values -1..-1, expected levels 0..16"),
        (nan, "image: nan in example 2; remove or repair it"),
        (np.full((4, 3, 2, 1), np.inf), "inf in example 0"),
        (np.linspace(0, 1, 24).reshape(4, 3, 2, 1), r"float64 in 0..1; .* pass np.round\(x \* 16\).astype\('uint8'\)"),
        (np.linspace(-1, 1, 24).reshape(4, 3, 2, 1), r"float64 in -1..1; .* pass np.round\(\(x \+ 1\) \* 8.0\)"),
        (np.full((4, 3, 2, 1), 9.0), r"float64; pictures are uint8 levels 0..16: pass x.astype\('uint8'\)"),
        (np.full((4, 3, 2, 1), "a"), "dtype <U1, expected uint8 levels 0..16"),
        (np.full((4, 3, 2, 1), 1j), "dtype complex128"),
    ],
)
def test_wrong_pictures_are_named(array, message):
    with pytest.raises(InputError, match=message):
        Images((3, 2, 1), 17).validate(array)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("low", [0, -1])
def test_the_advice_for_floats_makes_them_levels(levels, low):
    spec = Images((1, 1, levels), levels)
    x = np.linspace(low, 1, levels)[None, None, None]
    with pytest.raises(InputError) as error:
        spec.validate(x)
    advice = str(error.value).split("pass ")[1]
    np.testing.assert_array_equal(spec.validate(eval(advice, {"np": np, "x": x})).ravel(), np.arange(levels))


def test_an_error_says_where():
    with pytest.raises(InputError, match="^start: shape"):
        Images((3, 2, 1)).validate(np.zeros(3, np.uint8), "start")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 3)), r"point: shape \(4, 3\), expected \(count, 2\)"),
        (np.zeros(2), r"shape \(2,\)"),
        ([[0.0, np.nan]], "nan in example 0"),
        ([["a", "b"]], "dtype <U1, expected float32"),
        ([[1.0, 2.0], [3.0]], "different shapes"),
    ],
)
def test_wrong_points_are_named(array, message):
    with pytest.raises(InputError, match=message):
        Points(2).validate(array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.eye(3, dtype=int), r"label: shape \(3, 3\), expected one integer per example"),
        (2, r"shape \(\), expected one integer per example"),
        (np.zeros(3), "dtype float64, expected integers 0..2"),
        (np.array([0, 3]), "values 0..3, expected 0..2"),
        (np.array([-1, 0]), "values -1..0, expected 0..2"),
        (np.array([True]), "dtype bool"),
    ],
)
def test_wrong_labels_are_named(array, message):
    with pytest.raises(InputError, match=message):
        Labels(3).validate(array)


def test_partial_labels_may_be_minus_one_and_nothing_below():
    label = np.array([-1, 0, 2])
    np.testing.assert_array_equal(Labels(3, partial=True).validate(label), label)
    np.testing.assert_array_equal(in_graph(Labels(3, partial=True), label), label)
    for wrong in (np.array([-2, 0]), np.array([0, 3])):
        with pytest.raises(InputError, match=r"expected -1 \(not known\) or 0\.\.2"):
            Labels(3, partial=True).validate(wrong)
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"label: a value is not in -1\.\.2"):
            in_graph(Labels(3, partial=True), wrong)


def test_the_configuration_of_labels_that_are_all_known_is_as_it_always_was():
    assert Labels(2, ("a", "b")).get_config() == {"count": 2, "names": ("a", "b")}


def in_graph(spec, value):
    """Checks inside of a graph that knows no sizes."""
    value = tf.convert_to_tensor(value)
    unknown = tf.TensorSpec([None] * value.shape.rank, value.dtype)
    return tf.function(spec.check, input_signature=[unknown], autograph=False)(value)


def test_the_check_in_a_graph_gives_the_dtypes_of_the_specs():
    image = pictures(levels=17).astype(np.int64)
    checked = in_graph(Images((3, 2, 1), 17), image)
    assert checked.dtype == tf.uint8
    np.testing.assert_array_equal(checked, image)
    assert in_graph(Labels(3), np.array([0, 2], np.int64)).dtype == tf.int32
    assert in_graph(Points(2), np.zeros((1, 2), np.float64)).dtype == tf.float32


def test_an_empty_batch_passes_the_check_in_a_graph():
    assert in_graph(Images((3, 2, 1), 2), np.zeros((0, 3, 2, 1), np.uint8)).shape == (0, 3, 2, 1)


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        (Images((3, 2, 1)), np.zeros((4, 3, 2, 1), np.float32), "dtype float32, expected uint8 levels 0..255"),
        (Images((3, 2, 1)), np.zeros((4, 3, 2), np.float32), "dtype float32"),
        (Images((3, 2, 1)), np.zeros((4, 3), np.uint8), r"shape \(None, None\), expected \(batch, 3, 2, 1\)"),
        (Points(2), np.zeros((4, 3, 2), np.float32), r"expected \(batch, 2\)"),
        (Labels(3), np.zeros(4, np.float32), "float32 of shape"),
        (Labels(3), np.eye(3, dtype=np.int32), "expected integers of shape"),
    ],
)
def test_what_a_graph_knows_beforehand_is_refused_while_it_is_built(spec, value, message):
    with pytest.raises(InputError, match=message):
        in_graph(spec, value)


@pytest.mark.parametrize(
    ("spec", "value", "message"),
    [
        (Images((3, 2, 1), 17), np.full((4, 3, 2, 1), 17, np.uint8), "image: a value is not in 0..16"),
        (Images((3, 2, 1)), np.full((4, 3, 2, 1), 256), "image: a value is not in 0..255"),
        (Images((3, 2, 1)), np.full((4, 3, 2, 1), -1, np.int8), "image: a value is not in 0..255"),
        (Images((3, 2, 1)), np.full((4, 3, 2, 1), 2**32), "image: a value is not in 0..255"),
        (Images((3, 2, 1)), np.zeros((4, 3, 2, 3), np.uint8), "not compatible with expected shape"),
        (Labels(3), np.array([0, 3]), "label: a value is not in 0..2"),
        (Labels(3), np.array([-1, 0]), "label: a value is not in 0..2"),
    ],
)
def test_what_a_graph_meets_on_its_way_stops_it(spec, value, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        in_graph(spec, value)


def test_maps_of_codes_are_whole_numbers_below_their_count():
    spec = Codes((2, 3, 1), 600)
    codes = np.arange(594, 600).reshape(1, 2, 3)
    checked = spec.validate(codes)
    assert checked.dtype == np.int32 and checked.shape == (1, 2, 3, 1) and spec.dimensions == 6
    np.testing.assert_array_equal(spec.check(codes[..., None]), checked)
    assert Codes.from_config(spec.get_config()) == spec
    for wrong, message in (
        (codes + 1, r"values 595..600, expected 0..599"),
        (codes - 600, "values -6"),
        (codes.astype(np.float32), "dtype float32"),
        (codes[:, :1], r"expected \(count, 2, 3, 1\)"),
    ):
        with pytest.raises(InputError, match=message):
            spec.validate(wrong)
    with pytest.raises(InputError, match="1 codes"):
        Codes((2, 2, 1), 1)
    with pytest.raises(InputError, match="height, width, channels"):
        Codes((2, 2), 4)
    with pytest.raises(InputError, match="expected integers"):
        spec.check(codes.astype(np.float32))
