"""Similarities of paired rows that pair classification tries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

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
            "euclidean": -np.asarray(paired_euclidean_distances(a, b), np.float64),
            "manhattan": -np.asarray(paired_manhattan_distances(a, b), np.float64),
        }
    u, v = a.astype(np.float64), b.astype(np.float64)
    return {
        "cosine": cosine_float64(a, b),
        "dot": np.einsum("nd,nd->n", u, v),
        "euclidean": -np.linalg.norm(u - v, axis=1),
        "manhattan": -np.abs(u - v).sum(axis=1),
    }
