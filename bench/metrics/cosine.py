"""Cosine similarity of paired rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import Matrix, by_rows


def cosine_float64(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each row pair in float64; 0 where a vector is zero, NaN where one holds NaN.

    Shapes (n, d) to (n,).

    It is rounded, see ``settled``.
    """
    return by_rows(_cosine, a, b)


def _cosine(a: Matrix, b: Matrix) -> NDArray[np.float64]:
    left, right = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    dots = np.einsum("nd,nd->n", left, right)
    return settled(np.divide(dots, norms, out=np.zeros_like(dots), where=norms != 0))


def settled(similarities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to twelve decimals, so that what is equal ties.

    Sums of float64 differ by some 1e-16 with the order of their terms, and equal vectors would be
    ranked by that. The vectors are float32, and say nothing of the thirteenth decimal.
    """
    return np.asarray(np.round(similarities, 12))


def cosine_mteb(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine as MTEB scores it: one minus scikit-learn's paired cosine distance, in float32.

    The rounding decides ties, and so the fifth digit of a Spearman correlation.
    """
    from sklearn.metrics.pairwise import paired_cosine_distances

    return by_rows(lambda left, right: np.asarray(1 - paired_cosine_distances(left, right)), a, b)
