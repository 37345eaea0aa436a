"""Bootstrap over seeds and items."""

from __future__ import annotations

import numpy as np
import pytest

from bench.stats.hierarchical import (
    difference_over_seeds,
    seed_replicates,
)


def _method(rng: np.random.Generator, seeds: int, shift: float = 0.0) -> tuple:
    """Scores of seeds that differ by 0.02, and replicates that differ by 0.01 over items."""
    points = shift + 0.02 * rng.normal(size=seeds)
    return points, points[:, None] + 0.01 * rng.normal(size=10_000)


def test_variance_is_that_of_items_plus_that_of_the_mean_of_drawn_seeds() -> None:
    rng = np.random.default_rng(0)
    points, replicates = _method(rng, 5)
    found = seed_replicates(replicates, rng)
    assert found.shape == (10_000,)
    # A variance of 10,000 normal values has a relative standard error of 1.4%.
    assert found.var() == pytest.approx(0.01**2 + points.var() / 5, rel=0.07)
    assert found.mean() == pytest.approx(points.mean(), abs=5 * found.std() / 100)


def test_one_seed_leaves_the_replicates_as_they_are() -> None:
    rng = np.random.default_rng(0)
    _, replicates = _method(rng, 1)
    assert (seed_replicates(replicates, rng) == replicates[0]).all()


def test_difference_of_methods_with_different_numbers_of_seeds() -> None:
    rng = np.random.default_rng(1)
    (first, first_rows), (second, second_rows) = _method(rng, 5, 0.1), _method(rng, 3)
    points, rows = (first, second), (first_rows, second_rows)
    found = difference_over_seeds(points, rows, np.random.default_rng(0))
    assert found.delta == pytest.approx(first.mean() - second.mean())
    spread = np.sqrt(2 * 0.01**2 + first.var() / 5 + second.var() / 3)
    assert np.subtract(*found.ci95[::-1]) == pytest.approx(2 * 1.96 * spread, rel=0.1)
    assert found.p == 1 / 10_001
    back = difference_over_seeds(points[::-1], rows[::-1], np.random.default_rng(0))
    assert back.delta == -found.delta
    assert back.ci95 == pytest.approx((-found.ci95[1], -found.ci95[0]), abs=0.1 * spread)


def test_the_same_trainings_are_drawn_together() -> None:
    rng = np.random.default_rng(2)
    points, rows = _method(rng, 3, 0.1)
    pair = ((points, points), (rows, rows))
    apart = difference_over_seeds(*pair, np.random.default_rng(0))
    together = difference_over_seeds(*pair, np.random.default_rng(0), paired=True)
    assert apart.ci95[1] > 0.005
    assert (together.delta, together.ci95, together.p) == (0, (0, 0), 1)
    with pytest.raises(ValueError, match="not paired"):
        difference_over_seeds((points, points[1:]), (rows, rows[1:]), rng, paired=True)


def test_items_stay_paired_over_seeds() -> None:
    rows = np.random.default_rng(0).normal(size=(1, 500))
    found = difference_over_seeds(
        (np.zeros(2), np.zeros(3)),
        (np.repeat(rows, 2, 0), np.repeat(rows, 3, 0)),
        np.random.default_rng(0),
    )
    assert found.delta == 0
    assert found.ci95 == pytest.approx((0, 0), abs=1e-12)
    assert found.p == 1


def test_errors_say_what_is_wrong() -> None:
    rng = np.random.default_rng(0)
    rows = np.zeros((2, 5))
    with pytest.raises(ValueError, match="not paired"):
        difference_over_seeds((np.zeros(2), np.zeros(2)), (rows, rows[:, :4]), rng)
    with pytest.raises(ValueError, match="one row per seed"):
        difference_over_seeds((np.zeros(2), np.zeros(3)), (rows, rows), rng)
    with pytest.raises(ValueError, match="1 of 10 values are NaN"):
        seed_replicates(np.where(np.arange(10).reshape(2, 5) == 3, np.nan, 0), rng)
