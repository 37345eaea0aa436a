"""Permutation tests of two methods on the same items.

Under the null nothing tells the methods apart, so on every item their values may be swapped.
The p-value counts the swaps that make as large a difference, in either direction: all of them
where they are no more than the replicates asked for, else (k + 1) / (R + 1) of random ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from bench.stats.checks import finite, finite_pair

_CELLS = 2_000_000
# Sums in another order differ in their last digits; an equal difference counts as large.
_ROUNDING = 1e-12

Swaps = NDArray[np.float64]


def sign_flip_p(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    rng: np.random.Generator,
    replicates: int = 10_000,
) -> float:
    """Test the difference of two means over items, such as accuracy, MAP or MRR.

    Args:
        first: Values of the first method, (n,).
        second: Values of the second method, (n,).
        rng: Source of the swaps.
        replicates: Number of random swaps R.

    Returns:
        Two-sided p-value in (0, 1].

    Raises:
        ValueError: The shapes differ, or a value is NaN or infinite.
    """
    first, second = finite_pair("values", first, second)
    difference = (first - second)[first != second]
    observed = difference.sum()

    def statistic(swaps: Swaps) -> NDArray[np.float64]:
        return np.asarray(observed - 2 * (swaps @ difference))

    tolerance = _ROUNDING * float(np.abs(difference).sum())
    return _p(statistic, len(difference), rng, replicates, tolerance)


def pearson_swap_p(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    gold: NDArray[np.float64],
    rng: np.random.Generator,
    replicates: int = 10_000,
) -> float:
    """Test the difference of two Pearson correlations with the same gold values.

    Methods differ in the mean and the spread of their similarities, which a correlation does not
    see; they are standardised before they are swapped, or a swapped column would mix two scales.
    A column that swapping made constant has correlation 0.

    Args:
        first: Similarities of the first method, (n,).
        second: Similarities of the second method, (n,).
        gold: Gold values, (n,).
        rng: Source of the swaps.
        replicates: Number of random swaps R.

    Returns:
        Two-sided p-value in (0, 1].

    Raises:
        ValueError: The shapes differ, a value is NaN or infinite, or an array is constant.
    """
    first, second = finite_pair("similarities", first, second)
    _, gold = finite_pair("gold values", first, finite("gold values", gold))
    a, b, target = (_standardised(values) for values in (first, second, gold))
    at = a != b
    change = (b - a)[at]
    # What swapping adds to each method's sum, sum of squares and product with gold.
    moments = np.stack([change, (b * b - a * a)[at], change * target[at]], axis=1)
    first_sums, second_sums = (np.array([v.sum(), v @ v, v @ target]) for v in (a, b))

    def statistic(swaps: Swaps) -> NDArray[np.float64]:
        moved = swaps @ moments
        n = len(target)
        return _correlations(first_sums + moved, n) - _correlations(second_sums - moved, n)

    return _p(statistic, int(at.sum()), rng, replicates, _ROUNDING)


def spearman_swap_p(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    gold: NDArray[np.float64],
    rng: np.random.Generator,
    replicates: int = 10_000,
) -> float:
    """Test the difference of two Spearman correlations with the same gold values.

    An item's similarities are swapped as their ranks among all items of their method: ranks are
    all that Spearman sees, and have one scale. They are not ranked again after swapping, so the
    statistic is Pearson's correlation of ranks throughout. Arguments, return value and errors
    are those of ``pearson_swap_p``.
    """
    # Takes a second to import, which tables and the gate need not wait for.
    from scipy.stats import rankdata

    first, second = finite_pair("similarities", first, second)
    gold = finite("gold values", gold)
    return pearson_swap_p(rankdata(first), rankdata(second), rankdata(gold), rng, replicates)


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    if np.ptp(values) == 0:
        raise ValueError("a constant array has no correlation")
    return np.asarray((values - values.mean()) / values.std())


def _correlations(sums: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Correlations (r,) of sums, sums of squares and products with gold, (r, 3)."""
    total, square, product = sums.T
    variance = square / n - (total / n) ** 2
    varies = variance > _ROUNDING
    scale = np.sqrt(np.where(varies, variance, 1))
    return np.asarray(np.where(varies, product / n / scale, 0))


def _p(
    statistic: Callable[[Swaps], NDArray[np.float64]],
    n: int,
    rng: np.random.Generator,
    replicates: int,
    tolerance: float,
) -> float:
    least = abs(float(statistic(np.zeros((1, n)))[0])) - tolerance
    # Items that both methods score alike stay as they are: they need no enumeration.
    exact = 2**n <= replicates
    chunks = _all_swaps(n) if exact else _random_swaps(n, rng, replicates)
    large = sum(int(np.sum(np.abs(statistic(swaps)) >= least)) for swaps in chunks)
    return large / 2**n if exact else (large + 1) / (replicates + 1)


def _all_swaps(n: int) -> Iterator[Swaps]:
    codes = np.arange(2**n)[:, None]
    yield (codes >> np.arange(n) & 1).astype(np.float64)


def _random_swaps(n: int, rng: np.random.Generator, replicates: int) -> Iterator[Swaps]:
    step = max(1, _CELLS // n)
    for start in range(0, replicates, step):
        rows = min(step, replicates - start)
        packed = rng.integers(0, 256, size=(rows, (n + 7) // 8), dtype=np.uint8)
        yield np.unpackbits(packed, axis=1, count=n).astype(np.float64)
