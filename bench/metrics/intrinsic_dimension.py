"""How many dimensions vectors fill, by their nearest neighbours and by their variances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import Matrix
from bench.metrics.vectors import as_float64

NEIGHBOURS = 20
DISCARDED = 0.1
EXPLAINED = 0.95
_BLOCK = 500
_ROUNDING = 1e-12


def nearest_distances(
    squared: NDArray[np.float64], neighbours: int = NEIGHBOURS
) -> NDArray[np.float64]:
    """Distances from every vector to its nearest neighbours, ascending.

    Args:
        squared: Squared distances of all pairs, (n, n).
        neighbours: Number k of neighbours.

    Returns:
        Float64 of shape (n, k).

    Raises:
        ValueError: There are no k other vectors.
    """
    n = len(squared)
    if n <= neighbours:
        raise ValueError(f"{neighbours} neighbours need more than {n} vectors")
    nearest = np.empty((n, neighbours))
    for start in range(0, n, _BLOCK):
        block = squared[start : start + _BLOCK].copy()
        rows = np.arange(len(block))
        block[rows, start + rows] = np.inf
        nearest[start : start + _BLOCK] = np.partition(block, neighbours - 1, axis=1)[
            :, :neighbours
        ]
    return np.sqrt(np.sort(nearest, axis=1))


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
