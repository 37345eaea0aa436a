"""Rows and texts by name, checked against the catalog: data folder first, then the hub."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.data.catalog import Dataset, Split, SplitRef, catalog, parse_refs
from bench.data.rows import Row, read_rows, row_digest, rows_sha256
from bench.errors import DataError
from bench.files import write_atomic
from bench.fingerprint import FileHashes, canonical_json


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
        """Read all rows of ``family/set:split[+split]``, in the file's order.

        Raises:
            DataError: The data is missing, or differs from the catalog.
        """
        return [row for ref in parse_refs(text) for row in read_rows(self._verified(ref))]

    def sha256(self, text: str) -> str:
        """Verify the data and identify its rows.

        Raises:
            DataError: The data is missing, or differs from the catalog.
        """
        refs = parse_refs(text)
        for ref in refs:
            self._verified(ref)
        sums = [catalog()[ref.dataset].splits[ref.split].sha256 for ref in refs]
        return sums[0] if len(sums) == 1 else "+".join(sums)

    def file_rows(self, path: Path, sha256: str, count: int, columns: Sequence[str]) -> list[Row]:
        """Read embedded rows and check them against what the suite says.

        Raises:
            DataError: Missing file, wrong number of rows, or wrong checksum.
        """
        if not path.is_file():
            raise DataError(f"{path}: embedded data is missing; reinstall the suite's package")
        self._check(path, str(path), Split(rows=count, sha256=sha256), columns)
        return read_rows(path)

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
        rows = _load_from_hub(ref, dataset, split.hub_split, how)
        path = self._cache / ref.filename
        content = "".join(canonical_json(row) + "\n" for row in rows).encode()
        write_atomic(path, gzip.compress(content, mtime=0))
        return path


def _summary(label: str, columns: Sequence[str]) -> Callable[[Path], str]:
    def summarise(path: Path) -> str:
        rows = read_rows(path)
        try:
            return f"{len(rows)}:{rows_sha256(rows, columns)}"
        except KeyError as error:
            raise DataError(f"{label}: {path}: a row has no column {error}") from None

    return summarise


def _load_from_hub(ref: SplitRef, dataset: Dataset, hub_split: str, how: str) -> list[Row]:
    import datasets

    assert dataset.hub is not None
    try:
        loaded = datasets.load_dataset(
            dataset.hub.path, revision=dataset.hub.revision, split=hub_split
        )
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{ref}: {dataset.hub.path} cannot be fetched: {reason}; {how}") from None
    return [{column: row[column] for column in dataset.columns} for row in loaded]


def in_fixed_split(row: Row, columns: Sequence[str], part: str) -> bool:
    """Whether a row of a set without official splits is in ``train``, ``dev`` or ``test``.

    The split is 60/20/20 by the row's SHA-256, so that it never depends on order.
    """
    bucket = int(row_digest(row, columns)[:8], 16) % 5
    return part == ("train" if bucket < 3 else "dev" if bucket == 3 else "test")
