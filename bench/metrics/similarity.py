"""Similarities of paired rows that pair classification tries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import Matrix, by_rows
from bench.metrics.cosine import cosine_float64, cosine_mteb


def similarities(
    a: NDArray[np.float32], b: NDArray[np.float32], *, mteb: bool
) -> Mapping[str, NDArray[np.float64]]:
    """Compute all similarities of row pairs, (n, d) to (n,); distances are negated.

    Args:
        a: Vectors.
        b: Vectors.
        mteb: Use MTEB's float32 formulas, whose rounding decides ties, instead of float64.
    """
    if mteb:
        from sklearn.metrics.pairwise import (
            paired_euclidean_distances,
            paired_manhattan_distances,
        )

        return {
            "cosine": cosine_mteb(a, b),
            "dot": np.array([np.dot(u, v) for u, v in zip(a, b, strict=True)], np.float64),
            "euclidean": -by_rows(paired_euclidean_distances, a, b),
            "manhattan": -by_rows(paired_manhattan_distances, a, b),
        }
    return {
        "cosine": cosine_float64(a, b),
        "dot": by_rows(lambda u, v: np.einsum("nd,nd->n", *_float64(u, v)), a, b),
        "euclidean": -by_rows(lambda u, v: np.linalg.norm(_difference(u, v), axis=1), a, b),
        "manhattan": -by_rows(lambda u, v: np.abs(_difference(u, v)).sum(axis=1), a, b),
    }


def _float64(u: Matrix, v: Matrix) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return u.astype(np.float64), v.astype(np.float64)


def _difference(u: Matrix, v: Matrix) -> NDArray[np.float64]:
    left, right = _float64(u, v)
    return np.asarray(left - right)
