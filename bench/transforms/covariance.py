"""Maps made of mean and covariance: six whitenings, and principal components.

Rows are vectors, and a map is z = (x − μ) Wᵀ for the W of the sources. With Σ = U Λ Uᵀ the
covariance (divisor N − 1), V its diagonal and P = V^-1/2 Σ V^-1/2 = G Θ Gᵀ the correlation, a
whitening is any W with WᵀW = Σ⁻¹ (Kessy, Lewin and Strimmer, arXiv 1512.00809, section 3).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from bench.core.errors import CellError
from bench.encoding.maps import Affine, Fitted, Floats

WhiteningKind = Literal["pca", "zca", "pca-cor", "zca-cor", "cholesky", "cholesky-cov"]
Shrinkage = Literal["none", "ledoit-wolf", "se+"]
# Eigenvalues below this share of the largest are rounding: vectors are kept in float32.
RTOL = 1e-10
# What the code of arXiv 2407.12886 adds to every eigenvalue.
SE_PLUS = 1e-5


def fit_whitening(
    vectors: Floats,
    *,
    kind: WhiteningKind,
    dim: int | None,
    ridge: float,
    shrinkage: Shrinkage = "none",
) -> Fitted:
    """Fit a whitening: mapped, these vectors have the identity as their covariance.

    ``pca`` is W = Λ^-1/2 Uᵀ, ``zca`` U Λ^-1/2 Uᵀ, ``pca-cor`` Θ^-1/2 Gᵀ V^-1/2, ``zca-cor``
    G Θ^-1/2 Gᵀ V^-1/2, and ``cholesky`` Lᵀ with L Lᵀ = Σ⁻¹ and L lower triangular (arXiv
    2407.12886 and its code). ``cholesky-cov`` is C⁻¹ with C Cᵀ = Σ and C lower triangular, the
    other one of the two in arXiv 1512.00809. Directions without variance are dropped: of rank r,
    ``pca`` and ``pca-cor`` give r columns, ``zca`` and ``zca-cor`` d columns of rank r. A
    constant column counts as one of standard deviation 1.

    With ``ridge`` or ``shrinkage`` the covariance that becomes the identity is not that of the
    sample. ``ledoit-wolf`` takes (1 − δ) Σ + δ μ I with divisor N, μ the mean variance and δ
    as scikit-learn's ``LedoitWolf`` estimates it (Ledoit and Wolf, J. Multivariate Anal. 2004).
    ``se+`` adds 1e-5 to each eigenvalue, of Λ or of Θ, and drops none, as the code of arXiv
    2407.12886 does (which takes V with divisor N; here all have N − 1).

    Args:
        vectors: Float64 of shape (n, d).
        kind: Which of them.
        dim: Columns to keep of ``pca`` or ``pca-cor``, those of most variance (whitening-k of
            arXiv 2103.15316), or None for all.
        ridge: Share of the mean variance that is added to every variance.
        shrinkage: How the covariance is estimated.

    Raises:
        CellError: There are fewer than two different vectors; their rank is below ``dim``, or,
            with ``cholesky`` and ``cholesky-cov``, below d.
    """
    mean, covariance = _moments(vectors)
    if shrinkage == "ledoit-wolf":
        covariance = _ledoit_wolf(vectors, covariance)
    _add_to_diagonal(covariance, ridge * np.trace(covariance) / len(covariance))
    scale = np.ones(len(covariance))
    if kind.endswith("-cor"):
        deviation = np.sqrt(np.diag(covariance))
        scale = 1 / np.where(deviation == 0, 1, deviation)
    matrix = scale[:, None] * covariance * scale
    if shrinkage == "se+":
        _add_to_diagonal(matrix, SE_PLUS)
    values, axes = _eigen(matrix, complete=shrinkage == "se+")
    rank = len(values)
    if kind.startswith("cholesky"):
        _refuse_singular(rank, vectors, kind)
        inverse = _inverse_cholesky if kind == "cholesky" else _inverse_cholesky_of_covariance
        return Fitted(Affine(mean, inverse(matrix)), rank)
    if dim is not None and dim > rank:
        raise CellError(
            f"whitening[dim={dim}] needs vectors of that rank, and the {len(vectors)} that it is "
            f"fitted on have rank {rank} of {len(mean)}; choose dim={rank} or less"
        )
    columns = scale[:, None] * (axes / np.sqrt(values))
    columns = columns @ axes.T if kind.startswith("zca") else columns[:, :dim]
    return Fitted(Affine(mean, columns), rank)


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
    # The mean of a constant column is rounded, so that what is left of it may not be 0.
    centred = np.where(np.ptp(vectors, axis=0) == 0, 0.0, vectors - mean)
    return mean, centred.T @ centred / (len(vectors) - 1)


def _ledoit_wolf(vectors: Floats, covariance: Floats) -> Floats:
    """The covariance (d, d) that scikit-learn's ``LedoitWolf`` estimates."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    shrunk = (len(vectors) - 1) / len(vectors) * covariance
    delta, mean_variance = ledoit_wolf_shrinkage(vectors), np.trace(shrunk) / len(shrunk)
    shrunk *= 1 - delta
    _add_to_diagonal(shrunk, delta * mean_variance)
    return np.asarray(shrunk, dtype=np.float64)


def _add_to_diagonal(matrix: Floats, value: float) -> None:
    matrix[np.diag_indices(len(matrix))] += value


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


def _refuse_singular(rank: int, vectors: Floats, kind: WhiteningKind) -> None:
    n, d = vectors.shape
    if rank < d:
        raise CellError(
            f"whitening[kind={kind}] needs vectors of full rank, and the {n} that it is fitted "
            f"on have rank {rank} of {d}; choose another kind, fit it on more vectors, or set "
            "ridge, e.g. ridge=1e-6, or shrinkage=ledoit-wolf"
        )


def _inverse_cholesky(covariance: Floats) -> Floats:
    """The lower triangular L with L Lᵀ = Σ⁻¹, without inverting Σ."""
    from scipy.linalg import solve_triangular

    # Read backwards, Σ = C Cᵀ gives an upper triangular R with Σ = R Rᵀ, and then L = R⁻ᵀ.
    upper = np.linalg.cholesky(covariance[::-1, ::-1])[::-1, ::-1]
    return np.asarray(solve_triangular(upper, np.eye(len(upper)), trans="T"), dtype=np.float64)


def _inverse_cholesky_of_covariance(covariance: Floats) -> Floats:
    """C⁻ᵀ for the lower triangular C with C Cᵀ = Σ."""
    from scipy.linalg import solve_triangular

    lower = np.linalg.cholesky(covariance)
    found = solve_triangular(lower, np.eye(len(lower)), lower=True, trans="T")
    return np.asarray(found, dtype=np.float64)
