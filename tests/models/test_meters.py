import numpy as np
import pytest

from tfgen.models.meters import ActiveUnits, Median, Perplexity


@pytest.mark.parametrize("scale", [1e-4, 1.0, 5000.0])
def test_a_median_over_batches_is_that_of_all(scale):
    values = scale * np.random.default_rng(0).lognormal(size=1001)
    meter = Median(name="m")
    for part in np.array_split(values, 7):
        meter.update_state(part.astype(np.float32))
    assert float(meter.result()) == pytest.approx(np.median(values), rel=1.1e-3)
    meter.reset_state()
    meter.update_state(np.array([2.0, 3.0, 1e9, 0.0], np.float32))
    assert float(meter.result()) == pytest.approx(2.0, rel=1.1e-3)


def test_active_units_are_those_whose_mean_moves_with_the_example():
    codes = np.random.default_rng(0).normal(size=(500, 4)) * np.sqrt([1.0, 0.02, 0.005, 0.0]) + [5.0, -3.0, 100.0, 1.0]
    meter = ActiveUnits(name="active", size=4)
    for part in np.array_split(codes, 6):
        meter.update_state(part)
    assert float(meter.result()) == 2.0


def test_perplexity_is_that_of_all_codes_seen_and_not_a_mean_over_batches():
    meter = Perplexity(name="p", size=5)
    for part in ([[0, 0], [0, 0]], [[1, 1], [1, 1]], [[3, 3], [3, 3]]):
        meter.update_state(np.array([part]))
    assert float(meter.result()) == pytest.approx(3.0)
    meter.reset_state()
    meter.update_state(np.array([4, 4, 4]))
    assert float(meter.result()) == pytest.approx(1.0)
