"""Where an entry of a suite says that its rows are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from bench.core.toml import TomlTable
from bench.data.sources import FilesSource


class FileData(TomlTable):
    """Rows of a file: JSON lines, CSV, TSV or Parquet, by the end of its name.

    Attributes:
        file: Path relative to the suite's TOML.
        sha256: Checksum over the canonical rows; unchecked where left out.
        rows: Number of rows; unchecked where left out.
    """

    file: str
    sha256: str | None = None
    rows: Annotated[int, Field(gt=0)] | None = None


class HubData(TomlTable):
    """Rows of a data set on the hub.

    Attributes:
        hub: Its id, e.g. ``org/name``.
        revision: Commit, so that rows never change unnoticed.
        split: Split.
        config: Configuration, where the data set has several.
    """

    hub: str
    revision: str
    split: str
    config: str | None = None


class MtebData(TomlTable):
    """Rows of a task of mteb, loaded by mteb itself.

    Attributes:
        mteb: Name of the task, whose kind must be that of ours.
        revision: Commit of its data that the installed mteb must name too.
        split: Split.
    """

    mteb: str
    revision: str
    split: str


def _own_files(source: FilesSource) -> FilesSource:
    """Refuse what only the catalog can say of its files."""
    if any(file.split is not None for file in source.files):
        raise ValueError("split is for the catalog; name the files of each part in its own data")
    if any(step.refs or step.reads_evaluation for step in source.steps):
        raise ValueError("step unlike is for the catalog, which knows the other sets")
    return source


def _data_kind(given: Any) -> str:
    if isinstance(given, str):
        return "name"
    keys = given if isinstance(given, Mapping) else type(given).model_fields
    kinds = {"url": "files", "files": "files", "hub": "hub", "mteb": "mteb"}
    return next((kind for key, kind in kinds.items() if key in keys), "file")


Data = Annotated[
    Annotated[str, Tag("name")]
    | Annotated[FileData, Tag("file")]
    | Annotated[FilesSource, AfterValidator(_own_files), Tag("files")]
    | Annotated[HubData, Tag("hub")]
    | Annotated[MtebData, Tag("mteb")],
    Discriminator(_data_kind),
]
