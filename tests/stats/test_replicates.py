"""Each replicate equals the metric of the resample written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sklearn.metrics import average_precision_score, f1_score

from bench.stats.bootstrap import (
    average_precision_replicates,
    f1_replicates,
    mean_replicates,
    pearson_replicates,
    resample_counts,
)

SEEDS = st.integers(0, 10_000)


def _drawn(counts: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_replicates_are_metrics_of_the_resample(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(12, 40))
    scores, other = rng.integers(0, 6, n) / 5, rng.normal(size=n)
    gold, predicted = np.arange(n) % 3 == 0, rng.random(n) < 0.5
    weights = rng.random(n) + 0.1
    counts = resample_counts(n, rng, 5)
    found = {
        "mean": mean_replicates(other, counts, weights),
        "f1": f1_replicates(predicted, gold, counts),
        "ap": average_precision_replicates(scores, gold, counts),
        "pearson": pearson_replicates(scores, other, counts),
    }
    for i, row in enumerate(counts):
        at = _drawn(row)
        if not gold[at].any():
            assert np.isnan(found["ap"][i])
            continue
        assert found["mean"][i] == pytest.approx(np.average(other[at], weights=weights[at]))
        assert found["f1"][i] == pytest.approx(f1_score(gold[at], predicted[at], zero_division=0))
        assert found["ap"][i] == pytest.approx(average_precision_score(gold[at], scores[at]))
        assert found["pearson"][i] == pytest.approx(pearsonr(scores[at], other[at]).statistic)
