"""Exact search: the nearest of many documents for every query, a block of both at a time.

What is held at once are the products of a block and the best so far of its queries, so that a
corpus of millions may stay on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.encoding.sparse import SparseColumn, normalised

if TYPE_CHECKING:
    import torch
    from scipy.sparse import csr_array

QUERIES = 1024
DOCUMENTS = 8192
# What waits to be ranked, as a multiple of what is kept of each query.
_WAITING = 2
_LOW = 0xFFFFFFFF
_MAGNITUDE = 0x7FFFFFFF
_LOWEST = -(2**63)


# Similarities (q, b) of some queries with a block of documents.
_Products: TypeAlias = "Callable[[slice], torch.Tensor]"


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

    def products(group: slice) -> _Products:
        asked = _unit(queries[group], device)
        # Memory that is new for every block would cost as much as a fifth of the product.
        kept = torch.empty(len(asked), DOCUMENTS, device=device)

        def with_block(block: slice) -> torch.Tensor:
            rows = _unit(documents[block], device)
            return torch.mm(asked, rows.T, out=kept[:, : len(rows)])

        return with_block

    return _nearest((len(queries), len(documents)), count, device, products)


def nearest_sparse(
    queries: SparseColumn, documents: SparseColumn, count: int, *, cosine: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find the documents of highest dot product or cosine; of equal ones the first goes first.

    What is dense at once are the products of a block of queries and one of documents.

    Args:
        queries: Vectors (q, V).
        documents: Vectors (n, V), fewer than 2**32.
        count: How many k to find, n where there are fewer.
        cosine: Whether vectors count by their direction alone.

    Returns:
        As ``nearest``.
    """
    import torch

    def products(group: slice) -> _Products:
        asked = _rows(queries, group, cosine=cosine)

        def with_block(block: slice) -> torch.Tensor:
            found = asked @ _rows(documents, block, cosine=cosine).T
            return torch.from_numpy(found.toarray())

        return with_block

    return _nearest((len(queries), len(documents)), count, "cpu", products)


def _nearest(
    sizes: tuple[int, int], count: int, device: str, products: Callable[[slice], _Products]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    import torch

    asked, there = sizes
    kept = min(count, there)
    places = np.empty((asked, kept), dtype=np.int64)
    similarities = np.empty((asked, kept), dtype=np.float32)
    for start in range(0, asked, QUERIES):
        group = slice(start, start + QUERIES)
        with_block = products(group)
        best = _Best(len(places[group]), kept, torch.device(device))
        for first in range(0, there, DOCUMENTS):
            best.add(with_block(slice(first, first + DOCUMENTS)), first)
        places[group], similarities[group] = best.ranked()
    return places, similarities


def _rows(column: SparseColumn, rows: slice, *, cosine: bool) -> csr_array:
    return normalised(column[rows]) if cosine else column[rows]


def _unit(vectors: NDArray[np.float32], device: str) -> torch.Tensor:
    import torch

    given = torch.from_numpy(np.array(vectors, dtype=np.float32)).to(device)
    norms = torch.linalg.vector_norm(given, dim=1, keepdim=True)
    return given.div_(norms.clamp_min_(torch.finfo(torch.float32).tiny))


class _Best:
    """The best so far of each of q queries.

    A cosine and a place are one number, the cosine above, whose order is that of the ranking: no
    two are equal, and what is kept does not depend on how a library breaks ties.
    """

    def __init__(self, queries: int, count: int, device: torch.device) -> None:
        import torch

        self._count = count
        # The best in front, behind them what may be better.
        width = count + _WAITING * count + DOCUMENTS
        self._keys = torch.full((queries, width), _LOWEST, dtype=torch.int64, device=device)
        self._sizes = torch.zeros(queries, dtype=torch.int64, device=device)
        self._better = torch.empty(queries, DOCUMENTS, dtype=torch.bool, device=device)
        self._floor: torch.Tensor | None = None

    def add(self, cosines: torch.Tensor, first: int) -> None:
        """Take the cosines (q, b) of the documents from a place on."""
        import torch

        rows, columns = _places(self._candidates(cosines))
        sizes = rows.bincount(minlength=len(self._sizes))
        starts = self._count + self._sizes - (sizes.cumsum(0) - sizes)
        slots = torch.arange(len(rows), device=rows.device) + starts[rows]
        self._keys[rows, slots] = _keys(cosines[rows, columns], columns + first)
        self._sizes += sizes
        if self._floor is None or self._sizes.max() > _WAITING * self._count:
            self._merge()

    def _candidates(self, cosines: torch.Tensor) -> torch.Tensor:
        """Which may be among the best; an equal one comes later than what is kept, and is not."""
        import torch

        if self._floor is not None:
            return torch.gt(cosines, self._floor, out=self._better[:, : cosines.shape[1]])
        least = cosines.topk(min(self._count, cosines.shape[1]), dim=1).values.amin(dim=1)
        return cosines >= least[:, None]

    def ranked(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places and cosines of what is kept, the best first."""
        self._merge()
        keys = self._keys[:, : self._count].sort(dim=1, descending=True).values
        return (_LOW - (keys & _LOW)).cpu().numpy(), _cosines(keys).cpu().numpy()

    def _merge(self) -> None:
        filled = self._count + int(self._sizes.max())
        kept = self._keys[:, :filled].topk(self._count, dim=1, sorted=False).values
        self._keys[:, : self._count] = kept
        self._keys[:, self._count : filled] = _LOWEST
        self._floor = _cosines(kept.amin(dim=1, keepdim=True))
        self._sizes.zero_()


def _places(mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns where a mask holds, row by row."""
    import torch

    if mask.device.type != "cpu":
        rows, columns = mask.nonzero(as_tuple=True)
        return rows, columns
    # On a CPU torch takes ten times as long for it as NumPy.
    flat = torch.from_numpy(np.flatnonzero(mask.numpy()))
    return flat.div(mask.shape[1], rounding_mode="floor"), flat.remainder(mask.shape[1])


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
    return torch.where(keys == _LOWEST, -torch.inf, cosines)
