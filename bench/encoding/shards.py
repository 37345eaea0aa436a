"""Shards: files of keys and vectors that are written once, and mapped rather than read."""

from __future__ import annotations

import contextlib
import json
import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bench.core.files import write_atomic
from bench.core.fingerprint import (
    LENGTH,
    canonical_json,
    file_sha256,
    file_state,
    is_settled,
)
from bench.records.files import sha256

KEY_BYTES = 32
# No two texts are known, nor will be met, whose SHA-256 begin alike for 128 bits.
_WORDS = 2
Keys = NDArray[np.uint8]
Halves = NDArray[np.uint64]
_VERIFIED = "verified.json"


@dataclass(frozen=True)
class Shard:
    """A shard that was opened.

    Attributes:
        path: Its file.
        halves: First half of the key of each of its n texts, uint64 of shape (n, 2).
        dimension: Size d of its vectors.
        offset: Bytes of the file before them.
    """

    path: Path
    halves: Halves
    dimension: int
    offset: int

    def take(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """Read the vectors of m rows and no others, float32 of shape (m, d).

        Raises:
            OSError: The file is gone.
        """
        count = len(self.halves) * self.dimension
        # Not kept mapped: a space may have more shards than a process may have files.
        with self.path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        vectors = np.frombuffer(mapped, "<f4", count, self.offset).reshape(-1, self.dimension)
        return np.asarray(vectors[rows])


def halves(keys: Keys) -> Halves:
    """The first half of n keys (n, 32), which tells texts apart, uint64 of shape (n, 2)."""
    return np.array(np.ascontiguousarray(keys).view(np.uint64)[:, :_WORDS])


def write_shard(folder: Path, keys: Keys, vectors: NDArray[np.float32]) -> Shard:
    """Write a shard of n keys and their vectors (n, d), named by the digest of its bytes."""
    content = save({"keys": keys, "vectors": np.ascontiguousarray(vectors)})
    path = folder / f"{sha256(content)[:LENGTH]}.safetensors"
    write_atomic(path, content)
    return Shard(path, halves(keys), vectors.shape[1], len(content) - keys.nbytes - vectors.nbytes)


def open_shards(folder: Path) -> list[Shard]:
    """Open all shards of a folder; a damaged one is deleted, which costs time, not correctness."""
    verified, shards = _Verified(folder), []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            shards.append(_opened(path, verified))
        except FileNotFoundError:
            continue
        except (SafetensorError, ValueError):
            path.unlink(missing_ok=True)
    verified.save(shard.path for shard in shards)
    return shards


def _opened(path: Path, verified: _Verified) -> Shard:
    if not verified.holds(path):
        raise ValueError("not the bytes that the shard is named by")
    with safe_open(path, framework="numpy") as file:
        if file.offset_keys() != ["vectors", "keys"]:
            raise ValueError("not a shard")
        keys, vectors = file.get_tensor("keys"), file.get_slice("vectors")
        rows, dimension = vectors.get_shape()
        kind = vectors.get_dtype(), keys.dtype, keys.shape
    if kind != ("F32", np.uint8, (rows, KEY_BYTES)):
        raise ValueError("not a shard")
    # The format puts the arrays last, without gaps.
    offset = path.stat().st_size - keys.nbytes - 4 * rows * dimension
    return Shard(path, halves(keys), dimension, offset)


class _Verified:
    """Which shards of a folder have the bytes that they are named by.

    A shard is hashed once, and again only when the system says that its file is another one: the
    vectors of a space may be gigabytes, of which a run takes a few.

    Args:
        folder: The folder, which keeps what is known between runs.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _VERIFIED
        self._before = _states(self._path)
        self._states = dict(self._before)

    def holds(self, path: Path) -> bool:
        """Whether a shard has the bytes that it is named by.

        Raises:
            FileNotFoundError: There is none.
        """
        state = file_state(path)
        if self._states.get(path.name) == state:
            return True
        if file_sha256(path)[:LENGTH] != path.stem:
            return False
        if is_settled(path, state):
            self._states[path.name] = state
        return True

    def save(self, paths: Iterable[Path]) -> None:
        """Keep what is known of some shards."""
        names = {path.name for path in paths}
        states = {name: state for name, state in self._states.items() if name in names}
        if states != self._before:
            # Without it the next run takes longer, and no more.
            with contextlib.suppress(OSError):
                write_atomic(self._path, canonical_json(states).encode())


def _states(path: Path) -> dict[str, str]:
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
