"""Vectors by content: what was encoded once is never encoded again.

A *space* is everything besides the text that decides a vector (model, prompt, role, precision,
maximum length). Each space is a folder of append-only shards, written atomically.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.encoding.shards import KEY_BYTES, Halves, Keys, Shard, halves, open_shards, write_shard

ABSENT = -1
_HASHED_AT_ONCE = 65_536
Places = NDArray[np.int64]


class VectorStore:
    """The vectors of one space, in shards that stay on disk.

    Args:
        folder: Folder of the space.

    Attributes:
        folder: The same.
        written: Files of the shards that were put, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.written = list[Path]()
        self._shards: list[Shard] = open_shards(folder)

    def find(self, keys: Keys) -> Places:
        """Find texts by their keys.

        Args:
            keys: Keys of n texts, see ``text_keys``.

        Returns:
            What ``take`` reads their vectors by, int64 of shape (n,); ``ABSENT`` for texts that are
            not in the store.
        """
        known = np.concatenate([halves(keys[:0]), *(shard.halves for shard in self._shards)])
        return _positions(halves(keys), known)

    def take(self, places: Places) -> NDArray[np.float32]:
        """Read vectors that ``find`` has found, float32 of shape (n, d).

        Raises:
            KeyError: One is ``ABSENT``.
            CellError: A shard was deleted meanwhile, or the vectors have different sizes.
        """
        if (places == ABSENT).any():
            raise KeyError("a text that is not in the store")
        ends = np.cumsum([len(shard.halves) for shard in self._shards])
        order = np.argsort(places, kind="stable")
        cuts = np.searchsorted(places[order], ends)
        chosen = list(zip(self._shards, ends, np.split(order, cuts), strict=False))
        used = [(shard, end, rows) for shard, end, rows in chosen if len(rows)]
        sizes = sorted({shard.dimension for shard, _, _ in used or chosen})
        if len(sizes) > 1:
            raise CellError(f"the encoder returned vectors of different sizes: {sizes}")
        vectors = np.empty((len(places), *(sizes or [0])), dtype=np.float32)
        for shard, end, rows in used:
            try:
                vectors[rows] = shard.take(places[rows] - (end - len(shard.halves)))
            except FileNotFoundError:
                raise CellError(
                    f"{shard.path} was deleted while it was used; run the same command again"
                ) from None
        return vectors

    def put(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Write a shard of new vectors, shape (n, d)."""
        shard = write_shard(self.folder, text_keys(texts), vectors)
        self._shards.append(shard)
        self.written.append(shard.path)


def text_keys(texts: Sequence[str]) -> Keys:
    """SHA-256 of n texts, uint8 of shape (n, 32)."""
    keys = np.empty((len(texts), KEY_BYTES), dtype=np.uint8)
    for start in range(0, len(texts), _HASHED_AT_ONCE):
        digests = b"".join(_digests(texts[start : start + _HASHED_AT_ONCE]))
        rows = np.frombuffer(digests, dtype=np.uint8).reshape(-1, KEY_BYTES)
        keys[start : start + len(rows)] = rows
    return keys


def _digests(texts: Sequence[str]) -> Iterator[bytes]:
    for text in texts:
        yield hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _positions(wanted: Halves, known: Halves) -> Places:
    """First position of each of n wanted rows among m known ones, or ``ABSENT``."""
    order = np.argsort(known[:, 0], kind="stable")
    firsts = known[order, 0]
    positions = np.full(len(wanted), ABSENT, dtype=np.int64)
    pending, at = np.arange(len(wanted)), np.searchsorted(firsts, wanted[:, 0])
    # Rows that share their first word follow each other.
    while len(pending):
        alike = at < len(order)
        alike[alike] = firsts[at[alike]] == wanted[pending[alike], 0]
        pending, at = pending[alike], at[alike]
        same = (known[order[at]] == wanted[pending]).all(axis=1)
        positions[pending[same]] = order[at[same]]
        pending, at = pending[~same], at[~same] + 1
    return positions
