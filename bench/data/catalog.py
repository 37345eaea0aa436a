"""The sources of data: ``suites/datasets.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

from pydantic import model_validator

from bench.core.errors import UsageError
from bench.core.registry import did_you_mean
from bench.core.toml import TomlTable
from bench.data.sources import DatasetSource, FilesSource, RemoteFile, Sha256, offers

PARTS = ("train", "dev", "test")


class Split(TomlTable):
    """What is known of one split.

    Attributes:
        rows: Number of rows.
        sha256: Checksum over the canonical rows; where there is none, those of the files of its
            source is used in place of it.
    """

    rows: int
    sha256: Sha256 | None = None

    def mismatch(self, rows: int, sha256: str) -> str:
        """Say how rows differ from what is known, or return an empty string."""
        if rows != self.rows:
            return f"{rows} rows, expected {self.rows}"
        if self.sha256 is not None and sha256 != self.sha256:
            return f"checksum {sha256[:12]}…, expected {self.sha256[:12]}…"
        return ""


class Dataset(TomlTable):
    """A data set: licence, the columns that count, its splits, and where they can be had.

    Attributes:
        licence: Licence or terms, as the source states them.
        columns: Columns that the checksums are over.
        splits: Its splits.
        sources: Tried in this order; none for a set that comes with the package.
    """

    licence: str
    columns: tuple[str, ...]
    splits: Mapping[str, Split]
    sources: tuple[DatasetSource, ...] = ()

    @model_validator(mode="after")
    def _pinned(self) -> Dataset:
        for name, split in self.splits.items():
            if split.sha256 is None and not self.pinned_files(name):
                raise ValueError(f"split {name}: without files it needs a sha256")
        for source in self.sources:
            if unknown := set(source.splits or ()) - set(self.splits):
                raise ValueError(f"a source has an unknown split {min(unknown)!r}")
        return self

    def source_of(self, split: str) -> DatasetSource | None:
        """The first source that has a split."""
        return next((source for source in self.sources if offers(source, split)), None)

    def pinned_files(self, split: str) -> tuple[RemoteFile, ...]:
        """The files of the first source of files that has a split."""
        for source in self.sources:
            if isinstance(source, FilesSource) and offers(source, split):
                return source.files_of(split)
        return ()


class Catalog(TomlTable):
    """All known data sets.

    Attributes:
        datasets: Data sets by name.
        evaluation: Splits that methods are scored on, and their columns of text: training sets
            that are made of others hold none of these texts.
    """

    datasets: dict[str, Dataset]
    evaluation: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class SplitRef:
    """One split of a data set, e.g. ``sts/sts12:test``.

    Attributes:
        dataset: Name in the catalog.
        split: Name of the split.
        part: ``train``, ``dev`` or ``test`` of a split that its publisher left whole.
    """

    dataset: str
    split: str
    part: str | None = None

    def __str__(self) -> str:
        return f"{self.dataset}:{self.split}" + (f"#{self.part}" if self.part else "")

    @property
    def filename(self) -> str:
        """Path below a data folder."""
        return f"{self.dataset}/{self.split}.jsonl.gz"


def catalog() -> dict[str, Dataset]:
    """All known data sets by name."""
    return read_catalog().datasets


@cache
def read_catalog() -> Catalog:
    """``suites/datasets.toml``."""
    text = (files("bench.suites") / "datasets.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    evaluation = tables.pop("evaluation")
    return Catalog.model_validate({"datasets": tables, "evaluation": evaluation})


def dataset_of(ref: str) -> str:
    """Data set of ``family/set:split…``, as ``family/set``, which need not be in the catalog."""
    return ref.partition(":")[0]


def parse_refs(text: str) -> list[SplitRef]:
    """Parse ``family/set:split[+split]``, or with ``#part`` at the end a part of each split.

    Raises:
        UsageError: The data set or a split is not in the catalog, or the part is none.
    """
    whole, _, part = text.partition("#")
    name, _, splits = whole.partition(":")
    if part not in {"", *PARTS}:
        raise UsageError(f"unknown part {part!r} in {text!r}; choose {', '.join(PARTS)}")
    known = _splits(name, text)
    for split in splits.split("+"):
        if split not in known:
            raise UsageError(f"{name} has no split {split!r}; it has: {', '.join(known)}")
    return [SplitRef(name, split, part or None) for split in splits.split("+")]


def parse_names(names: Iterable[str]) -> list[SplitRef]:
    """Splits by ``family/set:split``, all of ``family/set``, of a pattern (``sts/*``), or ``all``.

    Raises:
        UsageError: The data set or a split is not in the catalog, or a pattern fits nothing.
    """
    refs: list[SplitRef] = []
    for name in names:
        for match in _matching(name):
            text = match if ":" in match else f"{match}:{'+'.join(_splits(match, match))}"
            refs += [SplitRef(ref.dataset, ref.split) for ref in parse_refs(text)]
    return list(dict.fromkeys(refs))


def _matching(name: str) -> list[str]:
    if name == "all":
        return list(catalog())
    if not any(mark in name for mark in "*?["):
        return [name]
    pattern, _, split = name.partition(":")
    matching = [dataset for dataset in catalog() if fnmatchcase(dataset, pattern)]
    if split:
        matching = [
            f"{dataset}:{own}"
            for dataset in matching
            for own in catalog()[dataset].splits
            if fnmatchcase(own, split)
        ]
    if not matching:
        raise UsageError(f"{name!r} matches no data set; 'bench data list' shows the known ones")
    return matching


def _splits(name: str, text: str) -> Mapping[str, Split]:
    known = catalog()
    if name not in known:
        hint = did_you_mean(name, known) or "'bench data list' shows the known ones"
        raise UsageError(f"unknown data set {name!r} in {text!r}; {hint}")
    return known[name].splits
