"""Where the rows of a data set can be had: public files, the hub, or other data sets.

Sources are models of pydantic, so that ``suites/datasets.toml`` and the TOML of a suite name them
in the same words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urljoin, urlsplit

from pydantic import Discriminator, Field, Tag, model_validator

from bench.core.toml import TomlTable
from bench.data.formats import Format
from bench.data.formats.tables import TableFormat
from bench.data.steps import Step

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# Of files whose size nobody pinned.
MOST_BYTES = 2_000_000_000
# What means something in an address; a blank, say, is written in another way there.
_ADDRESS = ":/?&=%#+,;@"


class RemoteFile(TomlTable):
    """A public file, pinned by the checksum of its bytes.

    Attributes:
        url: Its address; in a source that says ``at``, relative to that.
        sha256: Checksum of its bytes.
        bytes: Its size, where it is known.
        split: The split whose rows it holds, or None where all splits are made of it.
        member: The member to read, where it is a zip archive.
        row: Columns that all its rows share.
        unpacked_bytes: Bytes that it, or each member that is read, may unpack to.
    """

    url: str
    sha256: Sha256
    bytes: Annotated[int, Field(gt=0)] | None = None
    split: str | None = None
    member: str | None = None
    row: Mapping[str, str | int | float] = {}
    # A limit decides no rows, so that it is no part of what identifies them.
    unpacked_bytes: int | None = Field(None, gt=0, exclude=True)

    @property
    def most_bytes(self) -> int:
        """Size beyond which a download is given up."""
        return self.bytes or MOST_BYTES

    @property
    def name(self) -> str:
        """The end of its address."""
        return urlsplit(self.url).path.rpartition("/")[2]


class FilesSource(TomlTable):
    """Public files, each pinned.

    Attributes:
        files: The files, in the order of their rows.
        at: Address that those of the files are relative to.
        read: Their format, by default a table that the end of the name tells.
        steps: What becomes of the rows.
    """

    files: Annotated[tuple[RemoteFile, ...], Field(min_length=1)]
    at: str = ""
    read: Format = TableFormat()
    steps: tuple[Step, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _one_file(cls, given: Any) -> Any:
        """A source of one file may name it without a list."""
        if not isinstance(given, Mapping) or "url" not in given:
            return given
        own = {key: given[key] for key in RemoteFile.model_fields if key in given}
        return {key: given[key] for key in given if key not in own} | {"files": [own]}

    @model_validator(mode="after")
    def _addresses(self) -> FilesSource:
        files = [
            file.model_copy(update={"url": urljoin(self.at, quote(file.url, safe=_ADDRESS))})
            for file in self.files
        ]
        for file in files:
            parts = urlsplit(file.url)
            if file.member is not None and isinstance(self.read, TableFormat):
                raise ValueError("member goes with the formats tsv, beside, csv, json, …")
            if parts.scheme != "https" or not parts.netloc:
                raise ValueError(f"{file.url!r} is not an address that starts with https://")
        # A frozen model can be completed only past its own guard.
        object.__setattr__(self, "files", tuple(files))
        return self

    @property
    def kind(self) -> str:
        """One word for lists."""
        return "files"

    @property
    def splits(self) -> tuple[str, ...] | None:
        """The splits it has, or None where it has all."""
        named = dict.fromkeys(file.split for file in self.files if file.split is not None)
        return tuple(named) or None

    def files_of(self, split: str) -> tuple[RemoteFile, ...]:
        """The files that a split is made of."""
        return tuple(file for file in self.files if file.split in (None, split))

    @property
    def address(self) -> str:
        """Where it is: the host, and the first names below it."""
        parts = urlsplit(self.files[0].url)
        return parts.netloc + "/".join(parts.path.split("/")[:3])


class HubSource(TomlTable):
    """A data set on the hub, pinned.

    Attributes:
        hub: Its id, ``org/name``.
        revision: Commit.
        splits: Name that each of our splits has there.
        config: Configuration, where it has several.
    """

    hub: str
    revision: str
    splits: Mapping[str, str] = {}
    config: str | None = None

    @property
    def kind(self) -> str:
        """One word for lists."""
        return "hub"

    @property
    def address(self) -> str:
        """Where it is."""
        return f"{self.hub}@{self.revision[:8]} on the hub"


class MadePart(TomlTable):
    """Rows of another data set.

    Attributes:
        rows: ``family/set:split[+split]``.
        columns: Column to the name that it has there; the others are left out.
        source: Value of the column ``source`` of these rows.
    """

    rows: str
    columns: Mapping[str, str]
    source: str | None = None


class MadeSource(TomlTable):
    """Rows made of those of other data sets.

    Attributes:
        made_from: The others, in the order of their rows.
        split: The split that is made, or None for all.
        steps: What becomes of the rows.
    """

    made_from: Annotated[tuple[MadePart, ...], Field(min_length=1)]
    split: str | None = None
    steps: tuple[Step, ...] = ()

    @property
    def kind(self) -> str:
        """One word for lists."""
        return "made"

    @property
    def splits(self) -> tuple[str, ...] | None:
        """The split it has, or None where it has all."""
        return (self.split,) if self.split else None

    @property
    def address(self) -> str:
        """Where it is."""
        return "other sets"


def _kind(given: Any) -> str:
    keys = given if isinstance(given, Mapping) else type(given).model_fields
    return "hub" if "hub" in keys else "made" if "made_from" in keys else "files"


DatasetSource = Annotated[
    Annotated[FilesSource, Tag("files")]
    | Annotated[HubSource, Tag("hub")]
    | Annotated[MadeSource, Tag("made")],
    Discriminator(_kind),
]


def split_bytes(source: FilesSource | HubSource | MadeSource, split: str) -> int | None:
    """Bytes to download for a split, or None where nobody knows."""
    if not isinstance(source, FilesSource):
        return None
    files = source.files_of(split)
    return None if any(file.bytes is None for file in files) else total_bytes(files)


def offers(source: FilesSource | HubSource | MadeSource, split: str) -> bool:
    """Whether a source has a split."""
    return source.splits is None or split in source.splits


def total_bytes(files: Sequence[RemoteFile]) -> int:
    """Bytes of files, each once; those of unknown size count nothing."""
    return sum({file.sha256: file.bytes or 0 for file in files}.values())
