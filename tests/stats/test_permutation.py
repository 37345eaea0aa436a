"""The permutation test against SciPy's, which swaps the same samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import permutation_test

from bench.stats.permutation import sign_flip_p

SEEDS = st.integers(0, 2**32 - 1)


def _theirs(first: np.ndarray, second: np.ndarray, statistic, count: int) -> float:
    return permutation_test(
        (first, second),
        statistic,
        permutation_type="samples",
        n_resamples=count,
        rng=np.random.default_rng(9),
    ).pvalue


def _error(p: float, count: int) -> float:
    """Five standard errors of the difference of two simulated p-values."""
    return 5 * np.sqrt(2 * p * (1 - p) / count)


def _mean_difference(a: np.ndarray, b: np.ndarray) -> float:
    return np.mean(a) - np.mean(b)


@pytest.mark.parametrize("seed", range(4))
def test_all_sign_flips_give_the_p_value_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 5, (2, 12)) / 4
    expected = _theirs(first, second, _mean_difference, np.inf)
    assert sign_flip_p(first, second, rng) == pytest.approx(expected, abs=1e-12)


def test_random_sign_flips_give_the_p_value_of_scipy_within_error() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(60), rng.random(60) + 0.04
    expected = _theirs(first, second, _mean_difference, 20_000)
    found = sign_flip_p(first, second, rng, 20_000)
    assert 0.01 < expected < 0.3
    assert found == pytest.approx(expected, abs=_error(expected, 20_000))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(2, 40))
def test_p_is_in_its_range_and_symmetric(seed: int, n: int) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, n))
    p = sign_flip_p(first, second, np.random.default_rng(seed), 200)
    assert 0 < p <= 1
    assert sign_flip_p(second, first, np.random.default_rng(seed), 200) == p


def test_edges() -> None:
    rng = np.random.default_rng(0)
    one, two = np.array([0.2]), np.array([0.7])
    assert sign_flip_p(one, two, rng) == 1
    same = rng.random(100)
    assert sign_flip_p(same, same, rng) == 1
    # 10 flips of 100 alike and one sign: exact, as the items without a difference do not count.
    better = same + (np.arange(100) < 10)
    assert sign_flip_p(better, same, rng) == 2 / 2**10
    assert sign_flip_p(better, same, rng, 1000) == pytest.approx(2 / 2**10, abs=0.006)


def test_a_large_difference_has_the_least_p_value_that_the_replicates_allow() -> None:
    rng = np.random.default_rng(0)
    first = rng.random(500)
    assert sign_flip_p(first + 1, first, rng, 999) == 1 / 1000


def test_errors_say_what_is_wrong() -> None:
    rng = np.random.default_rng(0)
    good, bad = np.arange(3.0), np.array([0, np.nan, 1])
    with pytest.raises(ValueError, match="values of the second: 1 of 3 values are NaN"):
        sign_flip_p(good, bad, rng)
    with pytest.raises(ValueError, match="shapes \\(3,\\) and \\(2,\\) differ"):
        sign_flip_p(good, good[:2], rng)
