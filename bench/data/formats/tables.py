"""Formats of tables: CSV with quoting, JSON lines, and what ``read_table`` reads."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from bench.core.errors import DataError
from bench.data.formats.opened import Encoding, LocalFile, Options, opened, read_text, refuse_large
from bench.data.rows import Row, parse_row, read_table


class Csv(Options):
    """Values apart by a character, quoted where they hold it or a line end.

    Attributes:
        separator: The character.
        columns: Names by position, for files without a header; an empty name is left out.
        names: Column to its name in the header, for files with one.
        skip: First rows that are none.
        width: Number of values of a row; others are left out. By default another number than that
            of the header or of the columns is an error.
        strip: Whether blanks around values are dropped.
        encoding: Encoding of the text.
    """

    format: Literal["csv"]
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    columns: tuple[str, ...] = ()
    names: Mapping[str, str] = {}
    skip: Annotated[int, Field(ge=0)] = 0
    width: Annotated[int, Field(gt=0)] | None = None
    strip: bool = False
    encoding: Encoding = "utf-8-sig"

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read the rows of each file.

        Raises:
            DataError: A file is damaged, or a row has another number of values.
        """
        for file in files:
            text = io.StringIO(read_text(file, self.encoding))
            lines = csv.reader(text, delimiter=self.separator)
            try:
                yield from self._rows(lines, file)
            except csv.Error as error:
                raise DataError(f"{file.name}: row {lines.line_num}: {error}") from None

    def _rows(self, lines: Iterator[list[str]], file: LocalFile) -> Iterator[Row]:
        for _ in range(self.skip):
            next(lines, None)
        places, width = self._places(lines, file)
        for number, values in enumerate(lines, 1):
            if len(values) != width:
                if self.width is None and values:
                    raise DataError(
                        f"{file.name}: row {number}: {len(values)} values, expected {width}"
                    )
                continue
            cells = {name: values[place] for name, place in places.items()}
            yield {**file.row, **{k: v.strip() if self.strip else v for k, v in cells.items()}}

    def _places(self, lines: Iterator[list[str]], file: LocalFile) -> tuple[Mapping[str, int], int]:
        """Where each column stands, and how many values a row has."""
        if not self.names:
            places = {name: place for place, name in enumerate(self.columns) if name}
            return places, self.width or len(self.columns)
        header = next(lines, [])
        missing = [name for name in self.names.values() if name not in header]
        if missing:
            raise DataError(
                f"{file.name} has no column {missing[0]!r}; it has: {', '.join(header)}"
            )
        places = {ours: header.index(name) for ours, name in self.names.items()}
        return places, self.width or len(header)


class Json(Options):
    """A JSON object a line.

    Attributes:
        names: Column to the name that it has in the file; without any, all columns are kept.
    """

    format: Literal["json"]
    names: Mapping[str, str] = {}

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read the rows of each file, a line at a time.

        Raises:
            DataError: A file is damaged, or a line is not an object with these columns.
        """
        for file in files:
            with opened(file) as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield {**file.row, **self._row(line, f"{file.name}: line {number}")}

    def _row(self, line: bytes, where: str) -> Row:
        try:
            row = parse_row(line.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise DataError(f"{where} is not a JSON object") from None
        except ValueError as error:
            raise DataError(f"{where} {error}") from None
        missing = [name for name in self.names.values() if name not in row]
        if missing:
            raise DataError(f"{where} has no column {missing[0]!r}; it has: {', '.join(row)}")
        return {ours: row[name] for ours, name in self.names.items()} if self.names else row


class TableFormat(Options):
    """JSON lines, CSV, TSV or Parquet with a header, chosen by the end of the file's name."""

    format: Literal["table"] = "table"

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read the rows of each file.

        Raises:
            DataError: A file is damaged, or of another kind.
        """
        for file in files:
            refuse_large(file)
            for row in read_table(file.path):
                yield {**file.row, **row}
