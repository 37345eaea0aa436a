"""Exact search: the nearest of many documents for every query, a block of both at a time.

What is held at once are the products of a block and the best so far of its queries, so that a
corpus of millions may stay on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

QUERIES = 1024
DOCUMENTS = 8192
# What waits to be ranked, as a multiple of what is kept of each query.
_WAITING = 4
_LOW = 0xFFFFFFFF
_MAGNITUDE = 0x7FFFFFFF


class Rows(Protocol):
    """Vectors (n, d) that are taken a slice at a time."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice) -> NDArray[np.float32]: ...


def nearest(
    queries: NDArray[np.float32], documents: Rows, count: int, device: str = "cpu"
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the documents of highest cosine for each query; of equal ones the first goes first.

    Cosines are products of float32 vectors of norm 1, as sentence-transformers and mteb compute
    them; that with a zero vector is 0.

    Args:
        queries: Vectors (q, d).
        documents: Vectors (n, d), fewer than 2**32.
        count: How many k to find, n where there are fewer.
        device: Torch device.

    Returns:
        Places of documents, (q, k), by falling cosine, and the cosines, (q, k).
    """
    import torch

    kept = min(count, len(documents))
    places = np.empty((len(queries), kept), dtype=np.int64)
    cosines = np.empty((len(queries), kept), dtype=np.float32)
    for start in range(0, len(queries), QUERIES):
        group = slice(start, start + QUERIES)
        asked = _unit(queries[group], device)
        best = _Best(len(asked), kept, torch.device(device))
        for first in range(0, len(documents), DOCUMENTS):
            block = _unit(documents[first : first + DOCUMENTS], device)
            best.add(asked @ block.T, first)
        places[group], cosines[group] = best.ranked()
    return places, cosines


def _unit(vectors: NDArray[np.float32], device: str) -> torch.Tensor:
    import torch

    given = torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)).to(device)
    return torch.nn.functional.normalize(given, dim=1)


class _Best:
    """The best so far of each of q queries.

    A cosine and a place are one number, the cosine above, whose order is that of the ranking: no
    two are equal, and what is kept does not depend on how a library breaks ties.
    """

    def __init__(self, queries: int, count: int, device: torch.device) -> None:
        import torch

        lowest = torch.iinfo(torch.int64).min
        self._keys = torch.full((queries, count), lowest, dtype=torch.int64, device=device)
        self._floor = torch.full((queries, 1), -torch.inf, device=device)
        self._sizes = torch.zeros(queries, dtype=torch.int64, device=device)
        self._rows: list[torch.Tensor] = []
        self._waiting: list[torch.Tensor] = []

    def add(self, cosines: torch.Tensor, first: int) -> None:
        """Take the cosines (q, b) of the documents from a place on."""
        # An equal one comes later than what is kept, and goes behind it.
        rows, columns = (cosines > self._floor).nonzero(as_tuple=True)
        self._rows.append(rows)
        self._waiting.append(_keys(cosines[rows, columns], columns + first))
        self._sizes += rows.bincount(minlength=len(self._sizes))
        if self._sizes.max() > _WAITING * self._keys.shape[1]:
            self._merge()

    def ranked(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places and cosines of what is kept, the best first."""
        if self._rows:
            self._merge()
        keys = self._keys.sort(dim=1, descending=True).values
        return (_LOW - (keys & _LOW)).cpu().numpy(), _cosines(keys).cpu().numpy()

    def _merge(self) -> None:
        import torch

        rows, keys = torch.cat(self._rows), torch.cat(self._waiting)
        self._rows, self._waiting = [], []
        order = rows.argsort(stable=True)
        starts = self._sizes.cumsum(0) - self._sizes
        columns = torch.arange(len(rows), device=rows.device) - starts.repeat_interleave(
            self._sizes
        )
        lowest = torch.iinfo(torch.int64).min
        shape = (len(self._sizes), int(self._sizes.max()))
        waiting = torch.full(shape, lowest, dtype=torch.int64, device=rows.device)
        waiting[rows[order], columns] = keys[order]
        both = torch.cat([self._keys, waiting], dim=1)
        self._keys = both.topk(self._keys.shape[1], dim=1, sorted=False).values
        self._floor = _cosines(self._keys.min(dim=1, keepdim=True).values)
        self._sizes.zero_()


def _keys(cosines: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Numbers whose order is that of cosines, and of falling places where those are equal."""
    import torch

    # The two zeros are one.
    bits = (cosines + 0.0).view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ _MAGNITUDE, bits).to(torch.int64)
    return (ordered << 32) | (_LOW - places)


def _cosines(keys: torch.Tensor) -> torch.Tensor:
    """The cosines of keys; negative infinity where nothing was found yet."""
    import torch

    bits = (keys >> 32).to(torch.int32)
    cosines = torch.where(bits < 0, bits ^ _MAGNITUDE, bits).view(torch.float32)
    return torch.where(keys == torch.iinfo(torch.int64).min, -torch.inf, cosines)
