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
