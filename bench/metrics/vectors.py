"""What measures of vectors share: checks, units and distances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import Matrix


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


def squared_distances(vectors: Matrix) -> NDArray[np.float64]:
    """Squared Euclidean distances of all pairs of rows, (n, d) to (n, n), in float64.

    Raises:
        ValueError: As ``as_float64``.
    """
    x = as_float64(vectors)
    # Centred, as a long mean would cost digits of the difference below.
    x -= x.mean(axis=0)
    products = x @ x.T
    squares = products.diagonal().copy()
    products *= -2
    products += squares[:, None]
    products += squares
    np.fill_diagonal(products, 0)
    return np.maximum(products, 0, out=products)
