"""Sums over groups of items, without a table of items by groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Groups:
    """Which of some items belong to which of K groups.

    Args:
        numbers: Group of each item, from 0, (m,).
        size: Number K of groups; some may have no item.
        items: Positions (m,) of these items among all that are summed; by default they are all.
    """

    def __init__(
        self, numbers: NDArray[np.integer], size: int, items: NDArray[np.intp] | None = None
    ) -> None:
        order = np.argsort(numbers, kind="stable")
        self._order = order if items is None else items[order]
        self._starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
        self._present = numbers[order][self._starts]
        self._size = size

    def sums(self, values: NDArray[np.integer]) -> NDArray[np.float64]:
        """Sum the columns of each group, (r, n) to (r, K); exact for counts."""
        sums = np.zeros((len(values), self._size))
        if len(self._starts):
            sorted_values = values.take(self._order, axis=1)
            sums[:, self._present] = np.add.reduceat(
                sorted_values, self._starts, axis=1, dtype=np.float64
            )
        return sums
