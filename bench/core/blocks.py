"""Long arrays, worked on a block of rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]
_ROWS = 65_536
_CHUNK = 100
# Numbers of a chunk in float64, of which several are held at a time: 32 MB each.
_CELLS = 4_000_000


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


def chunks(counts: NDArray[np.int16]) -> Iterator[NDArray[np.int16]]:
    """Rows of counts (R, n), at most 100 at a time and fewer where they are long."""
    step = max(1, min(_CHUNK, _CELLS // counts.shape[1]))
    for start in range(0, len(counts), step):
        yield counts[start : start + step]
