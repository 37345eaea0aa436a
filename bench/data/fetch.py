"""Fetching data sets: from the first source whose rows have the checksum of the catalog.

What others are made of is fetched too, into the cache. A set that cannot be fetched is named in the
end, and the others are there then. Nothing is kept whose checksum is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from bench.core.errors import DataError
from bench.core.files import out_of_room
from bench.core.fingerprint import fingerprint
from bench.core.locks import one_at_a_time
from bench.core.progress import Progress
from bench.core.words import megabytes, plural
from bench.data.catalog import Dataset, SplitRef, catalog, parse_refs, read_catalog
from bench.data.download import Downloads
from bench.data.formats import LocalFile
from bench.data.formats.opened import MOST_UNPACKED
from bench.data.hub import load_from_hub
from bench.data.places import locate, state
from bench.data.rows import Row, read_rows, renamed, rows_sha256, write_rows
from bench.data.sources import (
    DatasetSource,
    FilesSource,
    HubSource,
    MadeSource,
    RemoteFile,
    offers,
    total_bytes,
)
from bench.data.steps import Context, apply_steps, text_key

_DOWNLOADS = "downloads"
NOTHING = "nothing"


@dataclass(frozen=True)
class FilesTable:
    """Rows of public files that a suite names itself.

    Attributes:
        label: What they are called in an error.
        source: The files.
    """

    label: str
    source: FilesSource

    @property
    def filename(self) -> str:
        """Path below a data folder: by all that decides the rows."""
        return f"files/{fingerprint(self.source.model_dump(mode='json'))}.jsonl.gz"


@dataclass(frozen=True)
class Order:
    """What has to be fetched for some splits, each after what it is made of.

    Attributes:
        splits: Splits that are not here: those asked for, and those that they are made of.
        files: Public files of the first source of each.
        hub: Splits whose first source is the hub, which does not tell sizes.
    """

    splits: list[SplitRef] = field(default_factory=list)
    files: list[RemoteFile] = field(default_factory=list)
    hub: list[SplitRef] = field(default_factory=list)

    @property
    def size(self) -> str:
        """How much is downloaded, in words."""
        known = {file.sha256 for file in self.files if file.bytes}
        unknown = {file.sha256 for file in self.files} - known
        words = [
            f"{megabytes(total_bytes(self.files))} in {plural(len(known), 'file')}"
            if known
            else "",
            f"{plural(len(unknown), 'file')} of unknown size" if unknown else "",
            f"{plural(len(self.hub), 'split')} from the hub" if self.hub else "",
        ]
        return " and ".join(filter(None, words)) or NOTHING


class Fetcher:
    """Fetches splits of data sets.

    Args:
        to: Folder that gets ``<family>/<set>/<split>.jsonl.gz``.
        roots: Folders that may hold what others are made of.
        work: Folder for downloads, and for what others are made of and nobody asked for.
        mirror: Address to use in place of scheme and host of public files, or None; with one,
            files are tried before the hub.
        offline: Never use the hub.
        progress: Shows licences, downloads, and sources that fail.
    """

    def __init__(
        self,
        to: Path,
        *,
        roots: Sequence[Path],
        work: Path,
        mirror: str | None,
        offline: bool,
        progress: Progress,
    ) -> None:
        self._to = to
        self._roots = list(dict.fromkeys([to, *roots, work]))
        self._work = work
        self._mirror = mirror
        self._offline = offline
        self._progress = progress
        self._asked: frozenset[SplitRef] = frozenset()
        self._verified: set[SplitRef] = set()
        self._read: tuple[object, list[Row]] = (None, [])

    def order(self, refs: Iterable[SplitRef]) -> Order:
        """What fetching some splits would download."""
        order = Order()
        for ref in refs:
            self._add(SplitRef(ref.dataset, ref.split), order)
        return order

    def fetch(self, refs: Iterable[SplitRef], tables: Sequence[FilesTable] = ()) -> None:
        """Fetch splits, and tables of suites.

        Raises:
            DataError: Some cannot be fetched, or differ from the catalog; all others are there.
        """
        wanted = [SplitRef(ref.dataset, ref.split) for ref in refs]
        self._asked = frozenset(wanted)
        folder = self._work / _DOWNLOADS
        waiting = partial(self._progress.note, "  another run fetches data; waiting for it")
        with _space(folder), one_at_a_time(folder / ".lock", waiting):
            self._copy(wanted)
            order = self.order(wanted)
            tables = [table for table in tables if not (self._to / table.filename).is_file()]
            self._announce(order, tables)
            downloads = Downloads(folder, mirror=self._mirror, progress=self._progress)
            with downloads.running():
                files = [file for table in tables for file in table.source.files]
                downloads.start([*order.files, *files])
                failed = self._make_all(order, downloads) | self._make_tables(tables, downloads)
                downloads.remove()
        if failed:
            raise DataError(_summary(failed))

    def _copy(self, refs: Iterable[SplitRef]) -> None:
        """Take what lies elsewhere on this machine from there."""
        for ref in refs:
            path = locate(ref, self._roots[1:])
            if path is not None and not self._has(ref) and state(path, ref) == "ok":
                write_rows(self._to / ref.filename, read_rows(path))

    def _add(self, ref: SplitRef, order: Order) -> None:
        """Add a split and what it is made of, unless it is here."""
        if ref in order.splits or self._has(ref):
            return
        source = next(iter(self._sources(ref)), None)
        if isinstance(source, MadeSource | FilesSource):
            for needed in self._needs(source):
                self._add(needed, order)
        if isinstance(source, FilesSource):
            order.files.extend(source.files_of(ref.split))
        elif isinstance(source, HubSource):
            order.hub.append(ref)
        order.splits.append(ref)

    def _has(self, ref: SplitRef) -> bool:
        if ref in self._asked:
            # What was asked for by name is replaced where it was changed.
            return state(self._to / ref.filename, ref) == "ok"
        return locate(ref, self._roots) is not None

    def _needs(self, source: MadeSource | FilesSource) -> list[SplitRef]:
        """Splits that a source reads besides its own files."""
        parts = source.made_from if isinstance(source, MadeSource) else ()
        texts = [part.rows for part in parts]
        texts += [text for step in source.steps for text in step.refs]
        if any(step.reads_evaluation for step in source.steps):
            texts += read_catalog().evaluation
        return [ref for text in texts for ref in parse_refs(text)]

    def _sources(self, ref: SplitRef) -> list[DatasetSource]:
        known = [source for source in catalog()[ref.dataset].sources if offers(source, ref.split)]
        if self._offline:
            known = [source for source in known if not isinstance(source, HubSource)]
        if self._mirror:
            known.sort(key=lambda source: isinstance(source, HubSource))
        return known

    def _announce(self, order: Order, tables: Sequence[FilesTable]) -> None:
        """Say what is downloaded and under which licence, a line a set."""
        own = dict.fromkeys(ref.dataset for ref in order.splits if ref in self._asked)
        others = dict.fromkeys(ref.dataset for ref in order.splits if ref.dataset not in own)
        for name in own:
            self._announce_set(name)
        if others:
            self._progress.note("  and what these are made from, or must share no text with:")
        for name in others:
            self._announce_set(name)
        for table in tables:
            self._progress.note(f"  {table.label}: look up its licence yourself")
        if order.splits:
            self._progress.note(
                f"  downloading {order.size} for {plural(len(order.splits), 'split')}"
            )

    def _announce_set(self, name: str) -> None:
        dataset = catalog()[name]
        origins = dict.fromkeys(source.address for source in dataset.sources[:1])
        self._progress.note(f"  {name}: {dataset.licence}; {', '.join(origins) or 'no source'}")

    def _make_all(self, order: Order, downloads: Downloads) -> dict[str, str]:
        """Make the splits; why some could not be made, by their names."""
        failed: dict[str, str] = {}
        for ref in order.splits:
            try:
                self._make(ref, downloads)
            except DataError as error:
                failed[str(ref)] = str(error)
        return failed

    def _make(self, ref: SplitRef, downloads: Downloads) -> None:
        dataset, reasons = catalog()[ref.dataset], []
        for source in self._sources(ref):
            try:
                rows = self._rows(source, ref, dataset, downloads)
                _refuse_other(rows, ref, dataset)
            except DataError as error:
                reasons.append(str(error))
                self._progress.note(f"  {ref}: {error}")
                continue
            to = self._to if ref in self._asked else self._work
            write_rows(to / ref.filename, rows)
            self._verified.add(ref)
            return
        raise DataError("; ".join(reasons) or "no source is known")

    def _make_tables(self, tables: Sequence[FilesTable], downloads: Downloads) -> dict[str, str]:
        failed = {}
        for table in tables:
            try:
                rows = self._file_rows(table.source, table.source.files, "", downloads)
                write_rows(self._to / table.filename, rows)
            except DataError as error:
                failed[table.label] = str(error)
        return failed

    def _rows(
        self, source: DatasetSource, ref: SplitRef, dataset: Dataset, downloads: Downloads
    ) -> list[Row]:
        if isinstance(source, HubSource):
            rows = load_from_hub(str(ref), source, source.splits[ref.split])
            return renamed(rows, dataset.columns, {}, str(ref))
        if isinstance(source, FilesSource):
            return self._file_rows(source, source.files_of(ref.split), ref.split, downloads)
        return apply_steps(self._parts(source), source.steps, self._context(ref.split))

    def _file_rows(
        self,
        source: FilesSource,
        files: Sequence[RemoteFile],
        split: str,
        downloads: Downloads,
    ) -> list[Row]:
        local = [
            LocalFile(
                downloads.get(file),
                file.name,
                file.member,
                file.row,
                file.unpacked_bytes or MOST_UNPACKED,
            )
            for file in files
        ]
        # Splits of one dictionary, say, are made of the same files.
        if self._read[0] != local:
            self._read = (local, list(source.read.read(local)))
        return apply_steps(self._read[1], source.steps, self._context(split))

    def _parts(self, source: MadeSource) -> Iterator[Row]:
        for part in source.made_from:
            extra = {} if part.source is None else {"source": part.source}
            for row in self._other(part.rows):
                yield {new: row[old] for new, old in part.columns.items()} | extra

    def _context(self, split: str) -> Context:
        return Context(split, self._other, lambda: self._evaluation)

    def _other(self, text: str) -> list[Row]:
        """Rows of a set that another is made of, verified."""
        rows = []
        for ref in parse_refs(text):
            path = locate(ref, self._roots)
            if path is None:
                raise DataError(f"it is made of {ref}, which could not be fetched")
            if ref not in self._verified and (condition := state(path, ref)) != "ok":
                raise DataError(f"it is made of {ref}: {path} is {condition}")
            self._verified.add(ref)
            rows += read_rows(path)
        return rows

    @cached_property
    def _evaluation(self) -> frozenset[str]:
        """Keys of the texts of all evaluation splits."""
        keys = set()
        for text, columns in read_catalog().evaluation.items():
            for row in self._other(text):
                for value in (row[name] for name in columns):
                    texts = value if isinstance(value, list) else [value]
                    keys |= {text_key(sentence) for sentence in texts}
        return frozenset(keys)


def _refuse_other(rows: list[Row], ref: SplitRef, dataset: Dataset) -> None:
    try:
        sha256 = rows_sha256(rows, dataset.columns)
    except KeyError as error:
        raise DataError(f"the source has no column {error}") from None
    if wrong := dataset.splits[ref.split].mismatch(len(rows), sha256):
        raise DataError(f"the source has {wrong}; it was changed, nothing was written")


@contextmanager
def _space(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if (full := out_of_room(error)) is None:
            raise
        raise DataError(f"{folder}: {full}") from None


def _summary(failed: dict[str, str]) -> str:
    first = next(iter(failed))
    names = ", ".join(failed)
    return f"{len(failed)} could not be fetched ({names}): {first}: {failed[first]}"
