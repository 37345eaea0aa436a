"""What would be read and is not here: an access that reads nothing, for planning with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.core.errors import DataError
from bench.data.access import DataAccess, LoadRows
from bench.data.catalog import SplitRef, parse_refs
from bench.data.fetch import NOTHING, FilesTable
from bench.data.hub import fetch_hub_file
from bench.data.places import state
from bench.data.sources import FilesSource, HubSource


class Needs(DataAccess):
    """Notes what is asked for and is in none of the places, in place of reading it.

    The identities it gives mean nothing. Files that suites and methods name by path are left
    alone.

    Args:
        data: The access that can fetch what is missing.
        places: Folders that count as here, by default those of the access.
    """

    def __init__(self, data: DataAccess, places: Sequence[Path] | None = None) -> None:
        super().__init__(
            data.folder,
            data.cache,
            data.hashes,
            offline=data.offline,
            mirror=data.mirror,
            progress=data.progress,
        )
        self._data = data
        self._places = data.roots if places is None else [*places]
        self.asked: list[SplitRef] = []
        self._changed: dict[SplitRef, str] = {}
        self._tables: list[FilesTable] = []
        self._others: dict[str, Callable[[DataAccess, Path], Path]] = {}
        self._models: dict[str, str] = {}
        self._unpublished: dict[str, str] = {}
        self._absent: set[Path] = set()

    def __bool__(self) -> bool:
        return bool(self.labels)

    @property
    def roots(self) -> list[Path]:
        """Folders that count as here."""
        return self._places

    @property
    def splits(self) -> list[SplitRef]:
        """Splits that are missing, or whose copy is refused."""
        return [ref for ref in self.asked if self._is_missing(ref)]

    @property
    def tables(self) -> list[FilesTable]:
        """Tables of public files that are missing."""
        return [table for table in self._tables if self.kept(table.filename) is None]

    @property
    def labels(self) -> list[str]:
        """Names of all that is missing."""
        return [*map(str, self.splits), *(table.label for table in self.tables), *self._others]

    @property
    def unpublished(self) -> dict[str, str]:
        """What is missing and nobody publishes, each with how to make it."""
        return {name: how for name, how in self._unpublished.items() if name in self._others}

    @property
    def models(self) -> dict[str, str]:
        """Models of the hub that are missing, each with what was said where it was looked for."""
        return {name: said for name, said in self._models.items() if name in self._others}

    @property
    def size(self) -> str:
        """How much would be downloaded, in words."""
        order = self._data.fetcher().order(self.splits)
        order.files.extend(file for table in self.tables for file in table.source.files)
        hub = len(self._others) - len(self.unpublished)
        others = f"{hub} from the hub" if hub else ""
        words = order.size if order.files or order.hub else ""
        return " and ".join(filter(None, [words, others])) or NOTHING

    def refuse_changed(self) -> dict[SplitRef, str]:
        """Compare all that is here with the catalog, and count as missing what differs.

        Returns:
            How each of these differs.
        """
        for ref in self.asked:
            path = self.locate(ref)
            if path is not None and (condition := state(path, ref)) != "ok":
                self._changed[ref] = condition
        return self._changed

    def _is_missing(self, ref: SplitRef) -> bool:
        path = self.locate(ref)
        return path is None or (ref in self._changed and state(path, ref) != "ok")

    def ask(self, refs: Iterable[SplitRef]) -> None:
        """Ask for splits."""
        for ref in refs:
            whole = SplitRef(ref.dataset, ref.split)
            if whole not in self.asked:
                self.asked.append(whole)

    def fetch(self, to: Path | None = None) -> None:
        """Fetch it all into a folder, by default the cache.

        Raises:
            DataError: Some cannot be fetched; all others are there.
        """
        failed = []
        try:
            if self.splits or self.tables:
                self._data.fetcher(to).fetch(self.splits, self.tables)
        except DataError as error:
            failed.append(str(error))
        for label, load in [*self._others.items()]:
            self._data.progress.note(f"  {label}: from the hub")
            try:
                load(self._data, to or self._data.cache)
                del self._others[label]
            except DataError as error:
                failed.append(str(error))
        if failed:
            raise DataError("; ".join(failed))

    def sha256(self, text: str) -> str:
        """Note splits that are not here."""
        self.ask(parse_refs(text))
        return text

    def hub_file(self, hub: HubSource, split: str, to: Path | None = None) -> Path:
        """Note rows on the hub that are not here."""
        name = self.hub_name(hub, split)

        def load(data: DataAccess, folder: Path) -> Path:
            return data.hub_file(hub, split, folder)

        if self.kept(name) is None:
            self._others[f"{hub.hub}@{hub.revision[:8]}:{split}"] = load
        return Path(name)

    def mteb_file(
        self, task: str, revision: str, split: str, load: LoadRows, to: Path | None = None
    ) -> Path:
        """Note rows of a task of mteb that are not here."""
        name = self.mteb_name(task, revision, split)

        def fetch(data: DataAccess, folder: Path) -> Path:
            return data.mteb_file(task, revision, split, load, folder)

        if self.kept(name) is None:
            self._others[f"{task}:{split} of mteb"] = fetch
        return Path(name)

    def files_table(self, source: FilesSource, label: str) -> Path:
        """Note rows of public files that are not here."""
        table = FilesTable(label, source)
        if table not in self._tables:
            self._tables.append(table)
        return Path(table.filename)

    def unpublished_file(self, name: str, label: str, how: str) -> Path:
        """Note a file that is not here and cannot be fetched."""

        def load(data: DataAccess, folder: Path) -> Path:
            return data.unpublished_file(name, label, how)

        path = self.kept(name)
        if path is None:
            self._unpublished[label] = how
            self._others[label] = load
            self._absent.add(Path(name))
        return path or Path(name)

    def file_sha256(self, path: Path) -> str:
        """Identify a file, and one that is noted as missing by its path."""
        return str(path) if path in self._absent else super().file_sha256(path)

    def model_folder(self, name: str, find: Callable[[bool], Path]) -> Path:
        """Note a model of the hub that is not here."""
        try:
            return find(True)
        except DataError as error:
            self._models[name] = str(error)

        def load(data: DataAccess, folder: Path) -> Path:
            return data.model_folder(name, find)

        self._others[name] = load
        return Path("hub") / name

    def corpus_file(self, repository: str, filename: str) -> Path:
        """Note a file on the hub that is not here."""
        path = self.find_corpus(repository, filename)

        def load(data: DataAccess, folder: Path) -> Path:
            return fetch_hub_file(repository, filename, data.hub_cache(folder))

        if path is None:
            self._others[f"{filename} of {repository}"] = load
        return path or Path("hub") / filename
