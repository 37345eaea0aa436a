"""Adjusted p-values of several comparisons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust for the chance of any false positive.

    Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
    of Statistics 6.

    Args:
        p: Raw p-values, (m,).

    Returns:
        Adjusted p-values in the same order, (m,).

    Raises:
        ValueError: A p-value is NaN or outside of [0, 1].
    """
    order, ascending = _ordered(p)
    factors = np.arange(len(ascending), 0, -1)
    return _restored(order, np.maximum.accumulate(ascending * factors))


def benjamini_hochberg(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust for the share of false ones among positives.

    Benjamini and Hochberg (1995), "Controlling the false discovery rate", JRSS B 57.

    Args:
        p: Raw p-values, (m,).

    Returns:
        Adjusted p-values in the same order, (m,).

    Raises:
        ValueError: A p-value is NaN or outside of [0, 1].
    """
    order, ascending = _ordered(p)
    count = len(ascending)
    scaled = ascending * (count / np.arange(1, count + 1))
    return _restored(order, np.minimum.accumulate(scaled[::-1])[::-1])


def _ordered(p: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    p = np.asarray(p, dtype=np.float64)
    bad = p[~((p >= 0) & (p <= 1))]
    if len(bad):
        raise ValueError(f"p-values: {float(bad[0])} is not between 0 and 1")
    order = np.argsort(p, kind="stable")
    return order, p[order]


def _restored(order: NDArray[np.intp], adjusted: NDArray[np.float64]) -> NDArray[np.float64]:
    restored = np.empty_like(adjusted)
    restored[order] = np.minimum(adjusted, 1)
    return restored
