"""Fetching data sets of the catalog into a folder; nothing is kept whose checksum is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from bench.data.access import load_from_hub
from bench.data.catalog import SplitRef, UrlSource, catalog
from bench.data.rows import Row, read_table, renamed, rows_sha256, write_rows
from bench.errors import DataError, UsageError
from bench.progress import Progress

MB = 1_000_000
_TIMEOUT_SECONDS = 60


def check_fetchable(refs: Iterable[SplitRef], *, mirror: str | None, offline: bool) -> None:
    """Check that all can be fetched, without fetching.

    Raises:
        UsageError: The mirror is no address.
        DataError: A data set has no source, or its source needs the network while offline.
    """
    if mirror is not None and not mirror.startswith(("http://", "https://", "file://")):
        raise UsageError(f"mirror {mirror!r} is no address; use http://, https:// or file://")
    for ref in refs:
        source = catalog()[ref.dataset].source
        if source is None:
            raise _no_source(ref)
        pinned = isinstance(source, UrlSource)
        if offline and not (pinned and (mirror or "").startswith("file://")):
            how = "allow the network" + (", or pass --mirror file:///FOLDER" if pinned else "")
            raise DataError(f"{ref}: offline, so {source.address} was not fetched; {how}")


class Fetcher:
    """Fetches splits of data sets.

    Args:
        to: Folder that gets ``<family>/<set>/<split>.jsonl.gz``.
        mirror: Address that stands in for scheme and host of pinned URLs, or None; see
            ``check_fetchable``.
        progress: Told of each download.
    """

    def __init__(self, to: Path, *, mirror: str | None, progress: Progress) -> None:
        self._to = to
        self._mirror = mirror
        self._progress = progress

    def fetch(self, refs: Iterable[SplitRef]) -> None:
        """Fetch splits; the file of a URL is downloaded once for all its splits.

        Raises:
            DataError: A source cannot be read, or differs from the catalog.
        """
        by_dataset: dict[str, list[SplitRef]] = {}
        for ref in refs:
            by_dataset.setdefault(ref.dataset, []).append(ref)
        for name, wanted in by_dataset.items():
            url = catalog()[name].url
            if url is None:
                for ref in wanted:
                    self._write(ref, _hub_rows(ref))
            else:
                self._from_url(url, wanted)

    def _from_url(self, source: UrlSource, refs: Sequence[SplitRef]) -> None:
        with self._downloaded(source) as path:
            for ref in refs:
                self._write(ref, list(_file_rows(path, ref)))

    def _write(self, ref: SplitRef, rows: list[Row]) -> None:
        dataset = catalog()[ref.dataset]
        found = rows_sha256(rows, dataset.columns)
        if wrong := dataset.splits[ref.split].mismatch(len(rows), found):
            raise DataError(f"{ref}: the source has {wrong}; it was changed, nothing was written")
        write_rows(self._to / ref.filename, rows)

    @contextmanager
    def _downloaded(self, source: UrlSource) -> Iterator[Path]:
        address = self._address(source)
        self._to.mkdir(parents=True, exist_ok=True)
        # The end of the name tells how to read the file.
        suffix = f"-{Path(urlsplit(source.url).path).name}"
        handle, temporary = tempfile.mkstemp(dir=self._to, prefix=".", suffix=suffix)
        try:
            with os.fdopen(handle, "wb") as stream:
                sha256 = self._copy(address, stream)
            if sha256 != source.sha256:
                raise DataError(
                    f"{address} has checksum {sha256[:12]}…, expected {source.sha256[:12]}…; "
                    "it was changed or cut short, nothing was kept"
                )
            yield Path(temporary)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _address(self, source: UrlSource) -> str:
        if self._mirror is None:
            return source.url
        return (
            self._mirror.rstrip("/") + urlsplit(source.url)._replace(scheme="", netloc="").geturl()
        )

    def _copy(self, address: str, stream: BinaryIO) -> str:
        digest = hashlib.sha256()
        for chunk in self._chunks(address):
            digest.update(chunk)
            stream.write(chunk)
        return digest.hexdigest()

    def _chunks(self, address: str) -> Iterator[bytes]:
        try:
            # The catalog allows https only, check_fetchable knows the schemes of mirrors.
            with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
                size = int(response.headers.get("Content-Length") or 0)
                self._progress.start(f"{address}, MB", size // MB + 1)
                done = 0
                while chunk := response.read(MB):
                    yield chunk
                    done += len(chunk)
                    self._progress.advance(done // MB + 1)
        except (OSError, ValueError, HTTPException) as error:
            raise DataError(
                f"{address} cannot be fetched: {error}; check the network, or pass --mirror URL"
            ) from None


def _no_source(ref: SplitRef) -> DataError:
    return DataError(
        f"{ref} cannot be fetched: no source is known; "
        f"pass --data FOLDER (or set BENCH_DATA) with {ref.filename} in it"
    )


def _hub_rows(ref: SplitRef) -> list[Row]:
    dataset = catalog()[ref.dataset]
    split = dataset.splits[ref.split].hub_split
    if dataset.hub is None or split is None:
        raise _no_source(ref)
    return renamed(load_from_hub(str(ref), dataset.hub, split), dataset.columns, {}, str(ref))


def _file_rows(path: Path, ref: SplitRef) -> Iterator[Row]:
    dataset = catalog()[ref.dataset]
    split = dataset.splits[ref.split]
    rows = read_table(path) if split.member is None else _member_rows(path, split.member)
    names = {column: split.columns.get(column, column) for column in dataset.columns}
    for number, row in enumerate(rows, 1):
        try:
            if not any(row[column] in values for column, values in split.skip.items()):
                yield {column: row[name] for column, name in names.items()}
        except KeyError as error:
            raise DataError(f"{ref}: row {number} of the source has no column {error}") from None


def _member_rows(path: Path, member: str) -> Iterator[Row]:
    # Read as a stream: a path from the archive is never written.
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as lines:
            for line in lines:
                if line.strip():
                    yield json.loads(line)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise DataError(f"{path}: {member} cannot be read: {error}") from None
