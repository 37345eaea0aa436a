"""The nearest of some texts to others, by the cosines of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Embeddings = NDArray[np.float32]
ABSENT = -1
_SHORTEST = 1e-12


@dataclass(frozen=True)
class Neighbours:
    """The nearest texts of a pool for n queries, the nearest first.

    Attributes:
        rows: Rows of the pool (n, k), −1 where there are fewer than k.
        similarity: Their cosines (n, k), NaN where there are fewer.
    """

    rows: NDArray[np.intp]
    similarity: NDArray[np.float64]


def float32_units(vectors: Embeddings) -> Embeddings:
    """Scale float32 vectors (n, d) to length 1; those of zeros stay as they are."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, _SHORTEST))


def nearest(
    queries: Embeddings,
    pool: Embeddings,
    k: int,
    left_out: Sequence[Sequence[int]] | NDArray[np.intp] | None = None,
    *,
    at_once: int = 512,
) -> Neighbours:
    """Find the k texts of a pool of the largest cosine to each query, ties by the lower row.

    Args:
        queries: Unit vectors (n, d).
        pool: Unit vectors (m, d).
        k: Number of neighbours.
        left_out: For each query the rows of the pool that it may not have, as n lists or (n, l);
            none by default.
        at_once: Queries whose cosines are in memory together. Another number may change the last
            bit of a cosine.
    """
    rows = np.full((len(queries), k), ABSENT, dtype=np.intp)
    similarity = np.full((len(queries), k), np.nan)
    for start in range(0, len(queries), at_once):
        part = slice(start, start + at_once)
        cosines = queries[part] @ pool.T
        if left_out is not None:
            for row, others in zip(cosines, left_out[part], strict=True):
                row[others] = -np.inf
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        sorted_ = np.take_along_axis(cosines, order, axis=1)
        present = np.isfinite(sorted_)
        rows[part, : order.shape[1]] = np.where(present, order, ABSENT)
        similarity[part, : order.shape[1]] = np.where(present, sorted_, np.nan)
    return Neighbours(rows, similarity)
