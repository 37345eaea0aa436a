"""Rows and texts by name, checked against the catalog: data folder first, then the hub."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bench.core.errors import DataError, UsageError
from bench.core.files import write_atomic
from bench.core.fingerprint import FileHashes, canonical_json, fingerprint
from bench.core.progress import Progress, Silent
from bench.data.catalog import SplitRef, catalog, parse_refs
from bench.data.download import check_mirror
from bench.data.fetch import Fetcher, FilesTable
from bench.data.hub import fetch_hub_file, hub_file, load_from_hub
from bench.data.places import embedded, locate, mismatch, rows_summary
from bench.data.rows import Row, read_rows, read_table, renamed, row_digest, rows_sha256, write_rows
from bench.data.sources import FilesSource, HubSource
from bench.data.values import refuse_unwritable, typed

_Loaded = TypeVar("_Loaded")
LoadRows: TypeAlias = Callable[[str, str, str], list[Row]]


def find_folder(given: str | Path | None) -> Path | None:
    """Data folder that is given, else that of ``BENCH_DATA``, else None.

    Raises:
        UsageError: It is not an existing folder.
    """
    folder = given or os.environ.get("BENCH_DATA")
    if folder and not Path(folder).is_dir():
        reason = "is not a folder" if Path(folder).exists() else "does not exist"
        raise UsageError(f"data folder {folder} {reason}; correct --data or BENCH_DATA")
    return Path(folder) if folder else None


def find_mirror(given: str | None) -> str | None:
    """Mirror that is given, else that of ``BENCH_MIRROR``, else None.

    Raises:
        UsageError: It is not an address.
    """
    mirror = given or os.environ.get("BENCH_MIRROR") or None
    check_mirror(mirror)
    return mirror


def is_offline(asked: bool) -> bool:
    """Whether the network is out of bounds: by option, or by an environment variable."""
    names = ("BENCH_OFFLINE", "HF_HUB_OFFLINE")
    return asked or any(os.environ.get(name, "") not in {"", "0"} for name in names)


class DataAccess:
    """Access to the data sets of the catalog, and to others that suites name.

    What is in none of the places is fetched into the cache.

    Args:
        folder: Data folder, ``<family>/<set>/<split>.jsonl.gz``, or None.
        cache: Folder for what was fetched, in the same form.
        hashes: Checksums of files seen before.
        offline: Never use the network.
        mirror: Address to use in place of scheme and host of public files, or None.
        progress: Shows downloads.
    """

    def __init__(
        self,
        folder: Path | None,
        cache: Path,
        hashes: FileHashes,
        *,
        offline: bool,
        mirror: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.folder = folder
        self.cache = cache
        self.offline = offline
        self.mirror = mirror
        self.hashes = hashes
        self.progress = progress or Silent()
        self._last: tuple[str, Any] | None = None

    def remembered(self, key: str, load: Callable[[], _Loaded]) -> _Loaded:
        """Load what several steps of a run read one after the other; only the last is kept.

        Args:
            key: Tells what is loaded.
            load: Loads it, if it is not what was loaded last.
        """
        if self._last is None or self._last[0] != key:
            self._last = None
            self._last = key, load()
        loaded: _Loaded = self._last[1]
        return loaded

    @property
    def roots(self) -> list[Path]:
        """Folders that are searched, first things first."""
        return [*([self.folder] if self.folder else []), self.cache, embedded()]

    @property
    def may_fetch(self) -> bool:
        """Whether files may be fetched: with a network, or from a folder used in place of it."""
        return not self.offline or (self.mirror or "").startswith("file://")

    def fetcher(self, to: Path | None = None) -> Fetcher:
        """What fetches into a folder, by default the cache."""
        return Fetcher(
            to or self.cache,
            roots=self.roots,
            work=self.cache,
            mirror=self.mirror,
            offline=self.offline,
            progress=self.progress,
        )

    def locate(self, ref: SplitRef) -> Path | None:
        """File of a split, or None where it is in none of the places."""
        return locate(ref, self.roots)

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
        return typed(renamed(read_table(path), columns, rename, str(path), optional), columns)

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
            try:
                return f"{len(rows)}:{rows_sha256(rows, columns)}"
            except (TypeError, ValueError):
                refuse_unwritable(rows, columns, str(path), rename)
                raise

        missing = f"?[{','.join(optional)}]" if optional else ""
        tag = f"rows[{','.join(columns)}]{canonical_json(dict(rename))}{missing}"
        return self.hashes.sha256(path, tag, summarise)

    @staticmethod
    def hub_name(hub: HubSource, split: str) -> str:
        """Path below a data folder of rows on the hub."""
        return f"hub/{fingerprint([hub.hub, hub.revision, split, hub.config])}.jsonl.gz"

    @staticmethod
    def mteb_name(task: str, revision: str, split: str) -> str:
        """Path below a data folder of rows that mteb loads."""
        return f"mteb/{fingerprint([task, revision, split])}.jsonl.gz"

    @staticmethod
    def hub_cache(root: Path) -> Path:
        """Cache of the hub below a data folder."""
        return root / "hub-cache"

    def hub_file(self, hub: HubSource, split: str, to: Path | None = None) -> Path:
        """Fetch all rows of a data set on the hub once, by default into the cache.

        Raises:
            DataError: It cannot be fetched.
        """
        label = f"{hub.hub}@{hub.revision[:8]}:{split}"
        name = self.hub_name(hub, split)
        return self._once(name, label, lambda: load_from_hub(label, hub, split), to)

    def mteb_file(
        self, task: str, revision: str, split: str, load: LoadRows, to: Path | None = None
    ) -> Path:
        """Have mteb load all rows of one of its tasks once, by default into the cache.

        Args:
            task: Name of the task.
            revision: Commit of its data.
            split: Split.
            load: Loads them by these three.
            to: Data folder.

        Raises:
            DataError: They cannot be loaded.
        """
        name = self.mteb_name(task, revision, split)
        return self._once(name, f"{task}:{split} of mteb", lambda: load(task, revision, split), to)

    def files_table(self, source: FilesSource, label: str) -> Path:
        """Fetch all rows of public files that a suite names once, into the cache.

        Raises:
            DataError: They cannot be fetched.
        """
        table = FilesTable(label, source)
        path = self.kept(table.filename)
        if path is not None:
            return path
        if not self.may_fetch:
            raise DataError(f"{label} is not here, and cannot be fetched offline")
        self.fetcher().fetch([], [table])
        return self.cache / table.filename

    def find_corpus(self, repository: str, filename: str) -> Path | None:
        """Find a file of a data set on the hub in the places, or in the hub's own cache."""
        return hub_file(repository, filename, [*map(self.hub_cache, self.roots), None])

    def corpus_file(self, repository: str, filename: str) -> Path:
        """Fetch a file of a data set on the hub once; its commit is that of the first time.

        Raises:
            DataError: It cannot be fetched.
        """
        path = self.find_corpus(repository, filename)
        if path is None and self.offline:
            raise DataError(
                f"{filename} of {repository} is not here, and cannot be fetched offline"
            )
        return path or fetch_hub_file(repository, filename, self.hub_cache(self.cache))

    def model_folder(self, name: str, find: Callable[[bool], Path]) -> Path:
        """Find or fetch a model of the hub, in the cache of the hub's own library.

        Args:
            name: ``org/name``, or with ``@revision``.
            find: Returns its folder; told not to use the network, from that cache alone.

        Raises:
            DataError: It cannot be fetched.
        """
        return find(self.offline)

    def unpublished_file(self, name: str, label: str, how: str) -> Path:
        """Find a file that nobody publishes, so that its user has to lay it somewhere.

        Args:
            name: Its path below a data folder.
            label: What it is called.
            how: Where it can be had.

        Raises:
            DataError: It is in none of the places.
        """
        path = self.kept(name)
        if path is None:
            raise DataError(f"{label} is not here: {how}")
        return path

    def kept(self, name: str) -> Path | None:
        """A file by its path below the places, or None."""
        return next((root / name for root in self.roots if (root / name).is_file()), None)

    def _once(self, name: str, label: str, load: Callable[[], list[Row]], to: Path | None) -> Path:
        path = self.kept(name)
        if path is None:
            if self.offline:
                raise DataError(f"{label} is not in the cache, and cannot be fetched offline")
            path = (to or self.cache) / name
            write_rows(path, load())
        elif to is not None and not path.is_relative_to(to):
            write_atomic(to / name, path.read_bytes())
        return path

    def has(self, text: str) -> bool:
        """Whether ``family/set:split[+split]`` is in one of the places."""
        return all(self.locate(ref) is not None for ref in parse_refs(text))

    def file_sha256(self, path: Path) -> str:
        """Identify any file by its bytes."""
        return self.hashes.sha256(path)

    def _identity(self, ref: SplitRef) -> str:
        dataset = catalog()[ref.dataset]
        _, sha256 = self._verified(ref)
        if dataset.splits[ref.split].sha256 is not None:
            return sha256
        # The rows' own checksum stays in: it alone tells when someone edits the fetched file.
        pinned = "+".join(dict.fromkeys(file.sha256 for file in dataset.pinned_files(ref.split)))
        return f"{pinned}:{ref.split}:{sha256}"

    def _verified(self, ref: SplitRef) -> tuple[Path, str]:
        columns = catalog()[ref.dataset].columns
        path = self.locate(ref) or self._fetched(ref)
        summary = partial(rows_summary, columns=columns)
        try:
            digest = self.hashes.sha256(path, f"rows[{','.join(columns)}]", summary)
        except DataError as error:
            raise DataError(f"{ref}: {error}; delete it to have it downloaded again") from None
        if wrong := mismatch(digest, ref):
            raise DataError(
                f"{ref}: {path} has {wrong}; its rows were changed, delete it to have it "
                "downloaded again"
            )
        return path, digest.partition(":")[2]

    def _fetched(self, ref: SplitRef) -> Path:
        if not self.may_fetch:
            where = f"not in {self.folder} nor" if self.folder else "not"
            raise DataError(
                f"{ref} is {where} in the cache, and cannot be fetched offline; run 'bench data "
                f"fetch {ref}' with a network, or pass --data FOLDER (or set BENCH_DATA) "
                f"with {ref.filename} in it"
            )
        self.fetcher().fetch([ref])
        path = self.locate(ref)
        if path is None:
            raise AssertionError(f"{ref} was fetched, but is not there")
        return path


def in_fixed_split(row: Row, columns: Sequence[str], part: str) -> bool:
    """Whether a row of a set without official splits is in ``train``, ``dev`` or ``test``.

    The split is 60/20/20 by the row's SHA-256, so that it never depends on order.
    """
    bucket = int(row_digest(row, columns)[:8], 16) % 5
    return part == ("train" if bucket < 3 else "dev" if bucket == 3 else "test")
