"""Where rows lie on this machine: in a data folder, the cache, or the package itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

from bench.core.errors import DataError
from bench.data.catalog import SplitRef, catalog
from bench.data.rows import read_rows, rows_sha256


@cache
def embedded() -> Path:
    """Folder of the sets that come with the package."""
    return Path(str(files("bench.suites"))) / "embedded"


def locate(ref: SplitRef, roots: Iterable[Path]) -> Path | None:
    """File of a split in the first of the folders that has one, gzipped or not."""
    names = (ref.filename, ref.filename.removesuffix(".gz"))
    paths = (root / name for root in roots for name in names)
    return next((path for path in paths if path.is_file()), None)


def rows_summary(path: Path, columns: Sequence[str]) -> str:
    """Count and checksum of the rows of a file of JSON lines, as ``rows:checksum``.

    Raises:
        DataError: The file is damaged, or a row lacks a column.
    """
    try:
        rows = read_rows(path)
        return f"{len(rows)}:{rows_sha256(rows, columns)}"
    except KeyError as error:
        raise DataError(f"{path}: a row has no column {error}") from None


def mismatch(summary: str, ref: SplitRef) -> str:
    """Say how a summary of rows differs from the catalog, or return an empty string."""
    count, _, sha256 = summary.partition(":")
    return catalog()[ref.dataset].splits[ref.split].mismatch(int(count), sha256)


def state(path: Path, ref: SplitRef) -> str:
    """Compare a file with the catalog, afresh: ``ok``, ``missing``, or ``wrong: …``."""
    if not path.is_file():
        return "missing"
    try:
        wrong = mismatch(rows_summary(path, catalog()[ref.dataset].columns), ref)
    except DataError as error:
        wrong = str(error).removeprefix(f"{path}: ")
    return f"wrong: {wrong}" if wrong else "ok"
