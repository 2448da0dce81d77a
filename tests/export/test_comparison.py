"""What counts as equal, on arrays whose differences are known."""

import json

import numpy as np
import pytest

from tfgen.errors import InputError
from tfgen.evaluation import frechet_distance
from tfgen.export.comparison import LOSSY, SAMPLES, Case, Report, compare, moved


def row_of(expected, actual):
    (row,) = compare([Case("sample", {}, {"image": expected})], lambda *_: {"image": actual})
    return row


def test_errors_are_the_largest_and_the_mean_of_absolute_differences():
    row = row_of(np.array([1.0, 2.0, 3.0, 4.0], np.float32), np.array([1.0, 2.5, 3.0, 3.0], np.float32))
    assert (row.max_error, row.mean_error, row.equal, row.ok) == (1.0, 0.375, None, False)


def test_differences_of_uint8_do_not_wrap_around():
    row = row_of(np.array([0, 255], np.uint8), np.array([255, 255], np.uint8))
    assert (row.max_error, row.mean_error, row.equal) == (255.0, 127.5, 0.5)


@pytest.mark.parametrize(("flipped", "ok"), [(0, True), (10, True), (11, False)])
def test_one_integer_in_a_thousand_may_differ(flipped, ok):
    expected = np.zeros(10_000, np.int32)
    actual = expected.copy()
    actual[:flipped] = 1
    row = row_of(expected, actual)
    assert row.ok is ok
    assert row.equal == pytest.approx(1 - flipped / 10_000, abs=1e-12)


@pytest.mark.parametrize(
    ("expected", "actual", "ok"),
    [
        (0.0, 0.9e-4, True),
        (0.0, 1.1e-4, False),
        (-500.0, -500.04, True),
        (-500.0, -500.06, False),
        (np.nan, np.nan, True),
        (np.inf, np.inf, True),
        (0.0, np.nan, False),
        (np.nan, 0.0, False),
        (np.inf, 3.0, False),
        (np.inf, -np.inf, False),
        (3.0, np.inf, False),
    ],
)
def test_a_float_may_differ_by_1e_4_of_its_size_or_of_one(expected, actual, ok):
    assert row_of(np.array([7.0, expected]), np.array([7.0, actual])).ok is ok


def test_one_wrong_float_among_many_is_too_much():
    expected = np.zeros(100_000, np.float32)
    actual = expected.copy()
    actual[5] = 0.01
    row = row_of(expected, actual)
    assert not row.ok
    assert row.mean_error == pytest.approx(1e-7)


def test_shapes_and_dtypes_are_part_of_the_answer():
    image = np.zeros((3, 8, 8, 1), np.uint8)
    assert "gives uint8 (3, 8, 8), expected uint8 (3, 8, 8, 1)" in row_of(image, image[..., 0]).problem
    assert "gives int32 (3, 8, 8, 1), expected uint8" in row_of(image, image.astype(np.int32)).problem


def test_missing_and_unknown_outputs_are_named():
    rows = compare([Case("encode", {}, {"mean": np.zeros(2)})], lambda *_: {"scale": np.zeros(2)})
    problems = {row.output: row.problem for row in rows}
    assert problems == {"mean": "missing output", "scale": "an output that Python does not give"}


def test_a_row_holds_the_worst_of_its_cases():
    offsets = {1: 0.0, 2: 0.5, 3: 0.0}
    cases = [Case("score", {"count": count}, {"score": np.zeros((count,))}) for count in offsets]
    (row,) = compare(cases, lambda _, inputs: {"score": np.full(inputs["count"], offsets[inputs["count"]])})
    assert (row.shape, row.max_error, row.mean_error, row.ok) == ((3,), 0.5, 0.5, False)


def test_one_number_has_no_range_of_which_something_could_be_lost():
    (one, several) = (np.array([2.0]), np.array([2.0, 4.0, 6.0]))
    cases = [Case("score", {}, {"score": expected}) for expected in (one, several)]
    answers = iter([one + 0.5, several + 0.5])
    (row,) = compare(cases, lambda *_: {"score": next(answers)}, LOSSY)
    assert row.loss == pytest.approx(0.5 / 4.0)
    assert row_of(one, one + 0.5).loss is None


def test_a_signature_that_does_not_run_is_a_failed_row():
    def run(name, inputs):
        raise InputError("no kernel")

    (row,) = compare([Case("sample", {}, {"image": np.zeros(1)})], run)
    assert (row.signature, row.output, row.problem) == ("sample", None, "does not run: no kernel")


def test_a_report_is_a_table_and_strict_json():
    good = row_of(np.arange(4, dtype=np.uint8), np.arange(4, dtype=np.uint8))
    bad = row_of(np.array([0.0]), np.array([np.nan]))
    report = Report("artifact", (good, bad))
    header, first, second, verdict = str(report).splitlines()
    assert header.split() == ["signature", "output", "shape", "dtype", "max", "error", "mean", "error", "equal"]
    assert first.split()[-2:] == ["100%", "ok"]
    assert "FAILED: 100.0% of the numbers differ by more than 0.0001" in second
    assert verdict == "artifact: 1 of 2 differ from Python"
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert [told["ok"], *(row["ok"] for row in told["rows"])] == [False, True, False]
    assert told["rows"][1]["max_error"] == "inf"
    assert Report("artifact", (good,)).ok


def test_a_report_on_nothing_is_not_ok():
    assert not Report("artifact", ()).ok


def test_samples_that_are_shifted_have_moved_by_the_square_of_the_shift():
    expected = np.random.default_rng(0).integers(0, 100, (SAMPLES, 2, 4, 2), np.uint8)
    # Sixteen numbers are looked at as they are: each is off by 3, and no covariance changes.
    assert moved(expected, expected + 3)[0] == pytest.approx(16 * 3**2)
    row = row_of(expected, expected + 3)
    assert row.frechet == pytest.approx(144.0)
    assert row.chance == pytest.approx(frechet_distance(*(half.reshape(64, 16) for half in np.split(expected, 2))))
    assert moved(expected, expected)[0] == pytest.approx(0.0, abs=1e-9)


def test_samples_that_are_spread_wider_have_moved_by_the_variance():
    x = np.random.default_rng(1).normal(size=(500, 5))
    x -= x.mean(0)
    # tr(S + 9 S - 2 * 3 S) = 4 tr(S).
    assert moved(x, 3.0 * x)[0] == pytest.approx(4.0 * x.var(0, ddof=1).sum())


def test_of_large_examples_sixteen_directions_are_looked_at_in_which_none_is_stretched():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(SAMPLES, 20, 20, 1))
    shifts = rng.normal(size=(400, 20, 20, 1))
    found = np.array([moved(x, x + shift)[0] for shift in shifts])
    squares = np.square(shifts).sum((1, 2, 3))
    assert (found < squares).all()
    # Of a shift of any direction a share of 16 / 400 falls into them on average.
    assert found.mean() / squares.mean() == pytest.approx(16 / 400, rel=4 * (2 / (16 * 400)) ** 0.5)


def test_no_data_are_further_from_the_artifact_than_the_root_of_the_distance_allows():
    rng = np.random.default_rng(3)
    model = rng.normal(size=(SAMPLES, 4))
    for _ in range(20):
        artifact = model @ rng.normal(size=(4, 4)) + rng.normal(size=4)
        data = rng.normal(size=(SAMPLES, 4)) @ rng.normal(size=(4, 4)) + rng.normal(size=4)
        change = frechet_distance(data, artifact) ** 0.5 - frechet_distance(data, model) ** 0.5
        assert abs(change) <= moved(model, artifact)[0] ** 0.5


def test_few_examples_and_numbers_of_no_axis_are_no_set_of_samples():
    few, flat = np.zeros((SAMPLES - 1, 3)), np.zeros(SAMPLES)
    assert row_of(few, few).frechet is row_of(flat, flat).frechet is None
    broken = np.zeros((SAMPLES, 3), np.float32)
    broken[5, 1] = np.nan
    (row,) = compare([Case("sample", {}, {"x": np.zeros_like(broken)})], lambda *_: {"x": broken}, LOSSY)
    assert row.frechet == np.inf and not row.ok
    json.dumps(Report("artifact", (row,)).to_dict(), allow_nan=False)
