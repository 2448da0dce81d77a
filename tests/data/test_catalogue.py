import ast
import pathlib
import socket
import urllib.request

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import tfgen.data
from tfgen.data import load, names, open_source
from tfgen.data.preparing import quiet
from tfgen.errors import InputError
from tfgen.specs import Images, Labels

GREYS = np.arange(30, dtype=np.uint8)


class TinyPictures(tfds.core.GeneratorBasedBuilder):
    """Thirty pictures of several sizes, each of one grey that is its number, with factors of several kinds."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["even", "odd"]),
            "file": tfds.features.Text(),
            "mask": tfds.features.Image(shape=(None, None, 1)),
            "attributes": {"large": np.bool_, "height": np.float32},
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(GREYS[:20]), "test": self._generate_examples(GREYS[20:])}

    def _generate_examples(self, greys):
        for grey in greys:
            size = 4 + grey % 3
            image = np.full((size, 2 * size, 3), grey, np.uint8)
            yield (
                int(grey),
                {
                    "image": image,
                    "label": grey % 2,
                    "file": f"{grey}.png",
                    "mask": image[..., :1],
                    "attributes": {"large": size == 6, "height": float(size)},
                },
            )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    with quiet():
        TinyPictures(data_dir=folder).download_and_prepare()
    return folder


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(urllib.request, "getproxies", dict)


def test_a_set_of_tensorflow_datasets_is_opened_by_its_name(data_dir):
    source = open_source("tiny_pictures", data_dir=data_dir, image_size=4)
    assert source.specs == {
        "image": Images((4, 4, 3)),
        "label": Labels(2, ("even", "odd")),
        "attributes/large": Labels(2, ("no", "yes")),
    }
    assert source.sizes == {"train": 20, "test": 10}
    stored = source.arrays("train")
    assert set(stored) == {"image", "label", "attributes/large", "attributes/height"}
    grey = stored["image"][:, 0, 0, 0]
    assert sorted(grey) == list(range(20))
    np.testing.assert_array_equal(stored["label"], grey % 2)
    np.testing.assert_array_equal(stored["attributes/large"], grey % 3 == 2)
    assert stored["label"].dtype == stored["attributes/large"].dtype == np.int32


def test_a_set_larger_than_memory_is_streamed_with_an_order_per_epoch(data_dir, small_memory):
    source = open_source("tiny_pictures", data_dir=data_dir, image_size=4)

    def epochs(count, **options):
        dataset = source.dataset(batch_size=8, **options)
        assert dataset.cardinality() == 3
        return [np.concatenate([b["image"][:, 0, 0, 0] for b in dataset.as_numpy_iterator()]) for _ in range(count)]

    first, second, third = epochs(3)
    assert sorted(first) == sorted(second) == list(range(20))
    assert not np.array_equal(first, second)
    tf.random.set_seed(123)  # has no say in it
    np.testing.assert_array_equal(epochs(1, epoch=2)[0], third)
    plain = epochs(2, shuffle=False)
    np.testing.assert_array_equal(plain[0], plain[1])
    with pytest.raises(InputError, match="split 'train' is too large for memory"):
        source.arrays()


def test_a_streamed_set_can_be_sliced_and_binarized(data_dir, small_memory):
    for binarize in ("static", "dynamic"):
        source = open_source("tiny_pictures", data_dir=data_dir, image_size=16, levels=2, binarize=binarize)
        dataset = source.dataset("train[25%:]", batch_size=15, shuffle=False)
        first, second = (next(iter(dataset))["image"].numpy() for _ in range(2))
        assert first.shape == (15, 16, 16, 3)
        assert set(np.unique(first)) == {0, 1}
        assert np.array_equal(first, second) == (binarize == "static")


def test_the_spec_is_known_before_a_download(tmp_path):
    source = open_source("mnist", data_dir=tmp_path)
    assert source.specs == {"image": Images((28, 28, 1)), "label": Labels(10, tuple("0123456789"))}
    assert source.sizes == {}
    assert source.describe().endswith("sizes known once downloaded")
    assert open_source("celeb_a", data_dir=tmp_path, image_size=64).example == Images((64, 64, 3))
    assert list(tmp_path.iterdir()) == []


def one_line(error):
    assert "\n" not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


def test_a_set_that_is_not_here_says_to_download_it(tmp_path):
    with pytest.raises(InputError) as error:
        load("mnist", data_dir=tmp_path)
    assert one_line(error) == f"mnist: not in {tmp_path} yet; pass download=True, or another data_dir"


def test_a_missing_network_gives_one_line(tmp_path, no_network):
    with pytest.raises(InputError) as error:
        load("mnist", data_dir=tmp_path, download=True)
    assert "mnist: cannot be downloaded, storage.googleapis.com is out of reach" in one_line(error)


def test_a_download_that_breaks_gives_one_line(tmp_path, monkeypatch):
    def break_(*args, **kwargs):
        raise ConnectionResetError("reset by peer\nand a long tail")

    monkeypatch.setattr(TinyPictures, "_generate_examples", break_)
    with pytest.raises(InputError) as error:
        load("tiny_pictures", data_dir=tmp_path, download=True, image_size=4)
    assert "tiny_pictures: could not be prepared in" in one_line(error)
    assert "reset by peer" in one_line(error)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digitz", {}, "unknown data set, folder or file 'digitz'; did you mean digits"),
        ("mnits", {}, "did you mean .*mnist"),
        ("qqqqqqqq", {}, "known: digits, faces, grid, ring, shapes"),
        ("lsun/bedrom", {"image_size": 8}, "unknown kind of lsun 'bedrom'; did you mean bedroom"),
        ("wikipedia", {}, "wikipedia: has no pictures, only"),
        ("tiny_pictures", {}, "tiny_pictures: pictures of several sizes; pass image_size=64"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name, options, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        open_source(name, data_dir=tmp_path, **options)
    one_line(error)


def test_a_path_that_is_not_here_is_refused_with_the_nearest(tmp_path):
    (tmp_path / "digits.npz").touch()
    with pytest.raises(InputError, match=r"no such file or folder .*digit.npz'; did you mean digits.npz"):
        open_source(tmp_path / "digit.npz")
    with pytest.raises(InputError, match="no such folder"):
        open_source(str(tmp_path / "nowhere" / "pictures.npz"))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"notes.txt: expected a folder of pictures, or an .npz or .npy file"):
        open_source(tmp_path / "notes.txt")


def test_a_name_goes_before_a_folder_of_the_same_name(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert open_source("digits").sizes["train"] == 1437
    with pytest.raises(InputError, match="no pictures in this folder"):
        open_source("./digits")


def test_the_sets_without_download_are_listed():
    assert names() == ["digits", "faces", "grid", "ring", "shapes"]


def test_heavy_packages_are_imported_only_when_they_are_needed():
    heavy = {"PIL", "sklearn", "tensorflow_datasets"}
    for file in pathlib.Path(tfgen.data.__file__).parent.glob("*.py"):
        if file.name == "builders.py":  # is itself imported only then
            continue
        body = ast.parse(file.read_text()).body
        roots = {alias.name.split(".")[0] for node in body if isinstance(node, ast.Import) for alias in node.names}
        modules = {node.module for node in body if isinstance(node, ast.ImportFrom)}
        assert not heavy & (roots | {module.split(".")[0] for module in modules})
        assert "tfgen.data.builders" not in modules
