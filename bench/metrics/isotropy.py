"""How evenly vectors spread over the directions of their space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


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
