"""Differences over seeds and items."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.stats.hierarchical import SeedMeans, difference_over_seeds, p_over_seeds
from tests.stats.coverage import coverage

R = 10_000


def method(rng: np.random.Generator, seeds: int, shift: float = 0.0) -> tuple[Any, Any]:
    """Scores of seeds that differ by 0.02, and replicates that differ by 0.01 over items."""
    points = shift + 0.02 * rng.normal(size=seeds)
    return points, points[:, None] + 0.01 * rng.normal(size=R)


def test_without_items_it_is_welchs_test() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=5), rng.normal(size=3) + 1
    rows = tuple(np.repeat(one[:, None], 50, axis=1) for one in points)
    found = difference_over_seeds(points, rows)
    expected = stats.ttest_ind(*points, equal_var=False)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.ci95 == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.delta == pytest.approx(points[0].mean() - points[1].mean())


def test_the_same_trainings_are_paired() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 4))
    rows = tuple(np.repeat(one[:, None], 50, axis=1) for one in (first, second))
    found = difference_over_seeds((first, second), rows, paired=True)
    expected = stats.ttest_rel(first, second)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.ci95 == pytest.approx(tuple(expected.confidence_interval(0.95)))
    with pytest.raises(ValueError, match="not paired"):
        difference_over_seeds((first, second[1:]), (rows[0], rows[1][1:]), paired=True)


def test_seeds_that_agree_leave_the_items_alone() -> None:
    rng = np.random.default_rng(3)
    items = 0.3 + 0.01 * rng.normal(size=R)
    rows = np.repeat(items[None], 3, axis=0), np.zeros((1, R))
    found = difference_over_seeds((np.full(3, 0.3), np.zeros(1)), rows)
    assert found.ci95 == pytest.approx((0.3 - 1.96 * 0.01, 0.3 + 1.96 * 0.01), abs=5e-4)
    assert found.p == pytest.approx(0, abs=1e-12)


def test_variances_add_up_and_freedom_follows() -> None:
    rng = np.random.default_rng(4)
    (first, first_rows), (second, second_rows) = method(rng, 5, 0.1), method(rng, 3)
    found = difference_over_seeds((first, second), (first_rows, second_rows))
    items = np.var(first_rows.mean(axis=0) - second_rows.mean(axis=0))
    parts = first.var(ddof=1) / 5, second.var(ddof=1) / 3
    freedom = (items + sum(parts)) ** 2 / (parts[0] ** 2 / 4 + parts[1] ** 2 / 2)
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(items + sum(parts))
    assert found.ci95 == pytest.approx((found.delta - reach, found.delta + reach))
    back = difference_over_seeds((second, first), (second_rows, first_rows))
    assert back.ci95 == pytest.approx((-found.ci95[1], -found.ci95[0]))
    assert back.p == pytest.approx(found.p)


def test_what_the_same_items_move_together_cancels() -> None:
    rows = np.random.default_rng(5).normal(size=(1, 500))
    points = np.zeros(2), np.zeros(3)
    found = difference_over_seeds(points, (np.repeat(rows, 2, 0), np.repeat(rows, 3, 0)))
    assert (found.delta, found.p) == (0, 1)
    assert found.ci95 == pytest.approx((0, 0), abs=1e-6)


def test_p_values_of_many_are_those_of_each_two() -> None:
    rng = np.random.default_rng(6)
    methods = [method(rng, seeds, 0.01 * i) for i, seeds in enumerate((3, 1, 2, 5))]
    table = p_over_seeds(SeedMeans.of(methods))
    for i, (one, rows) in enumerate(methods):
        for j, (other, other_rows) in enumerate(methods):
            if i != j:
                pair = difference_over_seeds((one, other), (rows, other_rows))
                assert table[i, j] == pytest.approx(pair.p, rel=1e-6)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_hold_the_truth_as_often_as_they_say(seeds: int) -> None:
    # Of 3,000 trials a share of 95% has a standard error of 0.4 points.
    for ratio in (0.25, 1.0):
        share = coverage(seeds, seeds, ratio, 3_000, np.random.default_rng(seeds))
        assert 0.93 <= share <= 0.97


def test_errors_say_what_is_wrong() -> None:
    rows = np.zeros((2, 5))
    with pytest.raises(ValueError, match="not paired"):
        difference_over_seeds((np.zeros(2), np.zeros(2)), (rows, rows[:, :4]))
    with pytest.raises(ValueError, match="one row per seed"):
        difference_over_seeds((np.zeros(2), np.zeros(3)), (rows, rows))
    broken = np.where(np.arange(10).reshape(2, 5) == 3, np.nan, 0)
    with pytest.raises(ValueError, match="1 of 10 values are NaN"):
        difference_over_seeds((np.zeros(2), np.zeros(2)), (broken, rows))
