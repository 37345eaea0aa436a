"""Content hashes that say when a model, a vector or a record can be used again.

Nothing here imports torch: a run whose cells are all on disk stays light.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from bench.files import write_atomic

LENGTH = 32


def canonical_json(value: Any) -> str:
    """Serialise to JSON with sorted keys and no NaN, the same bytes for equal values."""
    return json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )


def fingerprint(value: Any) -> str:
    """Hash any JSON value: 32 hexadecimal digits of SHA-256 over its canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:LENGTH]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@cache
def source_fingerprint(module: str) -> str:
    """Hash the source of a module without importing it, or of all files of a package."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return module
    origin = Path(spec.origin)
    paths = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
    return fingerprint([[path.name, file_sha256(path)] for path in paths])


def versions(distributions: Iterable[str]) -> Mapping[str, str]:
    """Installed versions by distribution name; ``absent`` where it is not installed."""
    return {name: _version(name) for name in sorted(distributions)}


@cache
def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


class FileHashes:
    """SHA-256 of files, remembered by path, size and modification time.

    Args:
        path: JSON file that keeps what is known between runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] | None = None

    def sha256(self, path: Path, kind: str = "bytes", compute: Any = file_sha256) -> str:
        """Hash ``path`` with ``compute`` unless the same file was hashed before.

        Args:
            path: The file.
            kind: Names what ``compute`` hashes, so that two kinds never mix.
            compute: Function of the path that returns the hash.
        """
        known = self._load()
        stat = path.stat()
        key = f"{kind}:{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
        if key not in known:
            known[key] = compute(path)
            self._save()
        return known[key]

    def folder(self, path: Path) -> str:
        """Hash names and contents of all files below a folder."""
        files = sorted(p for p in path.rglob("*") if p.is_file())
        return fingerprint([[str(p.relative_to(path)), self.sha256(p)] for p in files])

    def _load(self) -> dict[str, str]:
        if self._known is None:
            try:
                self._known = dict(json.loads(self._path.read_text(encoding="utf-8")))
            except (OSError, ValueError):
                self._known = {}
        return self._known

    def _save(self) -> None:
        write_atomic(self._path, canonical_json(self._load()).encode())
