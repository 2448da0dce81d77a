import numpy as np
import pytest
import tensorflow as tf

from tfgen.data import load, open_source
from tfgen.data.source import ArraySource
from tfgen.errors import InputError
from tfgen.specs import Images, Labels

COUNT = 50


@pytest.fixture(scope="module")
def source(pictures):
    specs = {"image": Images((4, 6, 1)), "label": Labels(COUNT)}
    part = {"image": pictures(COUNT), "label": np.arange(COUNT, dtype=np.int32)}
    return ArraySource("some", specs, {"train": part, "test": {key: array[:20] for key, array in part.items()}})


def labels(dataset):
    return np.concatenate([batch["label"] for batch in dataset.as_numpy_iterator()])


def test_a_batch_is_a_dict_of_uint8_pictures_and_int32_labels(source):
    dataset = source.dataset(batch_size=16)
    assert dataset.element_spec["image"].shape.as_list() == [None, 4, 6, 1]
    assert dataset.element_spec["image"].dtype == tf.uint8
    assert dataset.element_spec["label"].dtype == tf.int32
    assert dataset.cardinality() == 4


def test_pictures_keep_their_labels_when_shuffled(source):
    stored = source.arrays("train")
    for batch in source.dataset(batch_size=16).as_numpy_iterator():
        np.testing.assert_array_equal(batch["image"], stored["image"][batch["label"]])


def test_every_example_comes_once_per_epoch(source):
    np.testing.assert_array_equal(np.sort(labels(source.dataset(batch_size=16))), np.arange(COUNT))


def test_each_iteration_has_an_order_of_its_own_and_repeats_under_the_same_seed(source):
    one, two = source.dataset(batch_size=16, seed=3), source.dataset(batch_size=16, seed=3)
    epochs = [labels(one) for _ in range(3)]
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[1], epochs[2])
    for epoch in epochs:
        np.testing.assert_array_equal(labels(two), epoch)
    assert not np.array_equal(labels(source.dataset(batch_size=16, seed=4)), epochs[0])


def test_a_resumed_run_goes_on_with_the_order_of_its_epoch(source):
    dataset = source.dataset(batch_size=16)
    epochs = [labels(dataset) for _ in range(4)]
    resumed = source.dataset(batch_size=16, epoch=2)
    np.testing.assert_array_equal(labels(resumed), epochs[2])
    np.testing.assert_array_equal(labels(resumed), epochs[3])


def test_the_order_does_not_depend_on_the_global_seed(source):
    first = labels(source.dataset(batch_size=16))
    tf.random.set_seed(123)
    np.testing.assert_array_equal(labels(source.dataset(batch_size=16)), first)


def test_two_iterators_of_a_dataset_do_not_disturb_each_other(source):
    one = iter(source.dataset(batch_size=10))
    seen = [next(one)["label"].numpy()]
    dataset = source.dataset(batch_size=10)
    one, two = iter(dataset), iter(dataset)
    seen = [[next(one)["label"].numpy(), next(two)["label"].numpy()] for _ in range(5)]
    for order in zip(*seen, strict=True):
        np.testing.assert_array_equal(np.sort(np.concatenate(order)), np.arange(COUNT))


def test_a_split_other_than_train_keeps_its_order(source):
    dataset = source.dataset("test", batch_size=8)
    np.testing.assert_array_equal(labels(dataset), np.arange(20))
    np.testing.assert_array_equal(labels(dataset), np.arange(20))


def test_shuffle_and_drop_remainder_can_be_chosen(source):
    np.testing.assert_array_equal(labels(source.dataset(shuffle=False)), np.arange(COUNT))
    dataset = source.dataset("test", batch_size=8, shuffle=True, drop_remainder=True)
    assert dataset.cardinality() == 2
    assert len(labels(dataset)) == 16
    assert not np.array_equal(labels(dataset), np.arange(16))
    assert dataset.element_spec["image"].shape[0] == 8


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train[:90%]", range(45)),
        ("train[90%:]", range(45, 50)),
        ("train[:10]", range(10)),
        ("train[-10:]", range(40, 50)),
        ("train[10:20%]", None),
        ("train[40:]", range(40, 50)),
        ("test[:]", range(20)),
    ],
)
def test_a_split_can_be_sliced(source, split, expected):
    if expected is None:
        with pytest.raises(InputError, match=r"split 'train\[10:20%\]' is empty; train has 50 examples"):
            source.arrays(split)
        return
    np.testing.assert_array_equal(source.arrays(split)["label"], expected)
    np.testing.assert_array_equal(labels(source.dataset(split, batch_size=5, shuffle=False)), expected)


def test_only_the_keys_that_are_asked_for_come(source):
    assert set(source.dataset(keys=["image"], batch_size=5).element_spec) == {"image"}
    with pytest.raises(InputError, match="unknown key 'labels'; did you mean label"):
        source.dataset(keys=["labels"], batch_size=5)


def test_an_unknown_split_is_named_with_the_known_ones(source):
    with pytest.raises(InputError, match="some: unknown split 'tests'; did you mean test"):
        source.dataset("tests")
    with pytest.raises(InputError, match="known: test, train"):
        source.arrays("[:]")


def test_fewer_examples_than_a_batch_cannot_be_trained_on(source):
    message = "split 'test' has 20 examples, fewer than a batch of 64; pass batch_size=20 or less"
    with pytest.raises(InputError, match=message):
        source.dataset("test", batch_size=64, shuffle=True)
    with pytest.raises(InputError, match=message):
        source.dataset("test", batch_size=64, drop_remainder=True)
    assert source.dataset("test", batch_size=64).cardinality() == 1  # to evaluate, a smaller batch does no harm


@pytest.mark.parametrize("bad", [{"batch_size": 0}, {"seed": -1}, {"epoch": -1}])
def test_numbers_out_of_range_are_refused(source, bad):
    with pytest.raises(InputError, match="at least"):
        source.dataset(**bad)


def test_a_source_describes_itself_in_a_line(source):
    assert source.describe() == "some: pictures 4x6x1 of 256 levels; label: 50 classes; train 50, test 20"
    assert source.example == Images((4, 6, 1))
    assert source.label.count == COUNT
    assert source.splits == ("train", "test")
    assert source.keys == ("image", "label")


def test_digits_are_real_and_always_split_the_same_way():
    source = open_source("digits")
    assert source.specs == {"image": Images((8, 8, 1), 17), "label": Labels(10, tuple("0123456789"))}
    assert source.sizes == {"train": 1437, "test": 360}
    train, test = source.arrays("train"), source.arrays("test")
    assert train["image"].max() == 16
    assert train["image"].dtype == np.uint8
    assert train["label"].dtype == np.int32
    counts = np.bincount(test["label"])
    assert counts.min() >= 34  # a tenth of 360 each, as far as the classes are equal
    assert counts.max() <= 38
    np.testing.assert_array_equal(open_source("digits").arrays("test")["image"], test["image"])


def test_load_gives_the_batches_of_an_opened_source():
    options = {"image_size": 16, "levels": 256}
    batch = next(iter(load("digits", split="test", batch_size=10, **options)))
    assert batch["image"].shape == (10, 16, 16, 1)
    np.testing.assert_array_equal(batch["image"], open_source("digits", **options).arrays("test[:10]")["image"])


def test_keras_meets_a_new_order_in_every_epoch(source):
    import keras

    seen = []

    class Model(keras.Model):
        def train_step(self, data):
            seen.append(data["label"].numpy())
            return {"loss": tf.constant(0.0)}

    model = Model()
    model.compile(run_eagerly=True)
    model.fit(source.dataset(batch_size=25), epochs=2, shuffle=False, verbose=0)
    expected = source.dataset(batch_size=25)
    np.testing.assert_array_equal(np.concatenate(seen), np.concatenate([labels(expected), labels(expected)]))
