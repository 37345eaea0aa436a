"""Formats of one row a line, in which no character is a quote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from bench.core.errors import DataError
from bench.data.formats.opened import Encoding, LocalFile, Options, read_lines
from bench.data.rows import Row


class Tsv(Options):
    """Columns apart by tabs, without quoting: a ``"`` is a character like any other.

    Attributes:
        columns: Names by position; what stands under an empty name, or after the last one, is
            left out. One name alone takes the whole line.
        skip: First lines that are not rows.
        drop_last: Whether the last line is left out, where a file was cut within it.
        width: Number of columns of a row; lines with another are left out. By default every line
            is a row, and one with too few columns an error.
        strip: Whether blanks around values are dropped.
        encoding: Encoding of the text.
    """

    format: Literal["tsv"]
    columns: tuple[str, ...]
    skip: Annotated[int, Field(ge=0)] = 0
    drop_last: bool = False
    width: Annotated[int, Field(gt=0)] | None = None
    strip: bool = False
    encoding: Encoding = "utf-8-sig"

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read the rows of each file.

        Raises:
            DataError: A file is damaged, or a line has too few columns.
        """
        for file in files:
            lines = read_lines(file, self.encoding)
            for number, line in enumerate(lines[: -1 if self.drop_last else None], 1):
                if number > self.skip and self.width in (None, line.count("\t") + 1):
                    where = f"{file.name}: line {number}"
                    yield {**file.row, **_columns(line, self.columns, where, strip=self.strip)}


class Beside(Options):
    """Files beside each other: line n of each belongs to row n, e.g. texts and their labels.

    Attributes:
        columns: For each of the files that lie beside each other, the columns of its lines, as
            those of ``Tsv``. Files come in groups of as many.
        strip: Whether blanks around values are dropped.
        encoding: Encoding of the texts.
    """

    format: Literal["beside"]
    columns: tuple[tuple[str, ...], ...]
    strip: bool = False
    encoding: Encoding = "utf-8-sig"

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read the rows of each group of files.

        Raises:
            DataError: A file is damaged, or files beside each other have different lengths.
        """
        size = len(self.columns)
        if len(files) % size:
            raise DataError(f"{len(files)} files do not make groups of {size}")
        for start in range(0, len(files), size):
            yield from self._group(files[start : start + size])

    def _group(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        texts = [read_lines(file, self.encoding) for file in files]
        if len({len(lines) for lines in texts}) > 1:
            counts = ", ".join(f"{f.name} {len(t)}" for f, t in zip(files, texts, strict=True))
            raise DataError(f"files read side by side differ in their numbers of lines: {counts}")
        shared = {name: value for file in files for name, value in file.row.items()}
        for number, lines in enumerate(zip(*texts, strict=True), 1):
            row: Row = dict(shared)
            for file, line, names in zip(files, lines, self.columns, strict=True):
                where = f"{file.name}: line {number}"
                row |= _columns(line, names, where, strip=self.strip)
            yield row


class LabelFirst(Options):
    """A label, a blank, and a text that may hold blanks.

    Attributes:
        label: Name of the first column.
        text: Name of the second one.
        encoding: Encoding of the text.
    """

    format: Literal["label_first"]
    label: str = "label"
    text: str = "text"
    encoding: Encoding = "utf-8-sig"

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read the rows of each file; blanks around texts are dropped.

        Raises:
            DataError: A file is damaged, or a line has no blank.
        """
        for file in files:
            for number, line in enumerate(read_lines(file, self.encoding), 1):
                label, blank, text = line.partition(" ")
                if not blank:
                    raise DataError(f"{file.name}: line {number}: expected a label and a text")
                yield {**file.row, self.label: label, self.text: text.strip()}


def _columns(line: str, names: Sequence[str], where: str, *, strip: bool) -> dict[str, str]:
    values = [line] if len(names) == 1 else line.split("\t")
    if len(values) < len(names):
        raise DataError(f"{where}: {len(values)} columns, expected {len(names)}")
    pairs = zip(names, values, strict=False)
    return {name: value.strip() if strip else value for name, value in pairs if name}
