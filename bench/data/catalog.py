"""The sources of data: ``suites/datasets.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from bench.errors import UsageError
from bench.registry import did_you_mean

PARTS = ("train", "dev", "test")


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HubSource(_Table):
    """A data set on the hub, pinned."""

    path: str
    revision: str


class Split(_Table):
    """What is known of one split: rows, checksum over canonical rows, and its name on the hub."""

    rows: int
    sha256: str
    hub_split: str | None = None


class Dataset(_Table):
    """A data set: licence, the columns that count, and its splits."""

    licence: str
    columns: tuple[str, ...]
    splits: Mapping[str, Split]
    hub: HubSource | None = None


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
    known = catalog()
    if name not in known:
        hint = did_you_mean(name, known) or "datasets.toml lists the known ones"
        raise UsageError(f"unknown data set {name!r} in {text!r}; {hint}")
    for split in splits.split("+"):
        if split not in known[name].splits:
            raise UsageError(
                f"{name} has no split {split!r}; it has: {', '.join(known[name].splits)}"
            )
    return [SplitRef(name, split, part or None) for split in splits.split("+")]
