"""Bounds of predictors with few values against brute force, SciPy and their limits."""

from __future__ import annotations

from itertools import combinations, pairwise, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from bench.data.rows import read_rows
from bench.stats.ceiling import level_bound, two_level_bound

# Spearman and shortcut of the best threshold on the gold scores of the official test sets.
STS = {
    "sts12": (0.8679, 0.8772),
    "sts13": (0.8668, 0.8759),
    "sts14": (0.8667, 0.8759),
    "sts15": (0.8668, 0.8759),
    "sts16": (0.8772, 0.8880),
    "stsb": (0.8668, 0.8760),
    "sick": (0.8665, 0.8755),
}
LEVELS, SEEDS = st.integers(2, 9), st.integers(0, 2**32 - 1)


def gold_values(n: int) -> st.SearchStrategy[np.ndarray]:
    """Up to n small integers, with ties, that are not all the same."""
    values = st.lists(st.integers(0, 2 * n), min_size=2, max_size=n)
    several = values.filter(lambda drawn: len(set(drawn)) > 1)
    return several.map(lambda drawn: np.array(drawn, dtype=float))


def shortcut(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """The formula for ranks without ties, of predictions (..., n) and gold (n,)."""
    n, d = len(gold), rankdata(predicted, axis=-1) - rankdata(gold)
    return 1 - 6 * np.sum(d * d, axis=-1) / (n * (n**2 - 1))


def plain_programme(gold: np.ndarray, levels: int) -> float:
    """Least sum of squares of gold ranks within blocks, by trying every start of every block."""
    ranks = np.sort(rankdata(gold))
    places = [0, *(np.flatnonzero(np.diff(ranks)) + 1), len(ranks)]
    least = [0.0] + [np.inf] * (len(places) - 1)
    for _ in range(levels):
        previous = list(least)
        for start, end in combinations(range(len(places)), 2):
            block = ranks[places[start] : places[end]]
            within = float(np.sum((block - block.mean()) ** 2))
            least[end] = min(least[end], previous[start] + within)
    return least[-1]


@settings(deadline=None)
@given(gold_values(60), LEVELS)
def test_its_thresholds_reach_it(gold: np.ndarray, levels: int) -> None:
    bound = level_bound(gold, levels)
    predicted = np.searchsorted(bound.thresholds, gold, side="right")
    assert len(np.unique(predicted)) == len(bound.thresholds) + 1 <= levels
    assert bound.spearman == pytest.approx(spearmanr(predicted, gold).statistic, abs=1e-12)
    assert bound.shortcut == pytest.approx(shortcut(predicted, gold), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(gold_values(6), st.integers(2, 4))
def test_no_predictor_of_so_few_values_does_better(gold: np.ndarray, levels: int) -> None:
    predictors = np.array(list(product(range(levels), repeat=len(gold))), dtype=float)
    predictors = predictors[np.ptp(predictors, axis=1) > 0]
    ranks, of_gold = rankdata(predictors, axis=1), rankdata(gold)
    correlations = [np.corrcoef(row, of_gold)[0, 1] for row in np.unique(ranks, axis=0)]
    bound = level_bound(gold, levels)
    assert bound.spearman == pytest.approx(max(correlations), abs=1e-12)
    assert bound.shortcut == pytest.approx(shortcut(predictors, gold).max(), abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.sampled_from([1, 2, 3, 40, 300]), min_size=2, max_size=15), LEVELS)
@example([1] * 10 + [300, 300], 3)
def test_equals_a_plain_dynamic_programme(sizes: list[int], levels: int) -> None:
    gold = np.repeat(np.arange(len(sizes)), sizes)
    within, n = plain_programme(gold, levels), len(gold)
    of_all = np.sum((rankdata(gold) - (n + 1) / 2) ** 2)
    bound = level_bound(gold, levels)
    assert bound.spearman == pytest.approx(np.sqrt(1 - within / of_all), abs=1e-9)
    assert bound.shortcut == pytest.approx(1 - 6 * within / (n**3 - n), abs=1e-9)


@settings(deadline=None)
@given(gold_values(60))
def test_between_0_and_1_and_grows_to_1_with_the_levels(gold: np.ndarray) -> None:
    distinct = len(np.unique(gold))
    bounds = [level_bound(gold, levels) for levels in range(2, distinct + 3)]
    for values in ([b.spearman for b in bounds], [b.shortcut for b in bounds]):
        assert 0 < values[0] <= 1
        # Each level more splits a block until every gold value has its own.
        assert all(a < b for a, b in pairwise(values[: distinct - 1]))
        assert values[distinct - 2 :] == [1.0] * 3
    assert all(len(b.thresholds) == distinct - 1 for b in bounds[distinct - 2 :])


@settings(deadline=None)
@given(gold_values(60), LEVELS, SEEDS)
def test_only_the_order_of_gold_counts(gold: np.ndarray, levels: int, seed: int) -> None:
    bound = level_bound(gold, levels)
    stretched = level_bound(gold**3 - 7, levels)
    assert (stretched.spearman, stretched.shortcut) == (bound.spearman, bound.shortcut)
    assert stretched.thresholds == tuple(value**3 - 7 for value in bound.thresholds)
    reverse = level_bound(-gold, levels)
    assert (reverse.spearman, reverse.shortcut) == (bound.spearman, bound.shortcut)
    assert level_bound(np.random.default_rng(seed).permutation(gold), levels) == bound


@given(gold_values(30), LEVELS, st.integers(2, 5))
def test_repeated_items_change_the_shortcut_only(gold: np.ndarray, levels: int, times: int) -> None:
    assume(len(np.unique(gold)) > levels)
    bound, repeated = level_bound(gold, levels), level_bound(np.repeat(gold, times), levels)
    assert repeated.spearman == pytest.approx(bound.spearman, abs=1e-12)
    assert repeated.thresholds == bound.thresholds
    assert repeated.shortcut > bound.shortcut


@pytest.mark.parametrize("levels", [2, 3, 6])
def test_approaches_its_limit_where_all_values_differ(levels: int) -> None:
    bound = level_bound(np.arange(90_000.0), levels)
    assert bound.spearman == pytest.approx(np.sqrt(1 - 1 / levels**2), abs=1e-9)
    assert bound.shortcut == pytest.approx(1 - 1 / (2 * levels**2), abs=1e-9)
    blocks = np.diff([0, *bound.thresholds, 90_000])
    assert np.abs(blocks - 90_000 / levels).max() <= 1


def test_two_levels() -> None:
    bound = two_level_bound(np.arange(100_000.0))
    assert (round(bound.spearman, 5), round(bound.shortcut, 5)) == (0.86603, 0.87500)
    assert bound == level_bound(np.arange(100_000.0), 2)
    assert bound.thresholds == (50_000.0,)
    skewed = two_level_bound(np.array([0.0] * 5 + [1.0] * 90 + [2.0] * 5))
    assert skewed.spearman == pytest.approx(np.sqrt((100**3 - 5**3 - 95**3) / 270_750))
    assert two_level_bound(np.array([3.0, 1, 3])) == level_bound(np.array([3.0, 1, 3]), 5)


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="gold values: all are the same"):
        two_level_bound(np.ones(4))
    with pytest.raises(ValueError, match="gold values: 1 of 3 values are NaN"):
        two_level_bound(np.array([0, 1, np.nan]))
    with pytest.raises(ValueError, match="gold values: no values"):
        two_level_bound(np.array([]))
    with pytest.raises(ValueError, match="a predictor of 1 values"):
        level_bound(np.arange(3.0), 1)


@pytest.mark.parametrize("name", STS)
def test_bounds_of_the_sts_test_sets(data_folder: Path, name: str) -> None:
    rows = read_rows(data_folder / "sts" / name / "test.jsonl.gz")
    gold = np.array([row["score"] for row in rows], dtype=np.float64)
    bound = two_level_bound(gold)
    assert (round(bound.spearman, 4), round(bound.shortcut, 4)) == STS[name]
    reached = spearmanr(gold, gold >= bound.thresholds[0]).statistic
    assert bound.spearman == pytest.approx(reached, abs=1e-12)
