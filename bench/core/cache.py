"""Where trained models, vectors and hashes are kept between runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import UsageError
from bench.core.files import check_writable, remove_folder
from bench.core.fingerprint import FileHashes
from bench.core.locks import held

_DAY = 86_400


def default_root() -> Path:
    """``$BENCH_CACHE``, else ``$XDG_CACHE_HOME/bench``, else ``~/.cache/bench``.

    Raises:
        UsageError: There is something else than a folder, or no home to put one in.
    """
    explicit = os.environ.get("BENCH_CACHE")
    if explicit:
        root = Path(explicit)
    else:
        shared = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - that of pathlib raises where there is no home
        root = Path(shared) / "bench"
    if os.path.lexists(root) and not os.path.isdir(root):  # noqa: PTH112 - likewise, without rights
        raise UsageError(f"the cache {root} is not a folder; set BENCH_CACHE to one")
    return root


def writable_root() -> Path:
    """The same, made where it is not there.

    Raises:
        UsageError: It cannot be made or written.
    """
    root = default_root()
    try:
        check_writable(root)
    except OSError as error:
        raise UsageError(
            f"the cache {root} cannot be written: {error.strerror}; set BENCH_CACHE to another "
            "folder"
        ) from None
    return root


@dataclass(frozen=True)
class Cache:
    """Folders of the cache.

    Attributes:
        root: Folder that holds them all.
    """

    root: Path

    PARTS = ("models", "exports", "vectors", "work", "data")

    @property
    def models(self) -> Path:
        """Trained models, one folder a fingerprint."""
        return self.root / "models"

    @property
    def exports(self) -> Path:
        """Models as other libraries than torch read them, one folder a model and library."""
        return self.root / "exports"

    @property
    def vectors(self) -> Path:
        """Vectors by content."""
        return self.root / "vectors"

    @property
    def work(self) -> Path:
        """Unfinished trainings."""
        return self.root / "work"

    @property
    def locks(self) -> Path:
        """Empty files that trainings hold, so that a model is trained by one run at a time."""
        return self.root / "locks"

    @property
    def data(self) -> Path:
        """Rows that were fetched."""
        return self.root / "data"

    def hashes(
        self, *, trusted: bool = True, note: Callable[[str], None] | None = None
    ) -> FileHashes:
        """Checksums of files seen before, see ``FileHashes``."""
        return FileHashes(self.root / "hashes.json", trusted=trusted, note=note)

    def lock(self, identity: str) -> Path:
        """What a run holds while it trains a model."""
        return self.locks / identity

    def alone(self, identity: str) -> AbstractContextManager[bool]:
        """Keep other runs from training a model, and tell whether none does."""
        return held(self.lock(identity))

    def entries(self, part: str) -> list[CacheEntry]:
        """What a part holds: models, exports, spaces of vectors, trainings, or files of rows."""
        folder = self.root / part
        if part == "data":
            paths = [path for path in folder.rglob("*") if path.is_file()]
        else:
            paths = [*folder.iterdir()] if folder.is_dir() else []
        return list_entries(paths)

    def clear(self, parts: tuple[str, ...] = PARTS, days: float = 0) -> None:
        """Delete parts of the cache; what a run trains now stays.

        Args:
            parts: Names of parts.
            days: Only what nothing was written to for so long.
        """
        for part in parts:
            for entry in self.entries(part):
                if entry.days >= days:
                    self._remove(part, entry.path)
            if part == "data" and not days:
                remove_folder(self.data)
        if parts == self.PARTS and not days:
            (self.root / "hashes.json").unlink(missing_ok=True)

    def _remove(self, part: str, path: Path) -> None:
        if path.is_file() or path.is_symlink():
            path.unlink(missing_ok=True)
        elif part == "work":
            with self.alone(path.name) as alone:
                if alone:
                    remove_folder(path)
        else:
            remove_folder(path)


@dataclass(frozen=True)
class CacheEntry:
    """Something that a cache holds.

    Attributes:
        path: File or folder.
        files: Number of its files.
        size: Their bytes.
        days: Days since something of it was written last.
    """

    path: Path
    files: int
    size: int
    days: float


def list_entries(paths: Iterable[Path]) -> list[CacheEntry]:
    """Describe files and folders, without those that were removed meanwhile."""
    entries = []
    for path in sorted(paths):
        with suppress(FileNotFoundError):
            entries.append(_entry(path))
    return entries


def _entry(path: Path) -> CacheEntry:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    stats = [file.stat() for file in files]
    newest = max((stat.st_mtime for stat in stats), default=path.stat().st_mtime)
    days = max(0.0, time.time() - newest) / _DAY
    return CacheEntry(path, len(files), sum(stat.st_size for stat in stats), days)
