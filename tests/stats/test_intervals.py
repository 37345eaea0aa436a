"""BCa intervals against SciPy, and the jackknife against scoring every sample anew."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.stats import bootstrap

from bench.stats.bootstrap import mean_replicates, percentile_interval
from bench.stats.intervals import bca_interval, jackknife_mean
from bench.stats.resampling import replicate

R = 20_000


def _skewed(n: int = 40) -> np.ndarray:
    return np.random.default_rng(1).exponential(size=n)


@pytest.mark.parametrize("method", ["percentile", "BCa"])
def test_intervals_of_a_skewed_mean_equal_those_of_scipy(method: str) -> None:
    values = _skewed()
    counted = partial(mean_replicates, values)
    replicates = replicate(counted, len(values), np.random.default_rng(2), R)
    ours = percentile_interval(replicates)
    if method == "BCa":
        ours = bca_interval(replicates, float(values.mean()), jackknife_mean(values))
    theirs = bootstrap(
        (values,), np.mean, n_resamples=R, method=method, rng=np.random.default_rng(3)
    ).confidence_interval
    # A 2.5% quantile of 20,000 normal replicates has a standard error of 0.019 of theirs.
    assert ours == pytest.approx(tuple(theirs), abs=5 * 0.019 * np.sqrt(2) * replicates.std())
    assert ours[1] - values.mean() > values.mean() - ours[0]


def test_bca_of_the_same_replicates_equals_that_of_scipy() -> None:
    values = _skewed()
    result = bootstrap((values,), np.mean, n_resamples=999, method="BCa", rng=4)
    ours = bca_interval(result.bootstrap_distribution, float(values.mean()), jackknife_mean(values))
    assert ours == pytest.approx(tuple(result.confidence_interval), abs=1e-12)


def test_jackknife_mean_is_that_without_each_item() -> None:
    values = np.random.default_rng(5).normal(size=30)
    anew = [np.delete(values, i).mean() for i in range(30)]
    assert jackknife_mean(values) == pytest.approx(anew, abs=1e-12)


def test_edges() -> None:
    assert bca_interval(np.zeros(50), 0.0, np.zeros(9)) == (0, 0)
    assert bca_interval(np.full(50, 0.1), 0.1, jackknife_mean(np.array([0.1]))) == (0.1, 0.1)
    low, high = bca_interval(np.linspace(0, 1, 50), 2.0, np.arange(9.0))
    assert 0.5 < low <= high <= 1
    # One item in 400 that differs: past the pole the interval ends at the largest replicate.
    values = np.append(np.zeros(399), 1)
    replicates = replicate(partial(mean_replicates, values), 400, np.random.default_rng(0), 999)
    low, high = bca_interval(replicates, float(values.mean()), jackknife_mean(values))
    assert low <= values.mean() < high == replicates.max()


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="replicates: 1 of 3 values are NaN"):
        bca_interval(np.array([0, np.nan, 1]), 0.5, np.arange(3.0))
    with pytest.raises(ValueError, match="jackknife values: no values"):
        bca_interval(np.arange(3.0), 0.5, np.array([]))
