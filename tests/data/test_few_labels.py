import numpy as np
import pytest

from tfgen.data import keep_labels, load, mixed_batches, open_source
from tfgen.data.source import ArraySource
from tfgen.errors import InputError
from tfgen.specs import Labels, Points

LABEL = np.array([0, 1, 2, 2, 1] * 20, np.int32)


def arrays(per_class=3, seed=0):
    """Returns points that tell their own place, and few labels."""
    place = np.arange(len(LABEL), dtype=np.float32)
    return {"point": place[:, None], "label": keep_labels(LABEL, per_class, seed=seed)}


def epoch_of(dataset):
    """Returns the places and the labels of each batch of the next epoch."""
    return [(batch["point"][:, 0].astype(int), batch["label"]) for batch in dataset.as_numpy_iterator()]


@pytest.fixture
def source():
    part = {"point": arrays()["point"], "label": LABEL}
    specs = {"point": Points(1), "label": Labels(3, ("a", "b", "c"))}
    return ArraySource("some", specs, {"train": part, "test": {key: array[:20] for key, array in part.items()}})


def test_as_many_labels_of_each_class_are_kept_as_asked_for_and_the_same_under_the_same_seed():
    few = keep_labels(LABEL, 3, seed=5)
    assert few.dtype == np.int32
    known = few >= 0
    np.testing.assert_array_equal(few[known], LABEL[known])
    np.testing.assert_array_equal(few[~known], -1)
    np.testing.assert_array_equal(np.bincount(few[known]), [3, 3, 3])
    np.testing.assert_array_equal(keep_labels(LABEL, 3, seed=5), few)
    assert not np.array_equal(keep_labels(LABEL, 3, seed=6), few)
    # Of those that are known already.
    np.testing.assert_array_equal(keep_labels(few, 3), few)


def test_a_class_with_fewer_examples_than_asked_for_is_named():
    with pytest.raises(InputError, match="label: class 0 has 20 examples, fewer than 21"):
        keep_labels(LABEL, 21)


def test_each_batch_has_a_fixed_number_of_examples_with_a_label_and_each_other_comes_once():
    data = arrays()
    dataset = mixed_batches(data, 16, 5)
    others = []
    for place, label in epoch_of(dataset):
        np.testing.assert_array_equal(label, data["label"][place])
        assert (label[-5:] >= 0).all() and (label[:-5] == -1).all()
        others += place[:-5].tolist()
    assert sorted(others) == np.flatnonzero(data["label"] < 0).tolist()
    assert dataset.cardinality() == -(-91 // 11) == len(epoch_of(dataset))
    assert mixed_batches(data, 16, 5, drop_remainder=True).cardinality() == 8


def test_a_quarter_of_a_batch_has_labels_unless_it_is_said():
    assert [int(np.sum(label >= 0)) for _, label in epoch_of(mixed_batches(arrays(), 16))][:3] == [4, 4, 4]


def test_all_of_the_few_are_drawn_and_alike_often():
    drawn = np.concatenate([place[-8:] for place, _ in epoch_of(mixed_batches(arrays(), 9, 8))])
    counts = np.bincount(drawn, minlength=100)[arrays()["label"] >= 0]
    assert counts.sum() == 91 * 8
    # Nine places, and 81 draws of each expected: four deviations are 34.
    assert np.abs(counts - 728 / 9).max() < 34


def test_epochs_differ_repeat_under_the_same_seed_and_can_be_resumed():
    dataset = mixed_batches(arrays(), 16, 5, seed=3)
    epochs = [epoch_of(dataset) for _ in range(3)]
    again = mixed_batches(arrays(), 16, 5, seed=3, epoch=1)
    for expected in epochs[1:]:
        np.testing.assert_equal(epoch_of(again), expected)
    for other in (epochs[1], epoch_of(mixed_batches(arrays(), 16, 5, seed=4))):
        for part in (slice(None, -5), slice(-5, None)):
            assert not np.array_equal(other[0][0][part], epochs[0][0][0][part])


def test_the_draws_of_a_batch_are_its_own():
    places = [place[-5:].tolist() for place, _ in epoch_of(mixed_batches(arrays(), 16, 5))]
    assert len({tuple(place) for place in places}) == len(places)


@pytest.mark.parametrize(
    ("label", "batch_size", "labelled", "message"),
    [
        (LABEL, 16, 5, "data: every example has a label"),
        (np.full(100, -1), 16, 5, "data: no example has a label"),
        (keep_labels(LABEL, 3), 16, 16, "16 labelled examples in a batch of 16; leave room for others"),
        (keep_labels(LABEL, 3), 16, 0, "0 labelled examples"),
        (keep_labels(LABEL, 3), 128, 5, "91 examples without a label, fewer than 123 of a batch"),
    ],
)
def test_batches_that_cannot_be_mixed_are_refused(label, batch_size, labelled, message):
    with pytest.raises(InputError, match=message):
        mixed_batches(arrays() | {"label": label}, batch_size, labelled)


def test_a_source_with_few_labels_hides_the_others_of_its_training_split_alone(source):
    few = source.with_few_labels(3, 5, seed=2)
    assert few.label == Labels(3, ("a", "b", "c"), partial=True)
    np.testing.assert_array_equal(few.arrays("train")["label"], keep_labels(LABEL, 3, seed=2))
    np.testing.assert_array_equal(few.arrays("test")["label"], LABEL[:20])
    assert few.describe() == (
        "some: points of 1 coordinates; label: 3 classes (a, b, c); 3 of each class with a label to train on; "
        "train 100, test 20"
    )
    # The source itself stays as it was.
    assert source.label == Labels(3, ("a", "b", "c"))
    np.testing.assert_array_equal(source.arrays("train")["label"], LABEL)


def test_its_batches_to_train_on_are_mixed_and_others_are_in_the_stored_order(source):
    few = source.with_few_labels(3, 5)
    mixed = mixed_batches(few.arrays("train"), 16, 5, seed=7)
    for _ in range(2):
        expected, found = epoch_of(mixed), []
        for place, label in epoch_of(few.dataset(batch_size=16, seed=7, epoch=_)):
            found.append((place, label))
        np.testing.assert_equal(found, expected)
    stored = np.concatenate([label for _, label in epoch_of(few.dataset(batch_size=16, shuffle=False))])
    np.testing.assert_array_equal(stored, few.arrays()["label"])
    assert all(label.min() >= 0 for _, label in epoch_of(few.dataset("test", batch_size=16)))


def test_a_slice_is_mixed_from_its_own_examples(source):
    few = source.with_few_labels(3, 2)
    for place, label in epoch_of(few.dataset("train[50:]", batch_size=8)):
        assert place.min() >= 50
        np.testing.assert_array_equal(label, few.arrays()["label"][place])


def test_few_labels_are_an_option_of_all_data():
    source = open_source("digits", labels_per_class=3, labelled=8, seed=1)
    assert source.label.partial
    label = source.arrays("train")["label"]
    np.testing.assert_array_equal(np.bincount(label[label >= 0]), np.full(10, 3))
    assert not np.array_equal(label, open_source("digits", labels_per_class=3, seed=2).arrays("train")["label"])
    batch = next(load("digits", batch_size=32, labels_per_class=3, labelled=8).as_numpy_iterator())
    assert int(np.sum(batch["label"] >= 0)) == 8
    assert batch["image"].shape == (32, 8, 8, 1)


def test_pictures_that_are_drawn_anew_are_drawn_for_mixed_batches_too():
    options = {"labels_per_class": 3, "levels": 2, "binarize": "dynamic", "batch_size": 64}
    one, two = (next(load("digits", epoch=epoch, **options).as_numpy_iterator())["image"] for epoch in (0, 1))
    assert one.max() == 1
    assert not np.array_equal(one, two)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels_per_class": 0}, "labels_per_class=0: expected a whole number of at least 1"),
        ({"labels_per_class": 3, "labelled": -1}, "labelled=-1: expected"),
        ({"labelled": 8}, "labelled=8: goes with labels_per_class"),
        ({"labels_per_class": 400}, "digits: class 0 has 142 examples, fewer than 400"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        load("digits", **options)


def test_a_set_without_labels_cannot_have_few(save, pictures):
    with pytest.raises(InputError, match="has no labels to keep a few of; leave labels_per_class out"):
        open_source(save(image=pictures(10)), labels_per_class=3)


def test_a_split_that_is_too_large_for_memory_is_refused(small_memory, tmp_path):
    source = open_source("ring", count=100, data_dir=tmp_path, labels_per_class=2)
    with pytest.raises(InputError, match="too large for memory to have few labels"):
        source.dataset(batch_size=8)


def test_the_modes_of_a_mixture_stay_known():
    assert open_source("ring", labels_per_class=2).modes.shape == (8, 2)
