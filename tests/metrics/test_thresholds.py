"""Best thresholds against trying every one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from bench.metrics.thresholds import best_thresholds

ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.7, 1.0]), st.booleans()), min_size=2, max_size=12
)


@given(ROWS)
def test_no_threshold_is_better(rows) -> None:
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    best = best_thresholds(scores, labels)
    thresholds = [*np.unique(scores), np.inf]
    accuracies = [accuracy_score(labels, scores >= t) for t in thresholds]
    f1s = [f1_score(labels, scores >= t, zero_division=0) for t in thresholds]
    assert best.accuracy == pytest.approx(max(accuracies))
    assert best.f1 == pytest.approx(max(f1s))
    if best.f1:
        harmonic = 2 * best.precision * best.recall / (best.precision + best.recall)
        assert harmonic == pytest.approx(best.f1)
