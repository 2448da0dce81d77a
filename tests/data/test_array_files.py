import numpy as np
import pytest

from tfgen.data import load, open_source
from tfgen.errors import InputError
from tfgen.specs import Images, Labels


def test_pictures_and_labels_are_found_by_name(save, pictures):
    image, label = pictures(), np.arange(10) % 3
    source = open_source(save(image=image, label=label))
    assert source.specs == {"image": Images((4, 6, 1)), "label": Labels(3)}
    assert source.sizes == {"train": 10}
    stored = source.arrays("train")
    np.testing.assert_array_equal(stored["image"], image)
    np.testing.assert_array_equal(stored["label"], label)
    assert stored["label"].dtype == np.int32


@pytest.mark.parametrize(
    ("names", "labelled"),
    [
        ({"x_train": "train", "y_train": "train", "x_test": "test", "y_test": "test"}, True),  # as Keras stores MNIST
        ({"train_image": "train", "train_label": "train", "test_image": "test", "test_label": "test"}, True),
        ({"train_images": "train", "train_labels": "train", "val_images": "valid", "val_labels": "valid"}, True),
        ({"train": "train", "valid": "valid", "test": "test"}, False),
        ({"X": "train", "y": "train"}, True),
        ({"arr_0": "train"}, False),
    ],
)
def test_usual_names_of_split_arrays_are_understood(save, pictures, names, labelled):
    def array(key, size):
        return np.zeros((size, 1), int) if "y" in key or "label" in key else pictures(size, high=256)[..., 0]

    sizes = {"train": 7, "valid": 5, "test": 3}
    source = open_source(save(**{key: array(key, sizes[split]) for key, split in names.items()}))
    assert source.sizes == {split: size for split, size in sizes.items() if split in names.values()}
    assert (source.label is not None) == labelled
    assert source.example == Images((4, 6, 1))


def test_an_npy_file_holds_pictures_to_train_on(tmp_path, pictures):
    np.save(tmp_path / "set.npy", pictures(channels=3))
    source = open_source(tmp_path / "set.npy")
    assert source.example == Images((4, 6, 3))
    assert source.name == str(tmp_path / "set.npy")
    assert next(iter(source.dataset(batch_size=4)))["image"].shape == (4, 4, 6, 3)


def test_levels_follow_the_values_unless_they_are_asked_for(save, pictures):
    assert open_source(save(image=pictures(high=2))).example.levels == 2
    assert open_source(save(image=pictures(high=2).astype(bool))).example.levels == 2
    few = pictures(high=17)
    assert open_source(save(image=few)).example.levels == 256
    source = open_source(save(image=few), levels=17)
    np.testing.assert_array_equal(source.arrays()["image"], few)
    every = pictures()
    np.testing.assert_array_equal(open_source(save(image=every), levels=16).arrays()["image"], every // 16)


def test_arrays_can_be_sliced_as_splits(save, pictures):
    path = save(image=pictures(10))
    assert len(open_source(path).arrays("train[:90%]")["image"]) == 9
    assert load(path, split="train[90%:]", batch_size=1).cardinality() == 1


def broken(path):
    with pytest.raises(InputError) as error:
        open_source(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_floats_in_0_to_1_are_said_to_be_so(save, pictures):
    message = broken(save(image=pictures() / 255))
    assert "image: float64 in 0" in message
    assert "np.round(x * 255).astype('uint8')" in message


def test_nan_is_found_with_its_example(save, pictures):
    image = pictures().astype(np.float32)
    image[3, 0, 0] = np.nan
    assert "nan in example 3" in broken(save(image=image))


def test_values_out_of_range_are_refused(save, pictures):
    assert "values -1.." in broken(save(image=pictures().astype(np.int16) - 1))
    assert "expected levels 0..255" in broken(save(image=pictures().astype(np.uint16) + 100))


def test_a_wrong_dtype_is_refused(save, pictures):
    assert "dtype <U" in broken(save(image=pictures().astype(str)))
    assert "float32; pictures are uint8 levels" in broken(save(image=pictures().astype(np.float32)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((10,), r"shape \(10,\), expected \(count, height, width\[, channels\]\)"),
        ((10, 64), r"shape \(10, 64\).*x.reshape\(-1, 8, 8\)"),
        ((2, 3, 4, 4, 1), "shape"),
        ((10, 3, 8, 8), r"1 or 3 channels in the last place: pass x.transpose\(0, 2, 3, 1\)"),
        ((10, 8, 8, 4), "expected 1 or 3 channels"),
        ((0, 8, 8), "holds no pictures"),
    ],
)
def test_a_wrong_shape_is_refused_with_what_to_do(save, shape, message):
    with pytest.raises(InputError, match=message):
        open_source(save(image=np.zeros(shape, np.uint8)))


def test_labels_that_do_not_match_in_number_are_refused(save, pictures):
    assert "label has 9 labels for 10 pictures in image" in broken(save(image=pictures(), label=np.zeros(9, int)))


def test_labels_that_are_not_classes_are_refused(save, pictures):
    assert "values -1..8, expected 0..8" in broken(save(image=pictures(), label=np.arange(-1, 9)))
    assert "dtype float64" in broken(save(image=pictures(), label=np.zeros(10)))
    assert "expected one integer per example" in broken(save(image=pictures(), label=np.zeros((10, 2), int)))


def test_labels_of_one_split_only_are_refused(save, pictures):
    assert "train has labels, but test has none" in broken(
        save(train_image=pictures(), train_label=np.zeros(10, int), test_image=pictures())
    )


def test_labels_without_pictures_are_refused(save, pictures):
    assert "test_label has no pictures; name their array 'test_image'" in broken(
        save(train_image=pictures(), test_label=np.zeros(10, int))
    )


def test_splits_of_different_sizes_are_refused(save, pictures):
    message = broken(save(train=pictures(), test=pictures(size=(5, 6))))
    assert "pictures of train are (4, 6, 1), of test (5, 6, 1)" in message


def test_arrays_of_other_names_are_left_alone(save, pictures):
    source = open_source(save(image=pictures(), image_mean=np.zeros((4, 6)), label_names=["a", "b"], train_mask=[1]))
    assert set(source.arrays()) == {"image"}


def test_a_file_without_pictures_is_refused_with_its_names(save):
    assert "no pictures among weights, bias; name the array 'image'" in broken(save(weights=[1], bias=[2]))


def test_two_arrays_that_could_be_the_pictures_are_refused(save, pictures):
    assert "image and x both look like images; rename one" in broken(save(image=pictures(), x=pictures()))


def test_python_objects_are_never_loaded(save):
    assert "it holds Python objects" in broken(save(image=np.array([{}], dtype=object)))


def test_a_file_that_is_no_array_file_is_refused(tmp_path):
    for name in ("set.npz", "set.npy"):
        (tmp_path / name).write_bytes(b"not an array")
        assert "cannot be read as arrays" in broken(tmp_path / name)


def test_fewer_examples_than_a_batch_are_found_before_training(save, pictures):
    with pytest.raises(InputError, match="has 10 examples, fewer than a batch of 64; pass batch_size=10 or less"):
        load(save(image=pictures()))
