"""Alignment and uniformity of vectors on the sphere (Wang & Isola, ICML 2020, section 4.1)."""

from __future__ import annotations

import numpy as np

from bench.core.blocks import Matrix
from bench.metrics.vectors import unit_rows

# Pairs that are held at a time, 32 MB: all of 2,000 vectors.
_CELLS = 4_000_000


def alignment(a: Matrix, b: Matrix) -> float:
    """Mean squared distance of positive pairs, between 0 and 4, the lower the closer (α = 2).

    Args:
        a: Vectors of the first texts, (n, d), n ≥ 1; only their directions count.
        b: Vectors of the second texts, (n, d).

    Raises:
        ValueError: There are fewer, a value is not finite, or a vector is zero.
    """
    difference = unit_rows(a, 1) - unit_rows(b, 1)
    return float(np.einsum("nd,nd->n", difference, difference).mean())


def uniformity(vectors: Matrix) -> float:
    """Logarithm of the mean of exp(−2‖x − y‖²) over all pairs of rows (t = 2).

    It is 0 where all vectors point one way, and the lower the more evenly they spread.

    Args:
        vectors: Vectors, (n, d), n ≥ 2; only their directions count.

    Raises:
        ValueError: There are fewer, a value is not finite, or a vector is zero.
    """
    units = unit_rows(vectors)
    n = len(units)
    total = 0.0
    step = max(1, _CELLS // n)
    for start in range(0, n, step):
        kernel = units[start : start + step] @ units.T
        kernel *= 4
        kernel -= 4
        np.exp(kernel, out=kernel)
        rows = np.arange(len(kernel))
        kernel[rows, start + rows] = 0
        total += float(kernel.sum())
    return float(np.log(total / (n * (n - 1))))
