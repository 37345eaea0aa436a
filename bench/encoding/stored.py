"""Columns of vectors that stay on disk, and are read a few rows at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.encoding.store import Places, VectorStore


class StoredColumn:
    """Vectors of a column in their store, for tasks that take slices of them.

    An index, a slice or an array of indices reads what it would give of the whole array, and
    ``np.asarray`` reads all.

    Args:
        store: The store.
        places: Where the vectors of n texts are, at least one, int64 of shape (n,).
    """

    def __init__(self, store: VectorStore, places: Places) -> None:
        self._store, self._places = store, places

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers n of vectors and d of their dimensions."""
        return len(self._places), self._store.take(self._places[:1]).shape[1]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        places = self._places[rows]
        vectors = self._store.take(np.atleast_1d(places))
        return vectors if np.ndim(places) else vectors[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("vectors that are on disk are no array without a copy")
        return self[:].astype(dtype or np.float32, copy=False)
