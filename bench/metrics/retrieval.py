"""Measures of the first documents that a search found for each query, as trec_eval defines them.

Each takes the queries' documents in the order of the search, with a place for each of the first r;
a query that found fewer has places that hold nothing relevant. A query for which nothing is
relevant has the value 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Grades = NDArray[np.integer]
Relevance = NDArray[np.bool_]
PerQuery = NDArray[np.float64]


def ndcg_at(grades: Grades, ideal: Grades, cut: int) -> PerQuery:
    """Normalised discounted cumulative gain of the first documents, (q,).

    The gain of a document is its grade, discounted by the binary logarithm of its rank plus 1
    (Järvelin and Kekäläinen, ACM TOIS 2002); what is below 0 gains nothing.

    Args:
        grades: Grades of the found documents, (q, r).
        ideal: Grades of each query's judged documents, found or not, falling and filled up with
            zeros, (q, m).
        cut: How many of each count.
    """
    best = _gain(ideal, cut)
    return np.divide(_gain(grades, cut), best, out=np.zeros(len(best)), where=best > 0)


def _gain(grades: Grades, cut: int) -> PerQuery:
    gains = np.maximum(grades[:, :cut], 0)
    return np.asarray(gains @ (1 / np.log2(np.arange(gains.shape[1]) + 2)), dtype=np.float64)


def mean_precision(relevant: Relevance, total: NDArray[np.integer]) -> PerQuery:
    """Average precision: the sum of the precision at relevant documents over all relevant, (q,).

    Args:
        relevant: Which of the found documents are relevant, (q, r).
        total: How many are relevant, found or not, (q,).
    """
    precision = np.cumsum(relevant, axis=1) / (np.arange(relevant.shape[1]) + 1)
    return _share((precision * relevant).sum(axis=1), total)


def reciprocal_rank_at(relevant: Relevance, cut: int) -> PerQuery:
    """One over the rank of the first relevant document, 0 where that is below the cut, (q,).

    Args:
        relevant: Which of the found documents are relevant, (q, r).
        cut: How many count.
    """
    first = relevant[:, :cut]
    return np.where(first.any(axis=1), 1 / (1 + first.argmax(axis=1)), 0.0)


def recall_at(relevant: Relevance, total: NDArray[np.integer], cut: int) -> PerQuery:
    """Share of all relevant documents that are among the first, (q,).

    Args:
        relevant: Which of the found documents are relevant, (q, r).
        total: How many are relevant, found or not, (q,).
        cut: How many count.
    """
    return _share(relevant[:, :cut].sum(axis=1), total)


def precision_of_first(relevant: Relevance, cut: int) -> PerQuery:
    """Share of relevant documents among the first, fewer than those counting as misses, (q,).

    Args:
        relevant: Which of the found documents are relevant, (q, r).
        cut: How many count.
    """
    return np.asarray(relevant[:, :cut].sum(axis=1) / cut, dtype=np.float64)


def _share(
    of_each: NDArray[np.floating] | NDArray[np.integer], total: NDArray[np.integer]
) -> PerQuery:
    share = np.divide(of_each, total, out=np.zeros(len(total)), where=total > 0)
    return np.asarray(share, dtype=np.float64)
