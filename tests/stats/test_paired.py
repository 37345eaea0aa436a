"""Paired differences against SciPy, their error rates in simulations, and real rows."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import bootstrap, spearmanr

from bench.data.rows import read_rows
from bench.metrics.cosine import cosine_float64
from bench.stats.bootstrap import (
    mean_replicates,
    percentile_interval,
    resample_counts,
    spearman_replicates,
)
from bench.stats.intervals import bca_interval, jackknife_mean
from bench.stats.mcnemar import mcnemar_p
from bench.stats.paired import (
    Difference,
    bootstrap_p,
    cohens_dz,
    difference_of_correct,
    difference_of_items,
    difference_of_replicates,
)
from bench.stats.permutation import sign_flip_p
from bench.stats.resampling import replicate

R = 4000


def _similarities(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 11, n) / 2
    return gold + rng.normal(size=n), gold + 2 * rng.normal(size=n), gold


def _of_spearman(
    first: np.ndarray, second: np.ndarray, gold: np.ndarray, seed: int, count: int
) -> Difference:
    def score(counts: np.ndarray) -> np.ndarray:
        return np.stack([spearman_replicates(x, gold, counts) for x in (first, second)])

    points = score(np.ones((1, len(gold)), dtype=np.int16))[:, 0]
    replicates = replicate(score, len(gold), np.random.default_rng(seed), count)
    return difference_of_replicates(
        (float(points[0]), float(points[1])),
        (replicates[0], replicates[1]),
        (first, second),
    )


def test_paired_interval_of_spearman_equals_that_of_scipy() -> None:
    first, second, gold = _similarities(0, 60)

    def difference(a: np.ndarray, b: np.ndarray, target: np.ndarray) -> float:
        return spearmanr(a, target).statistic - spearmanr(b, target).statistic

    found = _of_spearman(first, second, gold, 1, R)
    theirs = bootstrap(
        (first, second, gold),
        difference,
        paired=True,
        vectorized=False,
        n_resamples=R,
        method="percentile",
        rng=np.random.default_rng(2),
    )
    assert found.delta == pytest.approx(difference(first, second, gold), abs=1e-12)
    # A 2.5% quantile of 4,000 normal replicates has a standard error of 0.042 of theirs.
    error = 5 * 0.042 * np.sqrt(2) * theirs.standard_error
    assert found.ci95 == pytest.approx(tuple(theirs.confidence_interval), abs=error)
    assert "percentile" in found.method


def test_paired_interval_of_means_equals_that_of_scipy() -> None:
    rng = np.random.default_rng(3)
    first = rng.random(80) ** 3
    second = first * rng.random(80)
    found = difference_of_items(first, second, np.random.default_rng(4))
    theirs = bootstrap(
        (first, second),
        lambda a, b, axis: np.mean(a, axis=axis) - np.mean(b, axis=axis),
        paired=True,
        n_resamples=10_000,
        rng=np.random.default_rng(5),
    )
    error = 5 * 0.027 * np.sqrt(2) * theirs.standard_error
    assert found.ci95 == pytest.approx(tuple(theirs.confidence_interval), abs=error)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(20, 60))
def test_swapping_the_methods_negates_delta_and_keeps_p(seed: int, n: int) -> None:
    first, second, gold = _similarities(seed, n)
    one = _of_spearman(first, second, gold, seed, 200)
    other = _of_spearman(second, first, gold, seed, 200)
    assert (other.delta, other.p) == (-one.delta, one.p)
    assert other.ci95 == pytest.approx((-one.ci95[1], -one.ci95[0]), abs=1e-9)
    assert other.effect == pytest.approx(-one.effect)
    assert 0 < one.p <= 1
    assert one.ci95[0] <= one.ci95[1]


def test_no_chunk_of_resamples_repeats_another() -> None:
    score = partial(mean_replicates, np.random.default_rng(0).normal(size=5000))
    replicates = replicate(score, 5000, np.random.default_rng(7), 1100)
    assert replicates.shape == (1100,)
    assert len(np.unique(replicates)) > 1000


def test_bootstrap_p_counts_replicates_as_far_from_their_centre_as_delta_from_0() -> None:
    assert bootstrap_p(2.0, np.array([0.0, 1.0, 2.0, 3.0, 4.5, -5.0])) == pytest.approx(4 / 7)


def test_cohens_dz() -> None:
    first, second = np.array([3.0, 5.0, 4.0]), np.array([2.0, 2.0, 2.0])
    assert cohens_dz(first, second) == pytest.approx(2.0)
    assert cohens_dz(second, second) == 0
    assert cohens_dz(second + 0.1, second) is None
    assert cohens_dz(first[:1], second[:1]) is None


def test_identical_methods_do_not_differ() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(30)
    right = values > 0.5
    first, _, gold = _similarities(0, 30)
    for found in (
        difference_of_items(values, values, rng),
        difference_of_correct(right, right, rng),
        _of_spearman(first, first, gold, 0, 100),
        difference_of_items(np.ones(5), np.ones(5), rng),
        difference_of_items(np.ones(1), np.ones(1), rng),
    ):
        assert (found.delta, found.ci95, found.p, found.effect) == (0, (0, 0), 1, 0)


def test_one_item() -> None:
    found = difference_of_items(np.array([0.75]), np.array([0.5]), np.random.default_rng(0))
    assert (found.delta, found.ci95, found.p, found.effect) == (0.25, (0.25, 0.25), 1, None)


def test_difference_of_correct_takes_its_p_value_from_mcnemar() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.random(200) < 0.8, rng.random(200) < 0.7
    found = difference_of_correct(first, second, rng)
    assert found.p == mcnemar_p(first, second)
    assert found.delta == pytest.approx(first.mean() - second.mean())
    assert found.ci95[0] < found.delta < found.ci95[1]


def test_errors_say_what_is_wrong() -> None:
    good, bad = np.arange(3.0), np.array([0, np.nan, 1])
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="replicates of the second: 1 of 3 values are NaN"):
        difference_of_replicates((1, 0), (good, bad))
    with pytest.raises(ValueError, match="items of the first: 1 of 3"):
        difference_of_replicates((1, 0), (good, good), items=(bad, good))
    with pytest.raises(ValueError, match="values of the first: 1 of 3"):
        difference_of_items(bad, good, rng)
    with pytest.raises(ValueError, match="items of the first: no values"):
        difference_of_correct(np.array([], dtype=bool), np.array([], dtype=bool), rng)


# Each number below is a share of 1,000 draws: at 95% its standard error is 0.7 points.
DRAWS = 1000
Draw = tuple[np.ndarray, np.ndarray]


def _map_like(rng: np.random.Generator, shift: float) -> Draw:
    query = rng.normal(size=100)
    first, second = query + 0.7 * rng.normal(size=(2, 100))
    return first + shift, second


def _share(hit: Callable[[int], bool]) -> float:
    return sum(map(hit, range(DRAWS))) / DRAWS


@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["percentile", "BCa"])
def test_interval_of_means_covers_the_difference(kind: str) -> None:
    def covers(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        change = np.subtract(*_map_like(rng, 0.3))
        replicates = mean_replicates(change, resample_counts(100, rng, 500))
        interval = percentile_interval(replicates)
        if kind == "BCa":
            interval = bca_interval(replicates, float(change.mean()), jackknife_mean(change))
        return interval[0] <= 0.3 <= interval[1]

    coverage = _share(covers)
    print(f"coverage of the 95% {kind} interval of a mean: {coverage:.1%}")
    assert 0.93 <= coverage <= 0.97


def _spearman_draw(rng: np.random.Generator, noise: float = 1.0, n: int = 200) -> tuple:
    gold = rng.normal(size=n)
    return gold + rng.normal(size=n), gold + noise * rng.normal(size=n), gold


def _spearman_of_normal(noise: float) -> float:
    return 6 / np.pi * np.arcsin(1 / np.sqrt(1 + noise**2) / 2)


@pytest.mark.nightly
def test_paired_interval_of_spearman_covers_the_difference() -> None:
    truth = _spearman_of_normal(1.0) - _spearman_of_normal(1.3)

    def covers(seed: int) -> bool:
        rng = np.random.default_rng(seed)
        first, second, gold = _spearman_draw(rng, 1.3)
        low, high = _of_spearman(first, second, gold, seed, 500).ci95
        return low <= truth <= high

    coverage = _share(covers)
    print(f"coverage of the 95% percentile interval of Spearman: {coverage:.1%}")
    assert 0.93 <= coverage <= 0.97


def _significant(test: str, different: bool, seed: int) -> bool:
    rng = np.random.default_rng(seed)
    if test == "sign flips":
        return sign_flip_p(*_map_like(rng, 0.25 if different else 0), rng, 999) <= 0.05
    first, second, gold = _spearman_draw(rng, 1.5 if different else 1.0)
    return _of_spearman(first, second, gold, seed, 499).p <= 0.05


@pytest.mark.nightly
@pytest.mark.parametrize("test", ["sign flips", "bootstrap of Spearman"])
def test_false_positives_and_power(test: str) -> None:
    false = _share(partial(_significant, test, False))
    power = sum(_significant(test, True, seed) for seed in range(200)) / 200
    print(f"{test}: false positives {false:.1%}, power {power:.1%}")
    assert 0.04 <= false <= 0.06
    assert power > 0.5


def test_real_rows(data_folder: Path) -> None:
    rows = read_rows(data_folder / "sts" / "stsb" / "test.jsonl.gz")
    gold = np.array([row["score"] for row in rows])
    four, one = (
        cosine_float64(_hashed(rows, "sentence1", size), _hashed(rows, "sentence2", size))
        for size in (4, 1)
    )
    found = _of_spearman(four, one, gold, 0, 2000)
    assert found.delta == pytest.approx(
        spearmanr(four, gold).statistic - spearmanr(one, gold).statistic, abs=1e-12
    )
    assert found.delta > 0.05
    assert 0 < found.ci95[0] < found.delta < found.ci95[1]
    assert found.p == 1 / 2001


def _hashed(rows: list[dict], column: str, size: int) -> np.ndarray:
    """Counts of hashed character n-grams, (rows, 512)."""
    vectors = np.zeros((len(rows), 512), dtype=np.float32)
    for vector, row in zip(vectors, rows, strict=True):
        text = f" {row[column].lower()} "
        for i in range(len(text) - size + 1):
            vector[zlib.crc32(text[i : i + size].encode()) % 512] += 1
    return vectors
