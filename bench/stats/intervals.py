"""Bias-corrected and accelerated intervals, and the jackknife they need.

Percentile intervals are in ``bench.stats.bootstrap``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.stats.checks import finite


def bca_interval(
    replicates: NDArray[np.float64],
    point: float,
    jackknife: NDArray[np.float64],
    level: float = 0.95,
) -> tuple[float, float]:
    """Bias-corrected and accelerated interval.

    Efron (1987), "Better bootstrap confidence intervals", JASA 82, equations 3.8 and 6.6.
    The share of replicates below the point estimate counts equal ones half and is kept within
    1/(R+1) and R/(R+1), so that an estimate beyond all replicates gives an interval too.

    Args:
        replicates: Scores of the resamples, (R,).
        point: Score of the items themselves.
        jackknife: Scores without one item, or without one of many groups of items, (m,).
        level: Coverage.

    Raises:
        ValueError: Replicates or jackknife values are NaN, infinite or missing.
    """
    # SciPy takes most of a second to import, and tables need no interval of this kind.
    from scipy.special import ndtr, ndtri

    replicates = finite("replicates", replicates)
    count = len(replicates)
    below = (np.sum(replicates < point) + np.sum(replicates <= point)) / 2
    bias = ndtri(np.clip(below / count, 1 / (count + 1), count / (count + 1)))
    shifted = bias + ndtri([(1 - level) / 2, (1 + level) / 2])
    scale = 1 - _acceleration(jackknife) * shifted
    # Past the pole the transformation has run through all quantiles.
    safe = np.where(scale > 0, scale, 1)
    moved = np.where(scale > 0, bias + shifted / safe, np.copysign(np.inf, shifted))
    low, high = np.quantile(replicates, ndtr(moved))
    return float(low), float(high)


def _acceleration(jackknife: NDArray[np.float64]) -> float:
    values = finite("jackknife values", jackknife)
    influence = values.mean() - values
    largest = np.abs(influence).max()
    # What rounding leaves of equal values has no skewness.
    if largest <= 1e-14 * np.abs(values).max():
        return 0.0
    influence /= largest
    return float(np.sum(influence**3) / (6 * np.sum(influence**2) ** 1.5))


def jackknife_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of (n,) values without each of them, (n,); the value itself where there is one.

    Raises:
        ValueError: A value is NaN or infinite, or there are none.
    """
    values = finite("values", values)
    mean = values.mean()
    return np.asarray(mean + (mean - values) / max(len(values) - 1, 1))
