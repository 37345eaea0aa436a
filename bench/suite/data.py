"""Where an entry of a suite says that its rows are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

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

    @property
    def named_split(self) -> str:
        """Split, as mteb's rows are asked for."""
        return self.split


class MtebTable(MtebData):
    """One table of a retrieval task of mteb.

    Attributes:
        table: Which of its three.
    """

    table: Literal["corpus", "queries", "qrels"]

    @property
    def named_split(self) -> str:
        """Split and table, as mteb's rows are asked for."""
        return f"{self.split}/{self.table}"


class BeirData(TomlTable):
    """A folder as BEIR lays it out: corpus.jsonl, queries.jsonl and qrels/<split>.tsv.

    Attributes:
        beir: Path relative to the suite's TOML.
        split: Split of the judgments.
    """

    beir: str
    split: str = "test"


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
    kinds = {"url": "files", "files": "files", "hub": "hub", "mteb": "mteb", "beir": "beir"}
    return next((kind for key, kind in kinds.items() if key in keys), "file")


_Named = Annotated[str, Tag("name")]
_File = Annotated[FileData, Tag("file")]
_Files = Annotated[FilesSource, AfterValidator(_own_files), Tag("files")]
_Hub = Annotated[HubData, Tag("hub")]
_Mteb = Annotated[MtebData, Tag("mteb")]
_Beir = Annotated[BeirData, Tag("beir")]

Data = Annotated[_Named | _File | _Files | _Hub | _Mteb, Discriminator(_data_kind)]
CollectionData = Annotated[
    _Named | _File | _Files | _Hub | _Mteb | _Beir, Discriminator(_data_kind)
]
