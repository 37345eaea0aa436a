"""Bootstrap over items by resampling counts.

A resample is a vector of counts: item i was drawn count[i] times. Two methods scored with the
same counts are paired. Ranks of a resample come from cumulative counts over the sorted values,
so nothing is sorted again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REPLICATES = 1000
_CHUNK = 100


def resample_counts(
    n: int, rng: np.random.Generator, replicates: int = REPLICATES
) -> NDArray[np.int16]:
    """Draw ``n`` of ``n`` items with replacement; counts of shape (replicates, n)."""
    counts = np.empty((replicates, n), dtype=np.int16)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, n, size=n), minlength=n)
    return counts


def spearman_replicates(
    x: NDArray[np.float64], y: NDArray[np.float64], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Spearman correlation of each resample, NaN where a resample is constant.

    Args:
        x: Values of shape (n,).
        y: Values of shape (n,).
        counts: Resampling counts of shape (R, n).

    Returns:
        Float64 of shape (R,).
    """
    chunks = [counts[i : i + _CHUNK] for i in range(0, len(counts), _CHUNK)]
    return np.concatenate([_correlate(_midranks(x, c), _midranks(y, c), c) for c in chunks])


def _midranks(values: NDArray[np.float64], counts: NDArray[np.int16]) -> NDArray[np.float64]:
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    size = np.add.reduceat(counts[:, order], starts, axis=1, dtype=np.float64)
    before = np.cumsum(size, axis=1) - size
    return np.asarray((before + (size + 1) / 2)[:, group])


def _correlate(
    a: NDArray[np.float64], b: NDArray[np.float64], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    n = counts.shape[1]
    # Mid-ranks of n drawn items always have mean (n + 1) / 2.
    a, b = a - (n + 1) / 2, b - (n + 1) / 2
    covariance = np.einsum("rn,rn,rn->r", a, b, counts)
    variance = np.einsum("rn,rn,rn->r", a, a, counts) * np.einsum("rn,rn,rn->r", b, b, counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(covariance / np.sqrt(variance))


def percentile_interval(
    replicates: NDArray[np.float64], level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of replicates of shape (R,), leaving out undefined ones."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def mean_replicates(
    values: NDArray[np.float64],
    counts: NDArray[np.int16],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Mean of each resample, weighted by item where weights are given.

    Args:
        values: Values of shape (n,).
        counts: Resampling counts of shape (R, n).
        weights: Weight of each item, (n,).

    Returns:
        Float64 of shape (R,).
    """
    weights = np.ones(len(values)) if weights is None else weights
    chunks = [counts[i : i + _CHUNK].astype(np.float64) for i in range(0, len(counts), _CHUNK)]
    return np.concatenate([chunk @ (values * weights) / (chunk @ weights) for chunk in chunks])


def f1_replicates(
    predicted: NDArray[np.bool_], gold: NDArray[np.bool_], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """F1 of the positive class in each resample, 0 where there is none to find.

    Args:
        predicted: Predictions of shape (n,).
        gold: Gold labels of shape (n,).
        counts: Resampling counts of shape (R, n).
    """
    hits, all_of_them = predicted & gold, predicted.astype(np.float64) + gold
    chunks = [counts[i : i + _CHUNK].astype(np.float64) for i in range(0, len(counts), _CHUNK)]
    parts = [(2 * (chunk @ hits), chunk @ all_of_them) for chunk in chunks]
    found, total = (np.concatenate(column) for column in zip(*parts, strict=True))
    return np.asarray(np.divide(found, total, out=np.zeros_like(found), where=total > 0))


def average_precision_replicates(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Average precision of each resample as scikit-learn defines it, NaN without positives.

    Tied scores are one threshold, so a resample needs no new sorting.

    Args:
        scores: Scores of shape (n,), high ones for positives.
        labels: Which of the n are positive.
        counts: Resampling counts of shape (R, n).
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    positive = labels[order]
    chunks = [counts[i : i + _CHUNK, order] for i in range(0, len(counts), _CHUNK)]
    return np.concatenate([_average_precisions(chunk, positive, starts) for chunk in chunks])


def _average_precisions(
    counts: NDArray[np.int16], positive: NDArray[np.bool_], starts: NDArray[np.intp]
) -> NDArray[np.float64]:
    taken = np.cumsum(np.add.reduceat(counts, starts, axis=1, dtype=np.float64), axis=1)
    hits = np.add.reduceat(counts * positive, starts, axis=1, dtype=np.float64)
    found = np.cumsum(hits, axis=1)
    precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((precision * hits).sum(axis=1) / found[:, -1])


def pearson_replicates(
    x: NDArray[np.float64], y: NDArray[np.float64], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Pearson's correlation of each resample, NaN where a resample is constant.

    Args:
        x: Values of shape (n,).
        y: Values of shape (n,).
        counts: Resampling counts of shape (R, n).
    """
    n = len(x)
    a, b = x - x.mean(), y - y.mean()
    chunks = [counts[i : i + _CHUNK].astype(np.float64) for i in range(0, len(counts), _CHUNK)]
    moments = np.stack([a, b, a * a, b * b, a * b], axis=1)
    sums = np.concatenate([chunk @ moments for chunk in chunks]) / n
    mean_a, mean_b, square_a, square_b, product = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            (product - mean_a * mean_b) / np.sqrt((square_a - mean_a**2) * (square_b - mean_b**2))
        )
