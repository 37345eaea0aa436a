"""Bootstrap over items by resampling counts.

A resample is a vector of counts: item i was drawn count[i] times. Two methods scored with the
same counts are paired. Ranks of a resample come from cumulative counts over the sorted values,
so nothing is sorted again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import chunks

Statistic: TypeAlias = Callable[[NDArray[np.int16]], NDArray[np.float64]]
REPLICATES = 1000
# Counts that are held at a time: 64 MB, all resamples of up to 32,000 items.
_COUNTS = 32_000_000
_BLOCK = 200_000


def resample_counts(
    n: int, rng: np.random.Generator, replicates: int = REPLICATES
) -> NDArray[np.int16]:
    """Draw ``n`` of ``n`` items with replacement; counts of shape (replicates, n)."""
    counts = np.empty((replicates, n), dtype=np.int16)
    for row in counts:
        row[:] = np.bincount(rng.integers(0, n, size=n), minlength=n)
    return counts


def resampled(
    statistic: Statistic, n: int, rng: np.random.Generator, replicates: int = REPLICATES
) -> NDArray[np.float64]:
    """Score resamples of n items, of which few are held at a time however large n is.

    They are those of ``resample_counts``, drawn in the same order.

    Args:
        statistic: Maps counts (r, n) to the scores of their resamples, (..., r).
        n: Number of items.
        rng: Source of the resamples.
        replicates: Number of resamples R.

    Returns:
        Float64 of shape (..., R).
    """
    step = max(1, _COUNTS // n)
    sizes = [min(step, replicates - start) for start in range(0, replicates, step)]
    return np.concatenate([statistic(resample_counts(n, rng, size)) for size in sizes], axis=-1)


def spearman_replicates(
    x: NDArray[np.float64], y: NDArray[np.float64], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Spearman correlation of each resample, NaN where a resample is constant.

    All sums are of quarters of integers and exact up to about 100,000 items, so that the result
    depends neither on the blocks nor on the order of the items.

    Args:
        x: Values of shape (n,).
        y: Values of shape (n,).
        counts: Resampling counts of shape (R, n); a row may draw any number of items.

    Returns:
        Float64 of shape (R,).
    """
    gold = _sort(y)
    method = _sort(x[gold.order])
    # Larger blocks leave the cache.
    step = max(1, _BLOCK // len(y))
    blocks = [counts[i : i + step] for i in range(0, len(counts), step)]
    return np.concatenate([_spearman_block(method, gold, block) for block in blocks])


@dataclass(frozen=True)
class _Sorted:
    """Sorted order of n values.

    Attributes:
        order: Item at each sorted position, (n,).
        group: Group of equal values at each sorted position, (n,).
        first: First position of each group.
        last: Last position of each group.
        tied: Positions in groups of two and more.
        shared: Groups of two and more.
        member: Index in ``shared`` of the group of each of ``tied``.
    """

    order: NDArray[np.intp]
    group: NDArray[np.intp]
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    tied: NDArray[np.intp]
    shared: NDArray[np.intp]
    member: NDArray[np.intp]


def _sort(values: NDArray[np.float64]) -> _Sorted:
    _, group_of_item = np.unique(values, return_inverse=True)
    order = np.argsort(group_of_item, kind="stable")
    group = group_of_item[order]
    first = np.flatnonzero(np.diff(group, prepend=-1))
    last = np.append(first[1:], len(values)) - 1
    shared = np.flatnonzero(last > first)
    tied = np.flatnonzero((last > first)[group])
    return _Sorted(order, group, first, last, tied, shared, np.searchsorted(shared, group[tied]))


def _spearman_block(
    method: _Sorted, gold: _Sorted, counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Correlations (rows,) of a few resamples; the method is sorted from the order of gold."""
    drawn = counts.take(gold.order, axis=1)
    times = drawn.astype(np.float64)
    size = np.add.reduceat(times, gold.first, axis=1)
    after = size.cumsum(axis=1)
    total = after[:, -1]
    weighted = times * (after - (size - 1) / 2).take(gold.group, axis=1)
    cubes, halves = _dots(times * times, times), _dots(weighted, times) / 2
    spread = total**3 - _dots(size * size, size)
    product, cubes_of_ties = _against_gold(method, drawn, weighted)
    covariance = product - halves - total**2 * (total + 1) / 4
    # Sum of squares of centred mid-ranks by Kendall's correction for ties.
    variance = (total**3 - cubes - cubes_of_ties) / 12 * (spread / 12)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(covariance / np.sqrt(variance))


def _against_gold(
    method: _Sorted, drawn: NDArray[np.int16], weighted: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Products of a method's ranks with the gold ranks summed, and what ties add to the cubes.

    The rank of an item drawn c times is the count up to it; the caller takes off (c - 1) / 2.
    """
    counts = drawn.take(method.order, axis=1)
    weights = weighted.take(method.order, axis=1)
    upto = _upto(counts)
    product = _dots(weights, upto.astype(np.float64))
    times = counts.take(method.tied, axis=1).astype(np.float64)
    after = upto.take(method.last[method.shared], axis=1).astype(np.float64)
    first = method.first[method.shared]
    size = after - upto.take(first, axis=1) + counts.take(first, axis=1)
    # Tied items take the rank of their group instead of their own.
    middle = (after - size / 2).take(method.member, axis=1)
    wrong = upto.take(method.tied, axis=1) - times / 2
    product += _dots(weights.take(method.tied, axis=1), middle - wrong)
    return product, _dots(size * size, size) - _dots(times * times, times)


def _upto(counts: NDArray[np.int16]) -> NDArray[np.int32]:
    # Integers: a cumulative sum of floats waits for every addition.
    return counts.cumsum(axis=1, dtype=np.int32)


def _dots(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scalar products of rows; (rows, n) twice to (rows,)."""
    return np.asarray(np.einsum("ij,ij->i", a, b))


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
    weighted = values * weights
    return np.concatenate([chunk @ weighted / (chunk @ weights) for chunk in _floats(counts)])


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
    parts = [(2 * (chunk @ hits), chunk @ all_of_them) for chunk in _floats(counts)]
    numerator, denominator = (np.concatenate(column) for column in zip(*parts, strict=True))
    return np.asarray(
        np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
    )


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
    parts = [_average_precisions(chunk[:, order], positive, starts) for chunk in chunks(counts)]
    return np.concatenate(parts)


def _average_precisions(
    counts: NDArray[np.int16], positive: NDArray[np.bool_], starts: NDArray[np.intp]
) -> NDArray[np.float64]:
    taken = np.cumsum(np.add.reduceat(counts, starts, axis=1, dtype=np.float64), axis=1)
    hits = np.add.reduceat(counts * positive, starts, axis=1, dtype=np.float64)
    hits_so_far = np.cumsum(hits, axis=1)
    precision = np.divide(hits_so_far, taken, out=np.zeros_like(hits_so_far), where=taken > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((precision * hits).sum(axis=1) / hits_so_far[:, -1])


def pearson_replicates(
    x: NDArray[np.float64], y: NDArray[np.float64], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Pearson's correlation of each resample, NaN where a resample is constant.

    Args:
        x: Values of shape (n,).
        y: Values of shape (n,).
        counts: Resampling counts of shape (R, n); a row may draw any number of items.
    """
    a, b = x - x.mean(), y - y.mean()
    moments = np.stack([a, b, a * a, b * b, a * b], axis=1)
    sums = np.concatenate([chunk @ moments for chunk in _floats(counts)])
    sums /= counts.sum(axis=1, keepdims=True)
    mean_a, mean_b, square_a, square_b, product = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(
            (product - mean_a * mean_b) / np.sqrt((square_a - mean_a**2) * (square_b - mean_b**2))
        )


def _floats(counts: NDArray[np.int16]) -> Iterator[NDArray[np.float64]]:
    return (chunk.astype(np.float64) for chunk in chunks(counts))
