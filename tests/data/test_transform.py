import numpy as np
import pytest
import tensorflow as tf

from tfgen.data import open_source
from tfgen.data.source import ArraySource
from tfgen.data.transform import Binarizer, Stored, Target, Transform
from tfgen.errors import InputError
from tfgen.specs import Images


def transform(array, shape, levels=256, stored_levels=256):
    stored = Stored(*array.shape[1:], stored_levels)
    return Transform(stored, Images(shape, levels)).batched(array)


def test_a_constant_picture_stays_constant_at_any_size():
    for shape in ((3, 5, 1), (20, 30, 1), (8, 8, 1)):
        np.testing.assert_array_equal(transform(np.full((2, 8, 8, 1), 77, np.uint8), shape), np.full((2, *shape), 77))


def test_halving_a_picture_averages_its_pixels(pictures):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))[None, ..., None]
    half = transform(ramp, (32, 32, 1)).astype(int)
    expected = ramp.reshape(1, 32, 2, 32, 2, 1).mean(axis=(2, 4))
    assert np.abs(half - expected)[:, :, 2:-2].max() <= 1
    stripes = np.zeros((1, 64, 64, 1), np.uint8)
    stripes[:, :, ::4] = 255  # every fourth column, which would vanish without antialiasing
    assert np.abs(transform(stripes, (16, 16, 1)).astype(int) - 64)[:, :, 2:-2].max() <= 3


def test_a_picture_is_cropped_at_the_centre_to_the_new_aspect_ratio():
    wide = np.zeros((1, 4, 8, 1), np.uint8)
    wide[:, :, 2:6] = 200
    np.testing.assert_array_equal(transform(wide, (4, 4, 1)), np.full((1, 4, 4, 1), 200))
    np.testing.assert_array_equal(transform(wide.transpose(0, 2, 1, 3), (4, 4, 1)), np.full((1, 4, 4, 1), 200))


def test_colours_become_grey_by_luminance_and_grey_becomes_three_equal_channels():
    primaries = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]]], np.uint8)
    np.testing.assert_array_equal(transform(primaries, (1, 4, 1)).ravel(), [76, 150, 29, 255])
    grey = np.arange(4, dtype=np.uint8).reshape(1, 2, 2, 1)
    np.testing.assert_array_equal(transform(grey, (2, 2, 3)), np.repeat(grey, 3, axis=-1))


def test_fewer_levels_are_equal_shares_and_more_levels_keep_black_and_white():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    np.testing.assert_array_equal(np.bincount(transform(every, (16, 16, 1), levels=32).ravel()), np.full(32, 8))
    digits = np.arange(17, dtype=np.uint8).reshape(1, 1, 17, 1)
    more = transform(digits, (1, 17, 1), levels=256, stored_levels=17).ravel()
    np.testing.assert_array_equal(more, np.round(np.arange(17) * 255 / 16))


def test_resizing_does_not_leave_the_stored_levels():
    board = (np.indices((8, 8)).sum(axis=0)[None, ..., None] % 2 * 16).astype(np.uint8)
    large = transform(board, (28, 28, 1), levels=17, stored_levels=17)  # bicubic interpolation overshoots
    assert large.min() == 0
    assert large.max() == 16


def test_a_static_draw_is_the_same_in_every_epoch_and_run():
    source = open_source("digits", levels=2)
    dataset = source.dataset(shuffle=False, batch_size=1437)
    first, second = (next(iter(dataset))["image"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, open_source("digits", levels=2).arrays("train")["image"])
    assert (open_source("digits", levels=2, seed=1).arrays("train")["image"] != first).any()


def test_a_dynamic_draw_is_new_in_every_epoch_and_repeats_with_the_epoch():
    source = open_source("digits", levels=2, binarize="dynamic")
    dataset = source.dataset(shuffle=False, batch_size=500)
    first, second = (np.concatenate([b["image"] for b in dataset.as_numpy_iterator()]) for _ in range(2))
    resumed = source.dataset(shuffle=False, batch_size=500, epoch=1)
    assert 0.05 < np.mean(first != second) < 0.5
    np.testing.assert_array_equal(np.concatenate([b["image"] for b in resumed.as_numpy_iterator()]), second)
    assert not np.array_equal(first[:500], first[500:1000])  # batches do not share their draws


def test_a_dynamic_draw_leaves_the_test_split_alone():
    dataset = open_source("digits", levels=2, binarize="dynamic").dataset("test", 360)
    first, second = (next(iter(dataset))["image"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_both_draws_have_the_probability_of_the_grey_level():
    grey = open_source("digits").arrays("train")["image"] / 16
    dynamic = open_source("digits", levels=2, binarize="dynamic").dataset(shuffle=False, batch_size=1437)
    static = open_source("digits", levels=2).arrays("train")["image"]
    for drawn in (static, next(iter(dynamic))["image"].numpy()):
        assert drawn.dtype == np.uint8
        assert drawn[grey == 0].max() == 0
        assert drawn[grey == 1].min() == 1
        half = drawn[grey == 0.5]
        assert abs(half.mean() - 0.5) < 4 * 0.5 / np.sqrt(half.size)


def test_binary_pictures_pass_through_binarization(save, pictures):
    image = pictures(high=2)
    for binarize in ("static", "dynamic"):
        source = open_source(save(image=image), levels=2, binarize=binarize)
        assert source.example.levels == 2
        np.testing.assert_array_equal(source.arrays("train")["image"], image)
        np.testing.assert_array_equal(next(iter(source.dataset(batch_size=10, shuffle=False)))["image"], image)


def test_binary_pictures_stored_like_others_are_not_drawn(pictures):
    image = pictures(high=2)
    for dynamic in (False, True):
        binarizer = Binarizer(256, dynamic, seed=0)
        source = ArraySource("some", {"image": Images((4, 6, 1), 2)}, {"train": {"image": image}}, binarizer)
        np.testing.assert_array_equal(next(iter(source.dataset(batch_size=10, shuffle=False)))["image"], image)
        np.testing.assert_array_equal(source.arrays()["image"], image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size=0: expected a number of pixels"),
        ({"image_size": (8,)}, r"image_size=\(8,\)"),
        ({"image_size": 8.5}, "image_size=8.5"),
        ({"image_size": "8"}, "image_size='8'"),
        ({"channels": 2}, r"channels=2: expected 1 \(grey\) or 3"),
        ({"levels": 1}, "levels=1: expected 2 to 256"),
        ({"levels": 2, "binarize": "often"}, "binarize='often': expected 'static' or 'dynamic'"),
        ({"binarize": "dynamic"}, "pass levels=2 too"),
        ({"seed": -1}, "seed=-1: expected at least 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Target(**options)


def test_a_transform_accepts_batches_of_unknown_size():
    wanted = Images((4, 4, 1))
    map_ = tf.function(
        Transform(Stored(None, None, 3), wanted), input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)]
    )
    assert map_(np.full((9, 5, 3), 50, np.uint8)).shape == wanted.shape
    assert map_(np.full((4, 4, 3), 50, np.uint8)).numpy().max() == 50
