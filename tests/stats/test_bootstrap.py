"""Bootstrap replicates against ranking every resample anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from bench.core import blocks
from bench.stats import bootstrap
from bench.stats.bootstrap import (
    percentile_interval,
    resample_counts,
    resampled,
    spearman_replicates,
)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 60), st.integers(2, 9))
def test_replicates_equal_spearman_of_the_drawn_items(seed: int, n: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, levels, n).astype(float)
    y = x + rng.normal(size=n).round(1)
    counts = resample_counts(n, rng, replicates=8)
    got = spearman_replicates(x, y, counts)
    for value, count in zip(got, counts, strict=True):
        drawn_x, drawn_y = np.repeat(x, count), np.repeat(y, count)
        if np.ptp(drawn_x) == 0 or np.ptp(drawn_y) == 0:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(spearmanr(drawn_x, drawn_y).statistic, abs=1e-9)


def test_counts_draw_n_of_n() -> None:
    counts = resample_counts(50, np.random.default_rng(0), replicates=20)
    assert (counts.sum(axis=1) == 50).all()
    assert counts.std() > 0.5


def test_interval_covers_the_true_correlation_about_as_often_as_it_says() -> None:
    hits, rho = 0, 0.6
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=150)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=150)
        low, high = percentile_interval(
            spearman_replicates(x, y, resample_counts(150, rng, replicates=300))
        )
        hits += low <= 6 / np.pi * np.arcsin(rho / 2) <= high
    assert 85 <= hits <= 100


ITEMS = st.integers(2, 40)


@settings(max_examples=30, deadline=None)
@given(ITEMS, st.integers(1, 30), st.integers(1, 200), st.integers(0, 99))
def test_resamples_in_blocks_are_those_drawn_at_once(
    n: int, replicates: int, held: int, seed: int
) -> None:
    at_once = resample_counts(n, np.random.default_rng(seed), replicates)
    sizes = []

    def rows(counts: np.ndarray) -> np.ndarray:
        sizes.append(counts.size)
        return counts.T

    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "_COUNTS", held)
        blocks = resampled(rows, n, rng, replicates)
    assert (blocks == at_once.T).all()
    assert max(sizes) <= max(held, n)
    # What is drawn afterwards is the same too.
    after = np.random.default_rng(seed)
    resample_counts(n, after, replicates)
    assert rng.integers(1_000_000) == after.integers(1_000_000)


@settings(max_examples=30, deadline=None)
@given(ITEMS, st.integers(1, 300), st.integers(0, 99))
def test_statistics_do_not_depend_on_the_size_of_a_chunk(n: int, cells: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, labels = rng.normal(size=n), rng.normal(size=n), np.arange(n) % 2 == 0
    counts = resample_counts(n, rng, 12)

    def scores() -> np.ndarray:
        return np.stack(
            [
                bootstrap.mean_replicates(x, counts, np.abs(y)),
                bootstrap.f1_replicates(x > 0, labels, counts),
                bootstrap.average_precision_replicates(x, labels, counts),
                bootstrap.pearson_replicates(x, y, counts),
            ]
        )

    expected = scores()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "_CELLS", cells)
        np.testing.assert_allclose(scores(), expected, rtol=1e-9, atol=1e-12)


def test_what_is_held_does_not_grow_with_the_items() -> None:
    sizes = []

    def longest(counts: np.ndarray) -> np.ndarray:
        sizes.append(counts.nbytes)
        return np.zeros(len(counts))

    for n in (30_000, 100_000, 300_000):
        resampled(longest, n, np.random.default_rng(0), replicates=330)
    assert max(sizes) <= 64_000_000
    assert sizes[0] == 330 * 30_000 * 2
