"""A downloaded file, opened: its bytes, those of a gzip file, or those of a zip's member."""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Annotated

from pydantic import AfterValidator

from bench.core.errors import DataError
from bench.core.toml import TomlTable

# Where the catalog sets no limit: far more than any file of rows is packed by, and far less than
# an archive that fills a disk.
MOST_UNPACKED = 2_000_000_000


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise ValueError(str(error)) from None
    return name


Encoding = Annotated[str, AfterValidator(_known_encoding)]


class Options(TomlTable):
    """Base of all formats."""


@dataclass(frozen=True)
class LocalFile:
    """A file that was downloaded.

    Attributes:
        path: Where it lies, under any name.
        name: Its name at the source, whose end says whether it is packed.
        member: The member to read, where it is a zip archive.
        row: Columns that all its rows share.
        most_bytes: Bytes that its content, or that of a member, may unpack to.
    """

    path: Path
    name: str
    member: str | None = None
    row: Mapping[str, str | int | float] = field(default_factory=dict)
    most_bytes: int = MOST_UNPACKED


@contextmanager
def opened(file: LocalFile) -> Iterator[IO[bytes]]:
    """Open the content as a stream; a path inside an archive is never written anywhere.

    Raises:
        DataError: The file is damaged, has no such member, or unpacks to more than it may.
    """
    try:
        if file.member is not None:
            with zipfile.ZipFile(file.path) as archive:
                _refuse_large(file, archive.getinfo(file.member).file_size)
                with archive.open(file.member) as stream:
                    yield stream
        elif file.name.endswith(".gz"):
            with gzip.open(file.path) as packed:
                content = packed.read(file.most_bytes + 1)
            _refuse_large(file, len(content))
            yield io.BytesIO(content)
        else:
            with file.path.open("rb") as stream:
                yield stream
    except (zipfile.BadZipFile, KeyError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        inside = f": {file.member}" if file.member else ""
        raise DataError(f"{file.name}{inside} cannot be read: {error}") from None


def members(file: LocalFile) -> list[str]:
    """Names of the members of a zip archive, sorted.

    Raises:
        DataError: It is none.
    """
    try:
        with zipfile.ZipFile(file.path) as archive:
            return sorted(archive.namelist())
    except zipfile.BadZipFile as error:
        raise DataError(f"{file.name} cannot be read: {error}") from None


def read_text(file: LocalFile, encoding: str = "utf-8-sig") -> str:
    """Read the whole content as text; line ends stay as they are.

    Raises:
        DataError: It is damaged or in another encoding, or unpacks to more than it may.
    """
    with opened(file) as stream:
        content = stream.read(file.most_bytes + 1)
    _refuse_large(file, len(content))
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{file.name} cannot be read as {encoding}: {error.reason}") from None


def read_lines(file: LocalFile, encoding: str = "utf-8-sig") -> list[str]:
    """Read the lines: only a newline, or a return before it, ends one.

    Raises:
        DataError: As ``read_text``.
    """
    lines = read_text(file, encoding).replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def refuse_large(file: LocalFile) -> None:
    """Refuse a gzip file that unpacks to more than it may, before anybody unpacks it whole.

    Raises:
        DataError: It does, or is damaged.
    """
    if file.name.endswith(".gz"):
        with opened(file):
            return


def _refuse_large(file: LocalFile, size: int) -> None:
    if size > file.most_bytes:
        inside = f": {file.member}" if file.member else ""
        raise DataError(
            f"{file.name}{inside} unpacks to more than {file.most_bytes:,} bytes; where that is "
            "right, set unpacked_bytes of the file"
        )
