"""V-measure of resamples against scikit-learn, and B-cubed by its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import homogeneity_completeness_v_measure

from bench.metrics.clusters import bcubed_f1, homogeneity_completeness, v_measures

ASSIGNMENTS = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        *(st.lists(st.integers(0, 5), min_size=n, max_size=n) for _ in range(2)),
        st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any),
    )
)


@settings(deadline=None)
@given(ASSIGNMENTS)
def test_a_resample_scores_like_its_items_written_out(drawn: tuple[list[int], ...]) -> None:
    labels, clusters, counts = map(np.array, drawn)
    want = homogeneity_completeness_v_measure(labels.repeat(counts), clusters.repeat(counts))
    resamples = np.stack([counts, counts])
    shares = homogeneity_completeness(labels, clusters, resamples)
    found = [*shares, v_measures(labels, clusters, resamples)]
    assert np.array(found) == pytest.approx(np.stack([want, want], axis=1), abs=1e-9)


def test_many_resamples_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels, clusters = rng.integers(0, 4, (2, 50))
    counts = rng.integers(0, 3, (7, 50))
    whole = v_measures(labels, clusters, counts)
    monkeypatch.setattr("bench.metrics.clusters._BLOCK", 100)
    assert v_measures(labels, clusters, counts) == pytest.approx(whole, abs=0)


@given(ASSIGNMENTS)
def test_bcubed_by_its_definition(drawn: tuple[list[int], ...]) -> None:
    labels, clusters = map(np.array, drawn[:2])
    for item, found in enumerate(bcubed_f1(labels, clusters)):
        own, kind = clusters == clusters[item], labels == labels[item]
        precision, recall = (own & kind).sum() / own.sum(), (own & kind).sum() / kind.sum()
        assert found == pytest.approx(2 * precision * recall / (precision + recall))
