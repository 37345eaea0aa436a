"""A permutation test of two methods on the same items.

Under the null nothing tells the methods apart, so on every item their values may be swapped.
The p-value counts the swaps that make as large a difference, in either direction: all of them
where they are no more than the replicates asked for, else (k + 1) / (R + 1) of random ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.stats.checks import finite_pair

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
    # Items that both methods score alike stay as they are: they need no enumeration.
    difference = (first - second)[first != second]
    n, observed = len(difference), difference.sum()
    least = abs(float(observed)) - _ROUNDING * float(np.abs(difference).sum())
    exact = 2**n <= replicates
    chunks = _all_swaps(n) if exact else _random_swaps(n, rng, replicates)
    large = sum(
        int(np.sum(np.abs(observed - 2 * (swaps @ difference)) >= least)) for swaps in chunks
    )
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
