"""Rows and texts by name, checked against the catalog: data folder first, then the hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.data.catalog import Dataset, HubSource, Split, SplitRef, catalog, parse_refs
from bench.data.rows import (
    Row,
    read_rows,
    read_table,
    renamed,
    row_digest,
    rows_sha256,
    write_rows,
)
from bench.errors import DataError
from bench.fingerprint import FileHashes, canonical_json, fingerprint


class DataAccess:
    """Access to the data sets of the catalog.

    Args:
        folder: Data folder, ``<family>/<set>/<split>.jsonl.gz``, or None.
        cache: Folder for rows fetched from the hub, in the same form.
        hashes: Checksums of files seen before.
        offline: Never ask the hub.
    """

    def __init__(
        self, folder: Path | None, cache: Path, hashes: FileHashes, *, offline: bool
    ) -> None:
        self.folder = folder
        self._cache = cache
        self._hashes = hashes
        self.offline = offline

    def rows(self, text: str) -> list[Row]:
        """Read all rows of ``family/set:split[+split][#part]``, in the file's order.

        Raises:
            DataError: The data is missing, or differs from the catalog.
        """
        return [row for ref in parse_refs(text) for row in self._ref_rows(ref)]

    def _ref_rows(self, ref: SplitRef) -> list[Row]:
        rows = read_rows(self._verified(ref))
        if ref.part is None:
            return rows
        columns = catalog()[ref.dataset].columns
        return [row for row in rows if in_fixed_split(row, columns, ref.part)]

    def sha256(self, text: str) -> str:
        """Verify the data and identify its rows.

        Raises:
            DataError: The data is missing, or differs from the catalog.
        """
        refs = parse_refs(text)
        for ref in refs:
            self._verified(ref)
        sums = [catalog()[ref.dataset].splits[ref.split].sha256 for ref in refs]
        return "+".join(sums) + (f"#{refs[0].part}" if refs[0].part else "")

    def table(self, path: Path, columns: Sequence[str], rename: Mapping[str, str]) -> list[Row]:
        """Read any file of rows with some columns.

        Args:
            path: JSON lines, CSV, TSV or Parquet.
            columns: Columns that every row must have.
            rename: Column to the name that it has in the file, where they differ.

        Raises:
            DataError: The file is missing or damaged, or lacks a column.
        """
        return renamed(read_table(path), columns, rename, str(path))

    def table_sha256(self, path: Path, columns: Sequence[str], rename: Mapping[str, str]) -> str:
        """Identify the rows of any file, as ``rows:checksum`` over the columns.

        Raises:
            DataError: As ``table``.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file; the suite names it as its data")

        def summarise(path: Path) -> str:
            rows = self.table(path, columns, rename)
            return f"{len(rows)}:{rows_sha256(rows, columns)}"

        tag = f"rows[{','.join(columns)}]{canonical_json(dict(rename))}"
        return self._hashes.sha256(path, tag, summarise)

    def hub_file(self, hub: HubSource, split: str, config: str | None = None) -> Path:
        """Fetch all rows of a data set on the hub once, into the cache.

        Raises:
            DataError: It cannot be fetched.
        """
        name = fingerprint([hub.path, hub.revision, split, config])
        path = self._cache / "hub" / f"{name}.jsonl.gz"
        if not path.is_file():
            label = f"{hub.path}@{hub.revision[:8]}:{split}"
            if self.offline:
                raise DataError(f"{label} is not in the cache and offline, so it was not fetched")
            write_rows(path, _load_from_hub(label, hub, split, config))
        return path

    def file_sha256(self, path: Path) -> str:
        """Identify any file by its bytes."""
        return self._hashes.sha256(path)

    def _verified(self, ref: SplitRef) -> Path:
        dataset = catalog()[ref.dataset]
        path = self._find(ref, dataset)
        self._check(path, str(ref), dataset.splits[ref.split], dataset.columns)
        return path

    def _find(self, ref: SplitRef, dataset: Dataset) -> Path:
        for root in (self.folder, self._cache):
            if root is not None and (root / ref.filename).is_file():
                return root / ref.filename
        return self._fetch(ref, dataset)

    def _check(self, path: Path, label: str, expected: Split, columns: Sequence[str]) -> None:
        found = self._hashes.sha256(path, f"rows[{','.join(columns)}]", _summary(label, columns))
        count, _, sha256 = found.partition(":")
        if int(count) != expected.rows:
            raise DataError(
                f"{label}: {path} has {count} rows, expected {expected.rows}; get it anew"
            )
        if sha256 != expected.sha256:
            raise DataError(
                f"{label}: {path} has checksum {sha256[:12]}…, expected {expected.sha256[:12]}…; "
                "its rows were changed, get it anew"
            )

    def _fetch(self, ref: SplitRef, dataset: Dataset) -> Path:
        split = dataset.splits[ref.split]
        where = f"{self.folder / ref.filename} does not exist" if self.folder else "no data folder"
        how = f"pass --data FOLDER (or set BENCH_DATA) with {ref.filename} in it"
        if dataset.hub is None or split.hub_split is None:
            raise DataError(f"{ref}: {where}, and no hub copy is known; {how}")
        if self.offline:
            raise DataError(
                f"{ref}: {where}, and offline, so {dataset.hub.path} was not fetched; {how}"
            )
        try:
            rows = _load_from_hub(str(ref), dataset.hub, split.hub_split)
        except DataError as error:
            raise DataError(f"{error}; {how}") from None
        path = self._cache / ref.filename
        write_rows(path, renamed(rows, dataset.columns, {}, str(ref)))
        return path


def _summary(label: str, columns: Sequence[str]) -> Callable[[Path], str]:
    def summarise(path: Path) -> str:
        rows = read_rows(path)
        try:
            return f"{len(rows)}:{rows_sha256(rows, columns)}"
        except KeyError as error:
            raise DataError(f"{label}: {path}: a row has no column {error}") from None

    return summarise


def _load_from_hub(label: str, hub: HubSource, split: str, config: str | None = None) -> list[Row]:
    import datasets

    try:
        loaded = datasets.load_dataset(hub.path, config, revision=hub.revision, split=split)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{label}: {hub.path} cannot be fetched: {reason}") from None
    return [dict(row) for row in loaded]


def in_fixed_split(row: Row, columns: Sequence[str], part: str) -> bool:
    """Whether a row of a set without official splits is in ``train``, ``dev`` or ``test``.

    The split is 60/20/20 by the row's SHA-256, so that it never depends on order.
    """
    bucket = int(row_digest(row, columns)[:8], 16) % 5
    return part == ("train" if bucket < 3 else "dev" if bucket == 3 else "test")
