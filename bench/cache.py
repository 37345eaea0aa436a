"""Where trained models, vectors and hashes are kept between runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError
from bench.files import check_writable
from bench.fingerprint import FileHashes


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
        raise UsageError(f"the cache {root} is no folder; set BENCH_CACHE to one")
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

    PARTS = ("models", "vectors", "work", "data")

    @property
    def models(self) -> Path:
        """Trained models, one folder a fingerprint."""
        return self.root / "models"

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

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Files and bytes of each part."""
        found = {}
        for part in self.PARTS:
            files = [p for p in (self.root / part).rglob("*") if p.is_file()]
            found[part] = (len(files), sum(p.stat().st_size for p in files))
        return found

    def clear(self, parts: tuple[str, ...] = PARTS) -> None:
        """Delete parts of the cache."""
        for part in parts:
            shutil.rmtree(self.root / part, ignore_errors=True)
        if parts == self.PARTS:
            shutil.rmtree(self.locks, ignore_errors=True)
            (self.root / "hashes.json").unlink(missing_ok=True)
