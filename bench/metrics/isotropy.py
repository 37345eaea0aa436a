"""How evenly vectors spread over the directions of their space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics.vectors import as_float64, unit_rows


def isoscore(vectors: NDArray[np.floating[Any]]) -> float:
    """Compute IsoScore (Rudman et al., Findings of ACL 2022, arXiv 2108.07344).

    With λ the eigenvalues of the covariance and PR = (Σλ)² / Σλ² their participation ratio, the
    steps of the paper come down to (PR − 1) / (d − 1): 0 on a line, 1 where all directions have
    the same variance. Shift, rotation and scale do not count. Of n ≤ d vectors at most
    (n − 2) / (d − 1) can come out; take several times as many as dimensions.

    Args:
        vectors: Vectors, one a row, (n, d) with n, d ≥ 2.

    Raises:
        ValueError: The array has another shape, holds NaN or infinity, or its rows are all equal.
    """
    if vectors.ndim != 2 or min(vectors.shape) < 2:
        raise ValueError(f"IsoScore needs vectors of shape (n, d), n, d ≥ 2, not {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise ValueError("IsoScore needs finite vectors, but some hold NaN or infinity")
    if (vectors == vectors[0]).all():
        raise ValueError("IsoScore is not defined for vectors that are all equal")
    centred = vectors.astype(np.float64)
    centred -= centred.mean(axis=0)
    total = float(np.square(centred).sum())
    n, d = centred.shape
    # Both products have the eigenvalues that are not zero, and so the same sum of squares.
    products = centred.T @ centred if d <= n else centred @ centred.T
    ratio = total * total / float(np.square(products).sum())
    return float(max(0.0, (ratio - 1) / (d - 1)))


def mean_cosine(vectors: NDArray[np.floating[Any]]) -> float:
    """Mean cosine of all pairs of different rows, exactly, from the sum of the unit vectors.

    It is 0 where directions are even and 1 where all vectors point one way.

    Args:
        vectors: Vectors, one a row, (n, d) with n ≥ 2.

    Raises:
        ValueError: There are fewer, a value is not finite, or a vector is zero.
    """
    units = unit_rows(vectors)
    n = len(units)
    total = units.sum(axis=0)
    return float((total @ total - n) / (n * (n - 1)))


def partition_isotropy(vectors: NDArray[np.floating[Any]]) -> float:
    """Compute the isotropy of the partition function (Mu & Viswanath, ICLR 2018, section 3.1).

    With Z(c) = Σ exp(cᵀx) it is min Z / max Z over the unit eigenvectors c of XᵀX: 1 where no
    direction stands out. Both signs of an eigenvector are tried, as either is one. Vectors are
    not centred, and their length counts; rotations do not.

    Args:
        vectors: Vectors, one a row, (n, d) with n ≥ 2.

    Raises:
        ValueError: There are fewer, or a value is not finite.
    """
    x = as_float64(vectors)
    n, d = x.shape
    if d <= n:
        projected = x @ np.linalg.eigh(x.T @ x)[1]
    else:
        # The other d − n eigenvectors are orthogonal to all rows, like a column of zeros.
        _, directions = np.linalg.eigh(x @ x.T)
        lengths = np.linalg.norm(directions.T @ x, axis=1)
        projected = np.hstack([directions * lengths, np.zeros((n, 1))])
    log_z = np.logaddexp.reduce(np.hstack([projected, -projected]), axis=0)
    return float(np.exp(log_z.min() - log_z.max()))
