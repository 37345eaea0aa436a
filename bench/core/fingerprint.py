"""Content hashes that say when a model, a vector or a record can be used again.

Nothing here imports torch: a run whose cells are all on disk stays light.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError
from bench.core.files import write_atomic
from bench.core.sources import source_file

LENGTH = 32
_SETTLED = 2_000_000_000


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
    """Hash the source of a module without importing it, or of all files of a package.

    Raises:
        ModuleNotFoundError: There is no such module, whose changes nobody would notice.
    """
    path = source_file(module)
    paths = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
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


@dataclass(frozen=True)
class _Used:
    """A hash that was given, and what it was of."""

    path: Path
    kind: str
    compute: Callable[[Path], str]
    state: str
    digest: str


class FileHashes:
    """SHA-256 of files, remembered as long as the system says that a file is the same.

    Size and modification time alone do not say so: weights of one architecture have one size, and
    archives and copies keep the time. The inode and the time of its last change are never kept.

    Args:
        path: JSON file that keeps what is known between runs.
        trusted: Whether what earlier runs have kept is used.
        note: Called with a message if that file is damaged.
    """

    def __init__(
        self, path: Path, *, trusted: bool = True, note: Callable[[str], None] | None = None
    ) -> None:
        self._path = path
        self._trusted = trusted
        self._note = note
        self._known: dict[str, list[str]] | None = None
        self._used: dict[str, _Used] = {}

    def sha256(self, path: Path, kind: str = "bytes", compute: Any = file_sha256) -> str:
        """Hash ``path`` with ``compute`` unless the same file was hashed before.

        Args:
            path: The file.
            kind: Names what ``compute`` hashes, so that two kinds never mix.
            compute: Function of the path that returns the hash.
        """
        if self._known is None:
            self._known = self._read(self._note) if self._trusted else {}
        key, state = f"{kind}:{path.resolve()}", file_state(path)
        kept = self._known.get(key)
        if kept is not None and kept[0] == state:
            digest = kept[1]
        else:
            digest = compute(path)
            if is_settled(path, state):
                self._known[key] = [state, digest]
                self._save()
        # The first answer counts: what was made of it is not of what the file holds later.
        self._used.setdefault(key, _Used(path.absolute(), kind, compute, state, digest))
        return digest

    def changed(self, besides: Path) -> Iterator[Path]:
        """Files whose hash differs now from what was answered here first.

        Args:
            besides: Folder whose files may change.
        """
        for used in [*self._used.values()]:
            if not used.path.is_relative_to(besides.absolute()) and not self._is_as_it_was(used):
                yield used.path

    def _is_as_it_was(self, used: _Used) -> bool:
        try:
            # Its like may have taken its place, as where another run downloads it too.
            return (
                file_state(used.path) == used.state
                or self.sha256(used.path, used.kind, used.compute) == used.digest
            )
        except (OSError, BenchError):
            return False

    def folder(self, path: Path) -> str:
        """Hash names and contents of all files below a folder."""
        files = sorted(p for p in path.rglob("*") if p.is_file())
        return fingerprint([[str(p.relative_to(path)), self.sha256(p)] for p in files])

    def _read(self, note: Callable[[str], None] | None = None) -> dict[str, list[str]]:
        try:
            content = json.loads(self._path.read_bytes())
            files: dict[str, list[str]] = content["files"]
            if content["sha256"] == fingerprint(files):
                return files
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            pass
        if note is not None:
            note(f"{self._path} is damaged; the files whose checksums it keeps are read again")
        return {}

    def _save(self) -> None:
        # Another run may have written since.
        files = self._read() | (self._known or {})
        content = canonical_json({"files": files, "sha256": fingerprint(files)})
        # Without it the next run takes longer, and no more.
        with contextlib.suppress(OSError):
            write_atomic(self._path, content.encode())


def file_state(path: Path) -> str:
    """What the system says of a file that differs once its content does."""
    stat = path.stat()
    return f"{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"


def is_settled(path: Path, state: str) -> bool:
    """Whether a file has the state that it had, and no write could still leave it that."""
    # What was just written may be written again within the same tick of the clock.
    return file_state(path) == state and time.time_ns() - path.stat().st_ctime_ns > _SETTLED
