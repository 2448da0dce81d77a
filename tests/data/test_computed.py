import numpy as np
import pytest
import tensorflow as tf

from tfgen.data import faces, open_source, shapes
from tfgen.errors import InputError
from tfgen.specs import Images, Labels, Points


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


def opened(name, data_dir, **options):
    return open_source(name, data_dir=data_dir, **{"count": 50} | options)


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25)])
def test_points_scatter_around_the_mode_that_is_their_label(name, modes, data_dir):
    source = opened(name, data_dir, count=2500)
    assert source.specs["point"] == Points(2)
    assert source.label.count == modes
    assert source.modes.shape == (modes, 2)
    points, label = (source.arrays("train")[key] for key in ("point", "label"))
    assert points.dtype == np.float32
    error = points - source.modes[label]
    assert abs(error.std() / source.sigma - 1) < 4 / np.sqrt(2 * error.size)
    assert np.abs(error.mean(axis=0)).max() < 4 * source.sigma / np.sqrt(len(points))
    counts = np.bincount(label, minlength=modes)
    assert ((counts - 2500 / modes) ** 2 / (2500 / modes)).sum() < modes + 4 * np.sqrt(2 * modes)  # chi-squared


def test_the_modes_are_those_of_the_literature(data_dir):
    ring = opened("ring", data_dir).modes
    np.testing.assert_allclose(np.hypot(*ring.T), 2, rtol=1e-6)
    np.testing.assert_allclose(ring[[0, 2]], [[2, 0], [0, 2]], atol=1e-6)
    grid = {tuple(mode) for mode in opened("grid", data_dir).modes.tolist()}
    assert grid == {(x, y) for x in (-2.0, -1.0, 0.0, 1.0, 2.0) for y in (-2.0, -1.0, 0.0, 1.0, 2.0)}


def test_a_computed_set_says_what_it_is_before_it_is_computed(tmp_path):
    source = opened("shapes", tmp_path, image_size=(16, 24))
    assert source.specs["image"] == Images((16, 24, 3))
    assert source.specs["color"] == Labels(6, tuple(shapes.COLORS))
    assert source.label.names == shapes.SHAPES
    assert source.sizes == {"train": 50, "test": 10}
    assert not list(tmp_path.rglob("*.tfrecord*"))
    source.arrays("train[:1]")
    assert len(list(tmp_path.rglob("*.tfrecord*"))) == 2


@pytest.mark.parametrize("name", ["ring", "grid", "shapes", "faces"])
def test_an_example_depends_on_seed_and_place_alone(name, data_dir):
    key = opened(name, data_dir).example.key
    few, many = (opened(name, data_dir, count=count).arrays("train") for count in (50, 70))
    for factor, values in few.items():
        np.testing.assert_array_equal(values, many[factor][:50])
    assert not np.array_equal(opened(name, data_dir, seed=1).arrays("train")[key], few[key])
    assert not np.array_equal(opened(name, data_dir).arrays("test")[key], few[key][:10])


def test_a_computed_set_is_computed_once(data_dir, monkeypatch):
    first = opened("shapes", data_dir).arrays("train")["image"]
    monkeypatch.setattr(shapes, "draw", None)
    np.testing.assert_array_equal(opened("shapes", data_dir).arrays("train")["image"], first)


def test_a_batch_of_shapes_has_all_factors_under_their_keys(data_dir):
    source = opened("shapes", data_dir)
    batch = next(iter(source.dataset(batch_size=8)))
    assert set(batch) == set(source.keys)
    assert set(batch) == {
        "image", "label", "shape", "color", "size", "row", "column", "x", "y", "box", "caption"
    }  # fmt: skip
    assert batch["image"].shape == (8, 32, 32, 3)
    assert batch["box"].shape == (8, 4)
    assert batch["x"].dtype == tf.float32
    assert batch["caption"].dtype == tf.string
    np.testing.assert_array_equal(batch["label"], batch["shape"])


@pytest.mark.parametrize("size", [(32, 32), (24, 48)])
def test_a_shape_has_its_colour_and_fills_its_box(size, data_dir):
    stored = opened("shapes", data_dir, image_size=size).arrays("train")
    palette = np.array(list(shapes.COLORS.values()))
    ground = np.array(shapes.GROUND)
    for image, color, box, x, y in zip(*(stored[key] for key in ("image", "color", "box", "x", "y")), strict=True):
        differs = np.abs(image.astype(int) - ground).sum(axis=-1) > 60
        rows, columns = np.nonzero(differs.any(axis=1))[0], np.nonzero(differs.any(axis=0))[0]
        seen = np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]) / np.array([*size, *size])
        assert np.abs(seen - box).max() <= 1.01 / min(size)
        np.testing.assert_allclose([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], [y, x], atol=1e-6)
        at = int(y * size[0]), int(x * size[1])
        assert np.abs(palette - image[at]).sum(axis=1).argmin() == color


def test_a_caption_says_size_colour_shape_and_place(data_dir):
    stored = opened("shapes", data_dir).arrays("train")
    place = {("middle", "centre"): "in the centre", ("middle", "left"): "on the left", ("top", "centre"): "at the top"}
    for i, caption in enumerate(stored["caption"]):
        said = {key: names[stored[key][i]] for key, names in shapes.CLASSES.items()}
        assert caption.decode().startswith(f"a {said['size']} {said['color']} {said['shape']} ")
        where = said["row"], said["column"]
        if where in place or not {"centre", "middle"} & set(where):
            assert caption.decode().endswith(place.get(where, f" at the {' '.join(where)}"))


def face(**changes):
    """Draws a bald, serious young person who looks ahead, but for the changes."""
    found = {key: np.zeros(1, np.int32) for key in faces.CLASSES}
    found |= {"years": np.full(1, 15, np.float32), "degrees": np.zeros(1, np.float32), "yaw": np.ones(1, np.int32)}
    found |= {key: np.full(1, value, found[key].dtype) for key, value in changes.items()}
    return faces.draw(found, (64, 64))[0].astype(int)


def changed(one, two):
    """Returns the rows and columns, as shares of the picture, in which two pictures differ."""
    rows, columns = np.nonzero(np.abs(one - two).sum(axis=-1) > 30)
    return rows.min() / 64, rows.max() / 64, columns.min() / 64, columns.max() / 64


def test_each_factor_of_a_face_changes_the_part_that_it_names():
    plain = face()
    top, bottom, *_ = changed(plain, face(smile=1))
    assert 0.6 < top < bottom < 0.8  # the mouth
    top, bottom, left, right = changed(plain, face(glasses=1))
    assert 0.4 < top < bottom < 0.65
    assert left < 0.4 < 0.6 < right
    top, bottom, *_ = changed(plain, face(hair=1))
    assert top < 0.25 < bottom < 0.6
    assert changed(face(hair=1), face(hair=1, hair_color=2))[0] < 0.25


def test_a_face_that_turns_is_mirrored_by_the_opposite_turn():
    left, right = face(degrees=-35), face(degrees=35)
    np.testing.assert_allclose(left, right[:, ::-1], atol=2)
    assert np.abs(left - face()).mean() > 3


def test_the_hair_of_the_old_is_grey_and_their_skin_is_wrinkled():
    old = face(hair=2, hair_color=3, years=84)
    assert np.ptp(old[12, 32]) < 12
    assert np.ptp(face(hair=2, hair_color=3)[12, 32]) > 100
    assert changed(face(years=30), face(years=68))[0] < 0.4


def test_factors_of_faces_agree_with_each_other(data_dir):
    source = opened("faces", data_dir)
    stored = source.arrays("train")
    assert {"smile", "glasses", "age", "hair", "yaw", "identity", "years", "degrees"} <= set(stored)
    for key, group, ranges in (("years", "age", faces.YEARS), ("degrees", "yaw", faces.DEGREES)):
        low, high = np.array(ranges)[stored[group]].T
        assert (low <= stored[key]).all()
        assert (stored[key] <= high).all()
    assert source.label.names == faces.HAIR


def test_a_computed_set_does_not_shuffle_its_pictures_away_from_their_factors(data_dir):
    found = faces.factors(np.random.default_rng((0, 0)).random((50, faces.FACTORS)), (32, 32))
    stored = opened("faces", data_dir).arrays("train")
    np.testing.assert_array_equal(stored["image"], faces.draw(found, (32, 32)))
    np.testing.assert_array_equal(stored["identity"], found["identity"])


def test_pictures_can_be_grey_and_of_few_levels(data_dir):
    source = opened("faces", data_dir, channels=1, levels=4)
    assert source.example == Images((32, 32, 1), 4)
    assert source.arrays("test")["image"].max() == 3


def test_preparing_is_silent(tmp_path, capfd):
    opened("ring", tmp_path).dataset(batch_size=5)
    out, err = capfd.readouterr()
    assert out == ""
    assert "examples/s" not in err
    assert "absl" not in err


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ring", {"image_size": 8}, "ring: these are points; they take no image_size"),
        ("shapes", {"count": 0}, "shapes: count=0, expected a number of training examples"),
        ("shapes", {"size": -3}, "image_size=-3"),
        ("shapes", {"counts": 5}, "unknown option 'counts'; did you mean count"),
        ("digits", {"count": 5}, "digits: takes no count; only computed sets do"),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        open_source(name, data_dir=tmp_path, **options)
