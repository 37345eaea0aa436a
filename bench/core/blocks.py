"""Long arrays, worked on a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]
_ROWS = 65_536


def by_rows(
    value: Callable[[Matrix, Matrix], NDArray[np.float64]], a: Matrix, b: Matrix
) -> NDArray[np.float64]:
    """Compute a value of each pair of rows, (n, d) twice to (n,), on 65,536 pairs at a time.

    What it needs besides, such as both sides in float64, is held for these alone.

    Raises:
        ValueError: The shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"rows of shapes {a.shape} and {b.shape} make no pairs")
    values = np.empty(len(a))
    for start in range(0, len(a), _ROWS):
        block = slice(start, start + _ROWS)
        values[block] = value(a[block], b[block])
    return values
