"""Rows and texts by name, checked against the catalog: data folder first, then the hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from bench.data.catalog import Dataset, HubSource, SplitRef, catalog, parse_refs
from bench.data.rows import (
    Row,
    read_rows,
    read_table,
    renamed,
    row_digest,
    rows_sha256,
    write_rows,
)
from bench.errors import DataError, UsageError, first_line
from bench.fingerprint import FileHashes, canonical_json, fingerprint


def find_folder(given: str | Path | None) -> Path | None:
    """Data folder that is given, else that of ``BENCH_DATA``, else None.

    Raises:
        UsageError: It does not exist.
    """
    folder = given or os.environ.get("BENCH_DATA")
    if folder and not Path(folder).is_dir():
        raise UsageError(f"data folder {folder} does not exist; mend --data or BENCH_DATA")
    return Path(folder) if folder else None


def is_offline(asked: bool) -> bool:
    """Whether the network is out of bounds: by option, or by an environment variable."""
    names = ("BENCH_OFFLINE", "HF_HUB_OFFLINE")
    return asked or any(os.environ.get(name, "") not in {"", "0"} for name in names)


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
        rows = read_rows(self._verified(ref)[0])
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
        sums = [self._identity(ref) for ref in refs]
        return "+".join(sums) + (f"#{refs[0].part}" if refs[0].part else "")

    def table(
        self,
        path: Path,
        columns: Sequence[str],
        rename: Mapping[str, str],
        optional: Sequence[str] = (),
    ) -> list[Row]:
        """Read any file of rows with some columns.

        Args:
            path: JSON lines, CSV, TSV or Parquet.
            columns: Columns that every row must have.
            rename: Column to the name that it has in the file, where they differ.
            optional: Those of the columns that become None where a row has none.

        Raises:
            DataError: The file is missing or damaged, or lacks a column.
        """
        return renamed(read_table(path), columns, rename, str(path), optional)

    def table_sha256(
        self,
        path: Path,
        columns: Sequence[str],
        rename: Mapping[str, str],
        optional: Sequence[str] = (),
    ) -> str:
        """Identify the rows of any file, as ``rows:checksum`` over the columns.

        Raises:
            DataError: As ``table``.
        """
        if not path.is_file():
            raise DataError(f"{path}: no such file; the suite names it as its data")

        def summarise(path: Path) -> str:
            rows = self.table(path, columns, rename, optional)
            return f"{len(rows)}:{rows_sha256(rows, columns)}"

        missing = f"?[{','.join(optional)}]" if optional else ""
        tag = f"rows[{','.join(columns)}]{canonical_json(dict(rename))}{missing}"
        return self._hashes.sha256(path, tag, summarise)

    def hub_file(self, hub: HubSource, split: str, config: str | None = None) -> Path:
        """Fetch all rows of a data set on the hub once, into the cache.

        Raises:
            DataError: It cannot be fetched.
        """
        name = fingerprint([hub.path, hub.revision, split, config])
        label = f"{hub.path}@{hub.revision[:8]}:{split}"
        return self._cached(f"hub/{name}", label, lambda: load_from_hub(label, hub, split, config))

    def mteb_file(self, task: str, revision: str, split: str) -> Path:
        """Have mteb load all rows of one of its tasks once, into the cache.

        Raises:
            DataError: They cannot be loaded.
        """

        def load() -> list[Row]:
            from bench.integrations.mteb_rows import load_rows

            return load_rows(task, revision, split)

        name = fingerprint([task, revision, split])
        return self._cached(f"mteb/{name}", f"{task}:{split} of mteb", load)

    def _cached(self, name: str, label: str, load: Callable[[], list[Row]]) -> Path:
        path = self._cache / f"{name}.jsonl.gz"
        if not path.is_file():
            if self.offline:
                raise DataError(f"{label} is not in the cache and offline, so it was not fetched")
            write_rows(path, load())
        return path

    def has(self, text: str) -> bool:
        """Whether ``family/set:split[+split]`` is in the data folder or the cache."""
        return all(self._local(ref) is not None for ref in parse_refs(text))

    def file_sha256(self, path: Path) -> str:
        """Identify any file by its bytes."""
        return self._hashes.sha256(path)

    def _identity(self, ref: SplitRef) -> str:
        dataset = catalog()[ref.dataset]
        _, sha256 = self._verified(ref)
        if dataset.url is None or dataset.splits[ref.split].sha256 is not None:
            return sha256
        # The rows' own checksum stays in: it alone tells when someone edits the fetched file.
        return f"{dataset.url.sha256}:{ref.split}:{sha256}"

    def _verified(self, ref: SplitRef) -> tuple[Path, str]:
        dataset = catalog()[ref.dataset]
        path = self._find(ref, dataset)
        summary = partial(rows_summary, columns=dataset.columns)
        found = self._hashes.sha256(path, f"rows[{','.join(dataset.columns)}]", summary)
        if wrong := _mismatch(found, ref):
            raise DataError(f"{ref}: {path} has {wrong}; its rows were changed, get it anew")
        return path, found.partition(":")[2]

    def _find(self, ref: SplitRef, dataset: Dataset) -> Path:
        return self._local(ref) or self._fetch(ref, dataset)

    def _local(self, ref: SplitRef) -> Path | None:
        roots = [root for root in (self.folder, self._cache) if root is not None]
        paths = (root / ref.filename for root in roots)
        return next((path for path in paths if path.is_file()), None)

    def _fetch(self, ref: SplitRef, dataset: Dataset) -> Path:
        split = dataset.splits[ref.split]
        where = f"{self.folder / ref.filename} does not exist" if self.folder else "no data folder"
        how = f"pass --data FOLDER (or set BENCH_DATA) with {ref.filename} in it"
        if dataset.url is not None:
            raise DataError(f"{ref}: {where}; run 'bench data fetch {ref.dataset}', or {how}")
        if dataset.hub is None or split.hub_split is None:
            raise DataError(f"{ref}: {where}, and no hub copy is known; {how}")
        if self.offline:
            raise DataError(
                f"{ref}: {where}, and offline, so {dataset.hub.path} was not fetched; {how}"
            )
        try:
            rows = load_from_hub(str(ref), dataset.hub, split.hub_split)
        except DataError as error:
            raise DataError(f"{error}; {how}") from None
        path = self._cache / ref.filename
        write_rows(path, renamed(rows, dataset.columns, {}, str(ref)))
        return path


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


def state(path: Path, ref: SplitRef) -> str:
    """Compare a file with the catalog, afresh: ``ok``, ``missing``, or ``wrong: …``."""
    if not path.is_file():
        return "missing"
    try:
        wrong = _mismatch(rows_summary(path, catalog()[ref.dataset].columns), ref)
    except DataError as error:
        wrong = str(error).removeprefix(f"{path}: ")
    return f"wrong: {wrong}" if wrong else "ok"


def _mismatch(found: str, ref: SplitRef) -> str:
    count, _, sha256 = found.partition(":")
    return catalog()[ref.dataset].splits[ref.split].mismatch(int(count), sha256)


def load_from_hub(label: str, hub: HubSource, split: str, config: str | None = None) -> list[Row]:
    """Read all rows of a pinned data set on the hub.

    Raises:
        DataError: It cannot be fetched.
    """
    import datasets

    try:
        loaded = datasets.load_dataset(hub.path, config, revision=hub.revision, split=split)
    except Exception as error:
        raise DataError(f"{label}: {hub.path} cannot be fetched: {first_line(error)}") from None
    return [dict(row) for row in loaded]


def in_fixed_split(row: Row, columns: Sequence[str], part: str) -> bool:
    """Whether a row of a set without official splits is in ``train``, ``dev`` or ``test``.

    The split is 60/20/20 by the row's SHA-256, so that it never depends on order.
    """
    bucket = int(row_digest(row, columns)[:8], 16) % 5
    return part == ("train" if bucket < 3 else "dev" if bucket == 3 else "test")
