"""How many dimensions vectors fill, by their nearest neighbours and by their variances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import Matrix
from bench.metrics.vectors import as_float64, squared_distances

NEIGHBOURS = 20
DISCARDED = 0.1
EXPLAINED = 0.95
# Of the length of a vector: the same tokens in another batch differ by some float32 roundings.
SAME = 1e-5
_ROUNDING = 1e-12


def nearest_distances(vectors: Matrix, neighbours: int = NEIGHBOURS) -> NDArray[np.float64]:
    """Distances from every vector to its nearest neighbours, ascending.

    Args:
        vectors: Vectors, one a row, (n, d).
        neighbours: Number k of neighbours.

    Returns:
        Float64 of shape (n, k).

    Raises:
        ValueError: There are no k other vectors, or a value is not finite.
    """
    n = len(vectors)
    if n <= neighbours:
        raise ValueError(f"{neighbours} neighbours need more than {n} vectors")
    nearest = np.empty((n, neighbours))
    for start, squared in squared_distances(vectors):
        nearest[start : start + len(squared)] = _nearest(squared, start, neighbours)
    return np.sqrt(nearest)


def different_neighbours(
    vectors: Matrix, neighbours: int = NEIGHBOURS
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows that are neither zero nor repeat an earlier one, and their nearest others.

    A row repeats another where they differ by roundings: by at most 1e-5 of the length of a vector.

    Args:
        vectors: Vectors, one a row, (n, d).
        neighbours: Number k of neighbours.

    Returns:
        The m rows, (m,), and their distances to the nearest of these, ascending, (m, k), or
        (m, m − 1) where there are fewer.

    Raises:
        ValueError: A value is not finite.
    """
    if not np.isfinite(vectors).all():
        raise ValueError("expected finite vectors, but some hold NaN or infinity")
    rows = np.flatnonzero(vectors.any(axis=1))
    if len(rows) < 2:
        return rows, np.empty((len(rows), 0))
    repeats, nearest = _repeats(vectors[rows], min(neighbours, len(rows) - 1))
    if not repeats.any():
        return rows, nearest
    kept = rows[~repeats]
    least = min(neighbours, len(kept) - 1)
    return kept, nearest_distances(vectors[kept], least) if least else np.empty((len(kept), 0))


def _repeats(vectors: Matrix, neighbours: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which rows (n, d) repeat an earlier one, (n,), and their nearest distances, (n, k)."""
    same = SAME**2 * float(np.square(vectors, dtype=np.float64).sum(axis=1).mean())
    repeats = np.zeros(len(vectors), dtype=np.bool_)
    nearest = np.empty((len(vectors), neighbours))
    for start, squared in squared_distances(vectors):
        rows = slice(start, start + len(squared))
        nearest[rows] = _nearest(squared, start, neighbours)
        # A row without a neighbour that is as near repeats none.
        for row in np.flatnonzero(nearest[rows, 0] <= same):
            earlier = squared[row, : start + row]
            repeats[start + row] = bool((earlier <= same).any())
    return repeats, np.sqrt(nearest)


def _nearest(squared: NDArray[np.float64], start: int, neighbours: int) -> NDArray[np.float64]:
    """The least k of each row of squared distances (b, n), itself left out, ascending, (b, k).

    The first of the rows is that of vector ``start``, whose distance to itself becomes infinite.
    """
    rows = np.arange(len(squared))
    squared[rows, start + rows] = np.inf
    return np.sort(np.partition(squared, neighbours - 1, axis=1)[:, :neighbours], axis=1)


def twonn(nearest: NDArray[np.float64]) -> float:
    """Estimate the dimension from two neighbours by maximum likelihood.

    Facco et al., Scientific Reports 7 (2017): the ratio q of the distances to the second and the
    first neighbour is Pareto distributed with the dimension as its exponent, so that the estimate
    is n / Σ ln q. It falls short of dimensions above about 10.

    Args:
        nearest: Distances to at least two nearest neighbours, ascending, (n, k).

    Raises:
        ValueError: Two vectors are equal, or all neighbours are equally far.
    """
    logs = _log_ratios(nearest)
    return float(len(logs) / _positive(logs.sum()))


def twonn_fit(nearest: NDArray[np.float64]) -> float:
    """Estimate the dimension from two neighbours by a line, as Facco et al. draw it.

    It is the slope, through the origin, of −ln(1 − F) against ln q, with F = i / n for the i-th
    smallest of n ratios; the largest tenth of them is left out.

    Args:
        nearest: Distances to at least two nearest neighbours, ascending, (n, k).

    Raises:
        ValueError: Two vectors are equal, or all neighbours are equally far.
    """
    logs = np.sort(_log_ratios(nearest))
    kept = int(len(logs) * (1 - DISCARDED))
    share = np.arange(1, kept + 1) / len(logs)
    x, y = logs[:kept], -np.log1p(-share)
    return float(x @ y) / _positive(float(x @ x))


def levina_bickel(nearest: NDArray[np.float64]) -> float:
    """Estimate the dimension from k neighbours by maximum likelihood.

    Levina & Bickel (NIPS 2004) give m = (k − 1) / Σ ln(r_k / r_j), j < k, for each vector;
    MacKay & Ghahramani (2005) put these together by their harmonic mean.

    Args:
        nearest: Distances to the k ≥ 2 nearest neighbours, ascending, (n, k).

    Raises:
        ValueError: Two vectors are equal, or all neighbours are equally far.
    """
    _refuse_equal(nearest)
    inverse = np.log(nearest[:, -1:] / nearest[:, :-1]).mean(axis=1)
    return float(1 / _positive(float(inverse.mean())))


def covariance_spectrum(vectors: Matrix) -> NDArray[np.float64]:
    """Eigenvalues of the covariance of vectors (n, d), largest first: float64, (min(n, d),).

    Raises:
        ValueError: There are fewer than two, a value is not finite, or all are equal.
    """
    x = as_float64(vectors)
    if (x == x[0]).all():
        raise ValueError("vectors that are all equal have no variance")
    x -= x.mean(axis=0)
    n, d = x.shape
    # Both products have the same eigenvalues besides zeros.
    products = x.T @ x if d <= n else x @ x.T
    return np.asarray(np.maximum(np.linalg.eigvalsh(products)[::-1], 0) / (n - 1))


def participation_ratio(spectrum: NDArray[np.float64]) -> float:
    """Number of equal variances that are spread as these are, (Σλ)² / Σλ².

    Args:
        spectrum: Variances λ along the principal axes, (r,), not all zero.
    """
    return float(spectrum.sum() ** 2 / np.square(spectrum).sum())


def top_share(spectrum: NDArray[np.float64]) -> float:
    """Share of the variance that is along the first principal axis.

    Args:
        spectrum: Variances along the principal axes, largest first, (r,), not all zero.
    """
    return float(spectrum[0] / spectrum.sum())


def pca_dimension(spectrum: NDArray[np.float64], explained: float = EXPLAINED) -> int:
    """Fewest principal axes that hold a share of the variance.

    Args:
        spectrum: Variances along the principal axes, largest first, (r,), not all zero.
        explained: The share.
    """
    reached = np.cumsum(spectrum) / spectrum.sum()
    return int(np.searchsorted(reached, explained - _ROUNDING)) + 1


def _log_ratios(nearest: NDArray[np.float64]) -> NDArray[np.float64]:
    _refuse_equal(nearest)
    return np.asarray(np.log(nearest[:, 1] / nearest[:, 0]))


def _refuse_equal(nearest: NDArray[np.float64]) -> None:
    if not nearest[:, 0].all():
        raise ValueError("two vectors are equal, so their neighbours say nothing of the dimension")


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError("all neighbours are equally far away, which no dimension explains")
    return value
