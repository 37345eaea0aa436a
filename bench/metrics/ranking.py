"""Average precision, reciprocal rank and precision of a ranked list whose scores may tie.

A tie can be broken for the relevant ones (``optimistic``), against them (``pessimistic``), by the
order of the list (``ordered``), or at random: ``realistic`` is the mean over all orders, in
closed form (McSherry and Najork, ECIR 2008).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Ties = Literal["optimistic", "realistic", "pessimistic", "ordered"]
Scores = NDArray[np.floating]
Relevance = NDArray[np.bool_]


def average_precision(scores: Scores, relevant: Relevance, ties: Ties = "realistic") -> float:
    """Mean over the relevant ones of the precision at their rank.

    Args:
        scores: Scores of shape (n,), high ones first.
        relevant: Which of the n are relevant, at least one.
        ties: How equal scores are ordered.
    """
    if ties == "realistic":
        return _expected_average_precision(scores, relevant)
    hits = relevant[ranking(scores, relevant, ties)]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def reciprocal_rank(
    scores: Scores, relevant: Relevance, ties: Ties = "realistic", cut: int | None = None
) -> float:
    """One over the rank of the first relevant one, 0 where that is below the cut."""
    if ties == "realistic":
        return _expected_reciprocal_rank(scores, relevant, cut)
    first = int(np.argmax(relevant[ranking(scores, relevant, ties)])) + 1
    return 1 / first if cut is None or first <= cut else 0.0


def precision_at(scores: Scores, relevant: Relevance, cut: int, ties: Ties = "realistic") -> float:
    """Share of relevant ones among the first ``cut``, fewer than those counting as misses."""
    if ties != "realistic":
        return float(relevant[ranking(scores, relevant, ties)][:cut].sum() / cut)
    expected_hits = 0.0
    for before, size, hits, _ in _groups(scores, relevant):
        expected_hits += hits * min(max(cut - before, 0), size) / size
    return expected_hits / cut


def ranking(scores: Scores, relevant: Relevance, ties: Ties) -> NDArray[np.intp]:
    """Order of the list by falling score: indices of shape (n,).

    Raises:
        ValueError: ``realistic`` means many orders.
    """
    if ties == "realistic":
        raise ValueError("realistic ties have no single order")
    order = {
        "ordered": np.arange(len(scores)),
        "optimistic": ~relevant,
        "pessimistic": relevant,
    }[ties]
    return np.lexsort((order, -scores))


def _groups(scores: Scores, relevant: Relevance) -> list[tuple[int, int, int, int]]:
    """Items before, size, relevant ones, and relevant ones before, for each tied group."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    sizes = np.diff(starts, append=len(scores))
    hits = np.add.reduceat(relevant[order].astype(int), starts)
    before = np.cumsum(hits) - hits
    return list(zip(starts.tolist(), sizes.tolist(), hits.tolist(), before.tolist(), strict=True))


def _expected_average_precision(scores: Scores, relevant: Relevance) -> float:
    total = 0.0
    for before, size, hits, hits_before in _groups(scores, relevant):
        if not hits:
            continue
        place = np.arange(1, size + 1)
        # Given that a place holds a relevant one, the others are spread evenly over the rest.
        others = (place - 1) * (hits - 1) / max(size - 1, 1)
        total += float((hits / size * (hits_before + 1 + others) / (before + place)).sum())
    return total / int(relevant.sum())


def _expected_reciprocal_rank(scores: Scores, relevant: Relevance, cut: int | None) -> float:
    before, size, hits, _ = next(group for group in _groups(scores, relevant) if group[2])
    expected, nothing_yet = 0.0, 1.0
    for place in range(size - hits + 1):
        chance = nothing_yet * hits / (size - place)
        rank = before + place + 1
        expected += chance / rank if cut is None or rank <= cut else 0.0
        nothing_yet -= chance
    return expected
