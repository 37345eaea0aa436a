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
    """One split of a data set, e.g. ``sts/sts12:test``."""

    dataset: str
    split: str

    def __str__(self) -> str:
        return f"{self.dataset}:{self.split}"

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
    """Parse ``family/set:split`` with further splits joined by ``+``.

    Raises:
        UsageError: The data set or a split is not in the catalog.
    """
    name, _, splits = text.partition(":")
    known = catalog()
    if name not in known:
        hint = did_you_mean(name, known) or "datasets.toml lists the known ones"
        raise UsageError(f"unknown data set {name!r} in {text!r}; {hint}")
    for split in splits.split("+"):
        if split not in known[name].splits:
            raise UsageError(
                f"{name} has no split {split!r}; it has: {', '.join(known[name].splits)}"
            )
    return [SplitRef(name, split) for split in splits.split("+")]
