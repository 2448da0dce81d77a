import numpy as np
import pytest
from PIL import Image

from tfgen.data import load, open_source
from tfgen.errors import InputError
from tfgen.specs import Images, Labels


@pytest.fixture
def folder(tmp_path):
    """Writes pictures, `{"cats/a.png": array}`, and gives the folder."""

    def write(files):
        for name, array in files.items():
            path = tmp_path / "pics" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.squeeze()).save(path)
        return tmp_path / "pics"

    return write


@pytest.fixture
def some(pictures):
    """Makes files of pictures that can be told apart by their first pixel."""

    def make(*names, size=(6, 8), channels=3):
        images = pictures(len(names), size, channels)
        images[:, 0, 0] = np.arange(len(names))[:, None]
        return dict(zip(names, images, strict=True))

    return make


def names(count, pattern="{}.png"):
    return [pattern.format(i) for i in range(count)]


def test_a_flat_folder_is_read_picture_by_picture(folder, some):
    files = some(*names(12))
    source = open_source(folder(files))
    assert source.specs == {"image": Images((6, 8, 3))}
    assert source.sizes == {"train": 12}
    images = source.arrays()["image"]
    expected = list(files.values())
    for image in images:
        np.testing.assert_array_equal(image, expected[image[0, 0, 0]])
    assert sorted(images[:, 0, 0, 0]) == list(range(12))


def test_subfolders_are_classes_with_their_names(folder, some):
    files = some(*names(6, "cats/{}.png"), *names(6, "dogs/deep/{}.png"))
    source = open_source(folder(files))
    assert source.label == Labels(2, ("cats", "dogs"))
    stored = source.arrays()
    np.testing.assert_array_equal(stored["label"], stored["image"][:, 0, 0, 0] // 6)
    assert stored["label"].dtype == np.int32


def test_classes_that_are_numbers_are_ordered_as_numbers(folder, some):
    source = open_source(folder(some("10/a.png", "9/a.png", "2/a.png")))
    assert source.label.names == ("2", "9", "10")


def test_split_folders_are_splits(folder, some):
    files = some("train/a/0.png", "train/b/1.png", "test/a/2.png", "val/b/3.png", "other/c/4.png")
    source = open_source(folder(files))
    assert source.sizes == {"train": 2, "valid": 1, "test": 1}
    assert source.label.names == ("a", "b")
    assert source.arrays("valid")["label"] == [1]


def test_a_slice_of_a_folder_has_pictures_of_all_classes(folder, some):
    source = open_source(folder(some(*names(20, "a/{}.png"), *names(20, "b/{}.png"), size=(2, 2))))
    assert set(source.arrays("train[:50%]")["label"]) == {0, 1}


def test_size_and_channels_can_be_asked_for(folder, some):
    path = folder(some("a.png", size=(6, 8)) | some("b.jpg", size=(9, 9), channels=1))
    source = open_source(path, image_size=(4, 5), channels=1, levels=8)
    assert source.example == Images((4, 5, 1), 8)
    image = source.arrays()["image"]
    assert image.shape == (2, 4, 5, 1)
    assert image.max() < 8


def test_other_files_and_hidden_ones_are_left_alone(folder, some):
    path = folder(some("a.png", ".b.png"))
    (path / "notes.txt").write_text("not a picture")
    assert open_source(path).sizes == {"train": 1}


def test_a_transparent_picture_is_laid_on_white_and_a_palette_is_coloured(folder):
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0] = (200, 0, 0, 255)
    path = folder({"a.png": clear})
    Image.fromarray(np.full((2, 2, 3), 90, np.uint8)).convert("P").save(path / "b.png")
    images = open_source(path).arrays()["image"]
    by_corner = {tuple(image[1, 1]): tuple(image[0, 0]) for image in images}
    assert by_corner[255, 255, 255] == (200, 0, 0)
    assert len(by_corner) == 2


def test_a_turned_photograph_stands_upright(tmp_path):
    array = np.zeros((16, 32, 3), np.uint8)
    array[:, :16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the left side of what is stored was at the top
    Image.fromarray(array).save(tmp_path / "a.jpg", exif=exif)
    source = open_source(tmp_path)
    assert source.example == Images((32, 16, 3))
    image = source.arrays()["image"][0]
    assert image[:14].min() > 200
    assert image[18:].max() < 50


def test_an_empty_folder_is_said_to_be_empty(tmp_path):
    with pytest.raises(InputError, match="no pictures in this folder"):
        open_source(tmp_path)


def test_an_empty_class_is_named(folder, some):
    path = folder(some("cats/a.png"))
    (path / "dogs").mkdir()
    with pytest.raises(InputError, match="dogs: a class without pictures"):
        open_source(path)


def test_pictures_with_and_without_a_class_are_named(folder, some):
    with pytest.raises(InputError, match=r"a\.png has a class, .*b\.png has none"):
        open_source(folder(some("cats/a.png", "b.png")))


def test_pictures_of_several_sizes_are_named_unless_a_size_is_asked_for(folder, some):
    path = folder(some("a.png", "b.png") | some("c.png", size=(7, 8)))
    with pytest.raises(InputError, match=r"a\.png has 6x8 pixels, .*c\.png has 7x8; pass image_size=64"):
        open_source(path)
    assert open_source(path, image_size=4).arrays()["image"].shape == (3, 4, 4, 3)


def test_grey_and_coloured_pictures_are_named_unless_channels_are_asked_for(folder, some):
    path = folder(some("a.png") | some("b.png", channels=1))
    with pytest.raises(InputError, match=r"a\.png is coloured, .*b\.png is grey; pass channels=1 or channels=3"):
        open_source(path)
    assert open_source(path, channels=3).arrays()["image"].shape == (2, 6, 8, 3)


@pytest.fixture
def half_broken(folder, some):
    """Ten pictures: `cut.png` lacks its end, `text.png` is no picture, `deep.png` has 16 bits."""
    path = folder(some(*names(7), "cut.png", size=(40, 40)))
    data = (path / "cut.png").read_bytes()
    (path / "cut.png").write_bytes(data[: len(data) // 2])
    (path / "text.png").write_text("no picture")
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(path / "deep.png")
    return path


def test_a_broken_picture_is_named_before_training(half_broken):
    with pytest.raises(InputError, match=r"deep\.png: a broken picture \(mode I;16 .*and 1 more"):
        open_source(half_broken)
    (half_broken / "deep.png").unlink()
    with pytest.raises(InputError, match=r"text\.png: a broken picture \(of no known picture format\)"):
        open_source(half_broken)
    (half_broken / "text.png").unlink()
    with pytest.raises(InputError, match=r"cut\.png: a broken picture \(.*truncated.*pass on_broken='skip'"):
        load(half_broken, batch_size=2)


def test_broken_pictures_can_be_skipped_and_are_counted(half_broken):
    source = open_source(half_broken, on_broken="skip")
    assert source.sizes == {"train": 7}
    assert sorted(path.rsplit("/", 1)[1] for path in source.skipped) == ["cut.png", "deep.png", "text.png"]
    assert source.describe().endswith("train 7; 3 broken files skipped")
    assert sorted(source.arrays()["image"][:, 0, 0, 0]) == list(range(7))


def test_a_folder_with_broken_pictures_alone_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(InputError, match="every picture is broken"):
        open_source(tmp_path, on_broken="skip")


def test_on_broken_is_error_or_skip(folder, some):
    with pytest.raises(InputError, match="on_broken='ignore': expected 'error' or 'skip'"):
        open_source(folder(some("a.png")), on_broken="ignore")


def test_a_folder_larger_than_memory_gives_the_same_batches(folder, some, monkeypatch):
    from tfgen.data import source

    path = folder(some(*names(10, "a/{}.png"), *names(10, "b/{}.png")))
    for options in ({}, {"levels": 4, "channels": 1}, {"levels": 2}):
        kept = open_source(path, **options)
        small = list(kept.dataset(batch_size=6).as_numpy_iterator())
        with monkeypatch.context() as patch:
            patch.setattr(source, "IN_MEMORY", 0)
            large = open_source(path, **options).dataset(batch_size=6)
            again = [list(large.as_numpy_iterator()) for _ in range(2)]
        for one, two in zip(small, again[0], strict=True):
            np.testing.assert_array_equal(one["label"], two["label"])
            assert one["image"].shape == two["image"].shape
            if options.get("levels") != 2:
                np.testing.assert_array_equal(one["image"], two["image"])
        assert large.cardinality() == 4
        assert not np.array_equal(again[0][0]["label"], again[1][0]["label"])


def test_static_draws_of_a_folder_larger_than_memory_do_not_change(folder, some, small_memory):
    path = folder(some(*names(6), channels=1))
    source = open_source(path, levels=2)
    dataset = source.dataset(batch_size=6, shuffle=False)
    first, second = (next(iter(dataset))["image"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert set(np.unique(first)) == {0, 1}
    part = next(iter(source.dataset("train[2:]", batch_size=4, shuffle=False)))["image"]
    np.testing.assert_array_equal(part, first[2:])
    with pytest.raises(InputError, match="too large for memory"):
        source.arrays()


def test_a_broken_picture_of_a_folder_larger_than_memory_is_named_before_training(half_broken, small_memory):
    for name in ("deep.png", "text.png"):
        (half_broken / name).unlink()
    with pytest.raises(InputError, match=r"cut\.png: a broken picture"):
        load(half_broken, batch_size=2)
    assert open_source(half_broken, on_broken="skip").dataset(batch_size=7).cardinality() == 1


def test_a_picture_that_breaks_during_training_is_named(folder, some, small_memory):
    path = folder(some(*names(4)))
    dataset = load(path, batch_size=4)
    (path / "2.png").write_text("no picture any more")
    with pytest.raises(Exception, match=r"2\.png: broken since training began"):
        list(dataset)
