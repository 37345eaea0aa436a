"""The sources of data: ``suites/datasets.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.errors import UsageError
from bench.registry import did_you_mean

PARTS = ("train", "dev", "test")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HubSource(_Table):
    """A data set on the hub, pinned."""

    path: str
    revision: str

    @property
    def name(self) -> str:
        """What lists call it."""
        return self.path

    @property
    def address(self) -> str:
        """Where exactly it is."""
        return f"{self.path}@{self.revision[:8]} on the hub"


class UrlSource(_Table):
    """A file or zip archive, pinned by the checksum of its bytes."""

    url: Annotated[str, Field(pattern=r"^https://")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    @property
    def name(self) -> str:
        """What lists call it."""
        return urlsplit(self.url).netloc

    @property
    def address(self) -> str:
        """Where exactly it is."""
        return self.url


class Split(_Table):
    """What is known of one split.

    Attributes:
        rows: Number of rows.
        sha256: Checksum over the canonical rows; that of a URL's file can stand in for it.
        hub_split: Its name on the hub.
        member: Its path in the zip archive of a URL.
        columns: Column to the name that it has in the file of a URL, where they differ.
        skip: Column in the file of a URL to the values whose rows are dropped.
    """

    rows: int
    sha256: str | None = None
    hub_split: str | None = None
    member: Annotated[str, Field(pattern=r"\.jsonl$")] | None = None
    columns: Mapping[str, str] = Field(default_factory=dict)
    skip: Mapping[str, tuple[str | int, ...]] = Field(default_factory=dict)

    def mismatch(self, rows: int, sha256: str) -> str:
        """Say how rows differ from what is known, or return an empty string."""
        if rows != self.rows:
            return f"{rows} rows, expected {self.rows}"
        if self.sha256 is not None and sha256 != self.sha256:
            return f"checksum {sha256[:12]}…, expected {self.sha256[:12]}…"
        return ""


class Dataset(_Table):
    """A data set: licence, the columns that count, its splits, and at most one source."""

    licence: str
    columns: tuple[str, ...]
    splits: Mapping[str, Split]
    hub: HubSource | None = None
    url: UrlSource | None = None

    @property
    def source(self) -> HubSource | UrlSource | None:
        """Where it can be fetched."""
        return self.hub or self.url

    @model_validator(mode="after")
    def _pinned(self) -> Dataset:
        if self.hub and self.url:
            raise ValueError("hub and url exclude each other")
        for name, split in self.splits.items():
            if (split.hub_split is None) != (self.hub is None):
                raise ValueError(f"split {name}: hub and hub_split go together")
            if self.url is None and split.sha256 is None:
                raise ValueError(f"split {name}: without a url it needs a sha256")
            if self.url is None and (split.member or split.columns or split.skip):
                raise ValueError(f"split {name}: member, columns and skip need a url")
        return self


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


@cache
def catalog() -> Mapping[str, Dataset]:
    """All known data sets."""
    text = (files("bench.suites") / "datasets.toml").read_text(encoding="utf-8")
    return {name: Dataset.model_validate(table) for name, table in tomllib.loads(text).items()}


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
    """Splits of ``family/set:split``, or of ``family/set`` all, each once.

    Raises:
        UsageError: The data set or a split is not in the catalog.
    """
    found: list[SplitRef] = []
    for name in names:
        text = name if ":" in name else f"{name}:{'+'.join(_splits(name, name))}"
        found += [SplitRef(ref.dataset, ref.split) for ref in parse_refs(text)]
    return list(dict.fromkeys(found))


def _splits(name: str, text: str) -> Mapping[str, Split]:
    known = catalog()
    if name not in known:
        hint = did_you_mean(name, known) or "'bench data list' shows the known ones"
        raise UsageError(f"unknown data set {name!r} in {text!r}; {hint}")
    return known[name].splits
