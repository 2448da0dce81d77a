import numpy as np
import pytest
from PIL import Image

from tfgen import pictures
from tfgen.errors import InputError
from tfgen.specs import Images, Points


def test_a_grid_shows_every_pixel_of_every_picture_enlarged():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    picture = np.asarray(pictures.grid(images, columns=2, side=8, gap=3))
    tall, wide = 4 * 2 + 3, 6 * 2 + 3
    assert picture.shape == (3 * tall + 3, 2 * wide + 3, 3)
    for index, image in enumerate(images):
        top, left = 3 + index // 2 * tall, 3 + index % 2 * wide
        shown = picture[top : top + 8, left : left + 12]
        for dy, dx in np.ndindex(2, 2):
            np.testing.assert_array_equal(shown[dy::2, dx::2], image)


def test_grey_pictures_are_grey_in_the_grid():
    picture = np.asarray(pictures.grid(np.full((1, 2, 2, 1), 77, np.uint8), gap=1))
    assert picture.shape == (66, 66, 3)
    assert set(picture[1:-1, 1:-1].ravel().tolist()) == {77}


def test_large_pictures_are_not_enlarged():
    assert pictures.grid(np.zeros((1, 64, 64, 3), np.uint8), gap=0).size == (64, 64)


def test_examples_of_few_levels_use_all_of_the_greys():
    levels = np.array([0, 8, 16], np.uint8)[:, None, None, None]
    picture = np.asarray(pictures.of_examples(Images((1, 1, 1), 17), levels, columns=3))
    assert {0, 128, 255} <= set(picture.ravel().tolist())


def test_completions_are_rows_of_what_was_what_was_known_and_what_was_made_of_it():
    original = np.full((2, 2, 2, 1), 4, np.uint8)
    completed = np.stack([np.full_like(original, 1), np.full_like(original, 2)])
    entropy = np.zeros((2, 2, 2))
    entropy[1, 1, 1] = 0.3
    known = np.array([True, False])
    picture = pictures.completions(Images((2, 2, 1), 5), original, known, completed, entropy)
    # 64 and 6 between: the middle of each pixel of each of 2 x 5 pictures.
    at = np.array([6 + 70 * index + offset for index in range(5) for offset in (16, 48)])
    shown = np.asarray(picture)[..., 0][np.ix_(at[:4], at)].reshape(2, 2, 5, 2).transpose(0, 2, 1, 3)
    for row in range(2):
        assert (shown[row, 0] == 255).all()
        assert shown[row, 1].tolist() == [[255, 255], [128, 128]]
        assert (shown[row, 2] == 64).all()
        assert (shown[row, 3] == 128).all()
    assert shown[0, 4].tolist() == [[0, 0], [0, 0]]
    assert shown[1, 4].tolist() == [[0, 0], [0, 255]]
    without = pictures.completions(Images((2, 2, 1), 5), original, known, completed)
    assert without.size == (picture.width - 70, picture.height)


def test_points_are_dots_where_they_are():
    picture = np.asarray(pictures.scatter(np.array([[0.5, 0.9], [-0.9, -0.5]]), side=200)).astype(int)
    blue = (picture[..., 2] - picture[..., 0]) > 100
    rows, columns = np.nonzero(blue)
    dots = {(round(float(x), 1), round(float(y), 1)) for x, y in zip(columns / 100 - 1, 1 - rows / 100, strict=True)}
    assert dots == {(-0.9, -0.5), (0.5, 0.9)}


def test_one_coordinate_is_a_histogram_and_more_show_the_first_two():
    rng = np.random.default_rng(0)
    ink = np.asarray(pictures.of_examples(Points(1), rng.normal(size=(500, 1)).astype(np.float32))).astype(int)
    columns = ((ink[..., 2] - ink[..., 0]) > 100).sum(0)
    assert columns[190:210].mean() > 3 * columns[:40].mean()
    points = rng.normal(size=(50, 3))
    assert pictures.scatter(points) == pictures.scatter(points[:, :2])


def test_a_sample_that_diverged_does_not_stop_the_picture():
    assert pictures.scatter(np.array([[np.nan, 0.0], [np.inf, 1.0]])).size == (400, 400)


def test_heat_goes_from_dark_to_light_and_upwards():
    values = np.array([[0.0, 1.0], [2.0, 3.0]])
    picture = np.asarray(pictures.heat(values, 1.0, side=40)).astype(int).sum(-1)
    shown = picture[[30, 30, 10, 10], [10, 30, 10, 30]]
    assert (np.diff(shown) > 0).all()
    assert (picture[21:, :20] == shown[0]).all()


def test_heat_draws_a_line_where_a_value_is_passed():
    places = pictures.cells(2.0, 50)
    np.testing.assert_allclose(places[0, 0], [-1.96, -1.96])
    np.testing.assert_allclose(places[0, 49], [1.96, -1.96])
    picture = np.asarray(pictures.heat(places[..., 0], 2.0, line=1.0, side=100))
    white = (picture == 255).all(-1)
    white[50:60, 80:] = False  # the number at the axis
    assert set(np.nonzero(white)[1]) <= {74, 75, 76}
    assert white.sum() >= 90
    without = np.asarray(pictures.heat(np.ones((3, 3)), 2.0, line=1.0))
    assert not (without[:200] == 255).all(-1).any()


def test_axes_reach_as_far_as_the_points_unless_it_is_said_how_far():
    assert pictures.reach_of(np.full((10, 2), 1.5)) == 2.0
    assert pictures.reach_of(np.zeros((0, 2))) == 1.0
    picture = np.asarray(pictures.scatter(np.array([[0.5, 0.5]]), reach=2.0, side=200)).astype(int)
    rows, columns = np.nonzero((picture[..., 2] - picture[..., 0]) > 100)
    np.testing.assert_allclose((columns.mean(), rows.mean()), (125, 75), atol=1)


def test_a_sheet_holds_its_panels_unchanged_and_wide_enough_for_their_words():
    red, blue = Image.new("RGB", (30, 40), "red"), Image.new("RGB", (50, 20), "blue")
    sheet = np.asarray(pictures.sheet([("a", "a rather long line about it", red), ("b", "", blue)], "Title"))
    assert (sheet == (255, 0, 0)).all(-1).sum() == 30 * 40
    assert (sheet == (0, 0, 255)).all(-1).sum() == 50 * 20
    assert np.argwhere((sheet == (0, 0, 255)).all(-1))[0][1] > 100


def test_a_saved_picture_is_whole_and_leaves_nothing_beside_it(tmp_path):
    picture = pictures.grid(np.zeros((4, 8, 8, 1), np.uint8))
    pictures.save(picture, tmp_path / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    np.testing.assert_array_equal(Image.open(tmp_path / "a.png"), picture)


@pytest.mark.parametrize(
    ("draw", "array"),
    [
        (pictures.grid, np.zeros((0, 8, 8, 1), np.uint8)),
        (pictures.grid, np.zeros((8, 8, 1), np.uint8)),
        (pictures.grid, np.zeros((1, 8, 8, 1), np.float32)),
        (pictures.scatter, np.zeros((0, 2))),
        (pictures.scatter, np.zeros(2)),
        (pictures.sheet, []),
        (lambda values: pictures.heat(values, 1.0), np.zeros(3)),
        (lambda values: pictures.heat(values, 1.0), np.array([[0.0, np.nan]])),
    ],
)
def test_what_cannot_be_drawn_is_said(draw, array):
    with pytest.raises(InputError):
        draw(array)
