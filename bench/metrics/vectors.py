"""What measures of vectors share: checks, units and distances."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import Matrix

# Distances that are held at a time, 32 MB: those of all pairs of 2,000 vectors.
_CELLS = 4_000_000


def as_float64(vectors: Matrix, least: int = 2) -> NDArray[np.float64]:
    """Check vectors (n, d), n ≥ ``least``, and return them in float64.

    Raises:
        ValueError: They have another shape, or a value is not finite.
    """
    if vectors.ndim != 2 or len(vectors) < least or vectors.shape[1] < 1:
        raise ValueError(f"expected vectors of shape (n, d), n ≥ {least}, not {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ValueError("expected finite vectors, but some hold NaN or infinity")
    return vectors.astype(np.float64)


def unit_rows(vectors: Matrix, least: int = 2) -> NDArray[np.float64]:
    """Scale vectors (n, d), n ≥ ``least``, to length 1, in float64.

    Raises:
        ValueError: As ``as_float64``, or a vector is zero.
    """
    x = as_float64(vectors, least)
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError("a vector of zeros has no direction")
    return np.asarray(x / lengths)


def squared_distances(vectors: Matrix) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Squared Euclidean distances of all pairs of rows (n, d), in float64, some rows at a time.

    Yields:
        The first row of a block, and the distances of its b rows to all, (b, n); 0 to themselves.

    Raises:
        ValueError: As ``as_float64``.
    """
    x = as_float64(vectors)
    # Centred, as a long mean would cost digits of the difference below.
    x -= x.mean(axis=0)
    squares = np.einsum("nd,nd->n", x, x)
    step = max(1, _CELLS // len(x))
    for start in range(0, len(x), step):
        products = x[start : start + step] @ x.T
        products *= -2
        products += squares[start : start + step, None]
        products += squares
        np.maximum(products, 0, out=products)
        rows = np.arange(len(products))
        products[rows, start + rows] = 0
        yield start, products
