"""Ranking metrics against scikit-learn, pytrec_eval and brute force over all orders of ties."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from bench.metrics.ranking import average_precision, precision_at, ranking, reciprocal_rank

LISTS = st.lists(
    st.tuples(st.sampled_from([0.1, 0.4, 0.5, 0.9]), st.booleans()), min_size=1, max_size=6
).filter(lambda rows: any(flag for _, flag in rows))


def _arrays(rows):
    scores, relevant = zip(*rows, strict=True)
    return np.array(scores), np.array(relevant)


def _orders(scores, relevant):
    """Relevance flags in every order that the scores allow."""
    for order in permutations(range(len(scores))):
        ranked = scores[list(order)]
        if (np.diff(ranked) <= 0).all():
            yield relevant[list(order)]


def _ap(flags):
    precision = np.cumsum(flags) / np.arange(1, len(flags) + 1)
    return precision[flags].mean()


def _rr(flags, cut=None):
    rank = int(np.argmax(flags)) + 1
    return 1 / rank if cut is None or rank <= cut else 0.0


@given(LISTS)
def test_realistic_is_the_mean_over_all_orders(rows) -> None:
    scores, relevant = _arrays(rows)
    orders = list(_orders(scores, relevant))
    assert average_precision(scores, relevant) == pytest.approx(np.mean([_ap(f) for f in orders]))
    for cut in (None, 1, 2):
        expected = np.mean([_rr(f, cut) for f in orders])
        assert reciprocal_rank(scores, relevant, cut=cut) == pytest.approx(expected)
    for cut in (1, 3):
        expected = np.mean([f[:cut].sum() / cut for f in orders])
        assert precision_at(scores, relevant, cut) == pytest.approx(expected)


@given(LISTS)
def test_optimistic_and_pessimistic_are_the_extremes(rows) -> None:
    scores, relevant = _arrays(rows)
    values = [_ap(flags) for flags in _orders(scores, relevant)]
    assert average_precision(scores, relevant, "optimistic") == pytest.approx(max(values))
    assert average_precision(scores, relevant, "pessimistic") == pytest.approx(min(values))
    ranks = [_rr(flags) for flags in _orders(scores, relevant)]
    assert reciprocal_rank(scores, relevant, "optimistic") == pytest.approx(max(ranks))
    assert reciprocal_rank(scores, relevant, "pessimistic") == pytest.approx(min(ranks))


@given(st.integers(0, 1000), st.integers(1, 20))
def test_without_ties_all_equal_scikit_learn_and_trec_eval(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.permutation(size).astype(float)
    relevant = rng.random(size) < 0.4
    relevant[rng.integers(size)] = True
    expected = average_precision_score(relevant, scores)
    for ties in ("optimistic", "realistic", "pessimistic", "ordered"):
        assert average_precision(scores, relevant, ties) == pytest.approx(expected)
    qrels = {"q": {f"d{i}": int(flag) for i, flag in enumerate(relevant)}}
    run = {"q": {f"d{i}": float(score) for i, score in enumerate(scores)}}
    names = {"map", "recip_rank", "P.5"}
    trec = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(run)["q"]
    assert average_precision(scores, relevant) == pytest.approx(trec["map"])
    assert reciprocal_rank(scores, relevant) == pytest.approx(trec["recip_rank"])
    assert precision_at(scores, relevant, 5) == pytest.approx(trec["P_5"])


@pytest.mark.parametrize("rank", [1, 2, 7])
def test_one_relevant_candidate(rank: int) -> None:
    scores = -np.arange(8.0)
    relevant = np.arange(8) == rank - 1
    assert average_precision(scores, relevant) == pytest.approx(1 / rank)
    assert reciprocal_rank(scores, relevant) == pytest.approx(1 / rank)
    assert reciprocal_rank(scores, relevant, cut=5) == (1 / rank if rank <= 5 else 0)


def test_constant_scorer() -> None:
    scores, relevant = np.zeros(4), np.array([False, True, False, True])
    assert average_precision(scores, relevant, "optimistic") == 1
    assert average_precision(scores, relevant, "pessimistic") == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert average_precision(scores, relevant, "ordered") == pytest.approx(1 / 2)
    assert precision_at(scores, relevant, 1) == pytest.approx(1 / 2)


def test_realistic_has_no_order() -> None:
    with pytest.raises(ValueError, match="no single order"):
        ranking(np.zeros(2), np.array([True, False]), "realistic")
