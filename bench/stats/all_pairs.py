"""Paired bootstrap of all pairs of many methods, no further than a level needs it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Most pairs that differ by chance show it in that many resamples.
_FEW = 64
# Pairs at a time, so that they stay in the cache.
_BLOCK = 64
# Far above what rounding can do to scores between -1 and 1, far below what any can differ by.
_ROUNDING = 1e-12
Floats = NDArray[np.float64]


def pair_p_values(points: Floats, scores: Floats, level: float) -> Floats:
    """P-values of ``bench.stats.paired.bootstrap_p`` of all pairs, as far as a level needs them.

    A p-value of at least the level counts as 1, which no step-up or step-down procedure at that
    level can tell from it. Of pairs that lie further apart than any resample reaches, nothing is
    computed at all.

    Args:
        points: Score of each method, (N,).
        scores: Scores on the same resamples, (N, R).
        level: The level.

    Returns:
        P-values (N, N), of the pair (i, j) where i < j; 1 elsewhere.
    """
    p_values = np.ones((len(points), len(points)))
    if len(points) < 2:
        return p_values
    # What all methods share cancels in a difference, and would only widen its bound.
    reach = _reach(scores, points)
    head = np.ascontiguousarray(scores[:, :_FEW])
    for i in range(len(points) - 1):
        delta = points[i] - points[i + 1 :]
        bound = reach[i] + reach[i + 1 :]
        near = np.flatnonzero(bound + _ROUNDING >= np.abs(delta) * (1 - _ROUNDING))
        large = np.zeros(len(delta), dtype=np.intp)
        large[near] = _count(head[i], head[i + 1 :], delta, near)
        rest = near[_p(large[near], scores.shape[1]) < level]
        large[rest] = _count(scores[i], scores[i + 1 :], delta, rest)
        p = _p(large, scores.shape[1])
        p_values[i, i + 1 :] = np.where(p < level, p, 1.0)
    return p_values


def _reach(scores: Floats, points: Floats) -> Floats:
    own = scores - points[:, None]
    return np.asarray(np.abs(own - own.mean(axis=0)).max(axis=1))


def _p(large: NDArray[np.intp], replicates: int) -> Floats:
    return np.asarray((large + 1) / (replicates + 1))


def _count(
    first: Floats, second: Floats, delta: Floats, rows: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Resamples of some pairs as far from their difference as this is from 0."""
    counts = np.empty(len(rows), dtype=np.intp)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        # In the order of operations of ``bootstrap_p``, so that not a bit differs.
        change = first - second[block]
        change -= delta[block, None]
        np.abs(change, out=change)
        far = change >= (np.abs(delta[block]) * (1 - 1e-12))[:, None]
        # Several times as fast as a sum of booleans.
        counts[start : start + _BLOCK] = np.add.reduce(far.view(np.uint8), axis=1, dtype=np.uint32)
    return counts
