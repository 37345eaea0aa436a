"""Vectors by content: what was encoded once is never encoded again.

A *space* is everything besides the text that decides a vector (model, prompt, role, precision,
maximum length). Each space is a folder of append-only shards, written atomically.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from bench.core.files import write_atomic


class VectorStore:
    """The vectors of one space.

    Args:
        folder: Folder of the space.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[bytes, NDArray[np.float32]] = {}
        for path in sorted(folder.glob("*.safetensors")):
            self._read(path)

    def __contains__(self, text: str) -> bool:
        return _key(text) in self._known

    def get(self, text: str) -> NDArray[np.float32]:
        """Vector of a text that is in the store, shape (d,)."""
        return self._known[_key(text)]

    def put(self, texts: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Write a shard of new vectors, shape (n, d)."""
        keys = [_key(text) for text in texts]
        packed = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), -1)
        content = save({"keys": packed, "vectors": np.ascontiguousarray(vectors)})
        write_atomic(self._folder / _name(content), content)
        self._known.update(zip(keys, vectors, strict=True))

    def _read(self, path: Path) -> None:
        try:
            content = path.read_bytes()
            if _name(content) != path.name:
                raise ValueError("not the bytes that the shard is named by")
            shard = load(content)
            keys = [row.tobytes() for row in shard["keys"]]
            self._known.update(zip(keys, shard["vectors"], strict=True))
        except (SafetensorError, KeyError, ValueError):
            # A damaged shard costs time, not correctness: its texts are encoded again.
            path.unlink(missing_ok=True)


def _name(content: bytes) -> str:
    return f"{hashlib.sha256(content).hexdigest()[:32]}.safetensors"


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
