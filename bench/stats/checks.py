"""Checks of what the statistics are given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def finite(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values as float64.

    Args:
        name: What they are called in an error.
        values: Values of any shape.

    Raises:
        ValueError: There are none, or one is NaN or infinite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not values.size:
        raise ValueError(f"{name}: no values")
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(f"{name}: {bad} of {values.size} values are NaN or infinite")
    return values


def finite_pair(
    name: str, first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return two arrays (n,) that belong together item by item.

    Args:
        name: What they are called in an error.
        first: Values of the first method, (n,).
        second: Values of the second method, (n,).

    Raises:
        ValueError: Their shapes differ, they have no values, or one is NaN or infinite.
    """
    if np.shape(first) != np.shape(second):
        raise ValueError(
            f"{name}: not paired, shapes {np.shape(first)} and {np.shape(second)} differ"
        )
    return finite(f"{name} of the first", first), finite(f"{name} of the second", second)
