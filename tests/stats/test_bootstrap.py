"""Bootstrap replicates against ranking every resample anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from bench.stats.bootstrap import percentile_interval, resample_counts, spearman_replicates


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
