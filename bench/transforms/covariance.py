"""Maps made of mean and covariance: the five whitenings, and principal components.

Rows are vectors, and a map is z = (x − μ) Wᵀ for the W of the sources. With Σ = U Λ Uᵀ the
covariance (divisor N − 1), V its diagonal and P = V^-1/2 Σ V^-1/2 = G Θ Gᵀ the correlation, a
whitening is any W with WᵀW = Σ⁻¹ (Kessy, Lewin and Strimmer, arXiv 1512.00809, section 3).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from bench.core.errors import CellError
from bench.encoding.maps import Affine, Fitted, Floats

WhiteningKind = Literal["pca", "zca", "pca-cor", "zca-cor", "cholesky"]
# Eigenvalues below this share of the largest are rounding: vectors are kept in float32.
RTOL = 1e-10


def fit_whitening(vectors: Floats, *, kind: WhiteningKind, dim: int | None, ridge: float) -> Fitted:
    """Fit a whitening: mapped, these vectors have the identity as their covariance.

    ``pca`` is W = Λ^-1/2 Uᵀ, ``zca`` U Λ^-1/2 Uᵀ, ``pca-cor`` Θ^-1/2 Gᵀ V^-1/2, ``zca-cor``
    G Θ^-1/2 Gᵀ V^-1/2, and ``cholesky`` Lᵀ with L Lᵀ = Σ⁻¹ and L lower triangular (arXiv
    2407.12886 and its code). Directions without variance are dropped: of rank r, ``pca`` and
    ``pca-cor`` give r columns, ``zca`` and ``zca-cor`` d columns of rank r. A constant column
    counts as one of standard deviation 1.

    Args:
        vectors: Float64 of shape (n, d).
        kind: Which of them.
        dim: Columns to keep of ``pca`` or ``pca-cor``, those of most variance (whitening-k of
            arXiv 2103.15316), or None for all.
        ridge: Share of the mean variance that is added to every variance.

    Raises:
        CellError: There are fewer than two different vectors; their rank is below ``dim``, or,
            with ``cholesky``, below d.
    """
    mean, covariance = _moments(vectors)
    covariance += ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    scale = np.ones(len(covariance))
    if kind.endswith("-cor"):
        deviation = np.sqrt(np.diag(covariance))
        constant = np.ptp(vectors, axis=0) == 0
        scale = 1 / np.where(constant & (ridge == 0), 1, deviation)
    values, axes = _eigen(scale[:, None] * covariance * scale)
    rank = len(values)
    if kind == "cholesky":
        _refuse_singular(rank, vectors)
        return Fitted(Affine(mean, _inverse_cholesky(covariance)), rank)
    if dim is not None and dim > rank:
        raise CellError(
            f"whitening[dim={dim}] needs vectors of that rank, and the {len(vectors)} that it is "
            f"fitted on have rank {rank} of {len(mean)}; choose dim={rank} or less"
        )
    matrix = scale[:, None] * (axes / np.sqrt(values))
    matrix = matrix @ axes.T if kind.startswith("zca") else matrix[:, :dim]
    return Fitted(Affine(mean, matrix), rank)


def fit_components(vectors: Floats, *, dim: int) -> Fitted:
    """Fit the principal components of most variance; mapped, the vectors are centred, not scaled.

    Args:
        vectors: Float64 of shape (n, d).
        dim: Components to keep, at most d.

    Raises:
        CellError: There are fewer than two different vectors.
    """
    mean, covariance = _moments(vectors)
    values, axes = _eigen(covariance, complete=True)
    return Fitted(Affine(mean, axes[:, :dim]), int(np.sum(values > RTOL * values[0])))


def _moments(vectors: Floats) -> tuple[Floats, Floats]:
    """Mean (d,) and covariance (d, d), with the divisor n − 1."""
    if len(vectors) < 2 or not np.ptp(vectors, axis=0).any():
        raise CellError(
            f"{len(vectors)} vectors, all the same, have no covariance to fit a map on"
            if len(vectors)
            else "there are no vectors to fit a map on"
        )
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    return mean, centred.T @ centred / (len(vectors) - 1)


def _eigen(matrix: Floats, *, complete: bool = False) -> tuple[Floats, Floats]:
    """Eigenvalues, falling, and eigenvectors as columns, each with its diagonal entry positive.

    Args:
        matrix: Symmetric, (d, d).
        complete: Whether directions of rounding alone are kept too.
    """
    values, axes = np.linalg.eigh(matrix)
    values, axes = values[::-1], axes[:, ::-1]
    # The sign of an eigenvector is arbitrary; without this it could change with the library.
    axes = axes * np.where(np.diag(axes) < 0, -1.0, 1.0)
    kept = len(values) if complete else int(np.sum(values > RTOL * values[0]))
    return values[:kept], axes[:, :kept]


def _refuse_singular(rank: int, vectors: Floats) -> None:
    n, d = vectors.shape
    if rank < d:
        raise CellError(
            f"whitening[kind=cholesky] needs vectors of full rank, and the {n} that it is fitted "
            f"on have rank {rank} of {d}; choose another kind, fit it on more vectors, or set "
            "ridge, e.g. ridge=1e-6"
        )


def _inverse_cholesky(covariance: Floats) -> Floats:
    """The lower triangular L with L Lᵀ = Σ⁻¹, without inverting Σ."""
    from scipy.linalg import solve_triangular

    # Read backwards, Σ = C Cᵀ gives an upper triangular R with Σ = R Rᵀ, and then L = R⁻ᵀ.
    upper = np.linalg.cholesky(covariance[::-1, ::-1])[::-1, ::-1]
    return np.asarray(solve_triangular(upper, np.eye(len(upper)), trans="T"), dtype=np.float64)
