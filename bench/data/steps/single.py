"""Steps that look at one row at a time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from bench.core.errors import DataError
from bench.data.rows import Row
from bench.data.steps.base import BaseStep, Context, Pattern

_LOWER_LETTER = re.compile(r"[a-z]")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_LOST = "\ufffd"


class Only(BaseStep):
    """Keeps the rows in which a column matches a regular expression."""

    step: Literal["only"]
    column: str
    pattern: Pattern

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Leave out the rows that do not match anywhere."""
        pattern = re.compile(self.pattern)
        return (row for row in rows if pattern.search(row[self.column]))


class Replace(BaseStep):
    """Replaces what matches a regular expression, and then drops blanks around texts."""

    step: Literal["replace"]
    columns: tuple[str, ...]
    pattern: Pattern
    by: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Replace in each of the columns."""
        pattern = re.compile(self.pattern)
        for row in rows:
            new = {name: pattern.sub(self.by, row[name]).strip() for name in self.columns}
            yield {**row, **new}


class Fill(BaseStep):
    """Makes a column of others, by a template such as ``{title} {text}``."""

    step: Literal["fill"]
    column: str
    template: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Add the column."""
        return ({**row, self.column: self.template.format_map(row)} for row in rows)


class Values(BaseStep):
    """Replaces whole values; one that is not named is an error."""

    step: Literal["values"]
    column: str
    values: Mapping[str, str | int]

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Replace the value of each row.

        Raises:
            DataError: A value has no replacement.
        """
        for number, row in enumerate(rows, 1):
            if row[self.column] not in self.values:
                raise DataError(f"row {number}: {self.column} is {row[self.column]!r}")
            yield {**row, self.column: self.values[row[self.column]]}


class Number(BaseStep):
    """Makes numbers of texts."""

    step: Literal["number"]
    column: str
    type: Literal["int", "float"]

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Parse the value of each row.

        Raises:
            DataError: A value is not a number, or not a whole one where it has to be.
        """
        for number, row in enumerate(rows, 1):
            value = self._parsed(str(row[self.column]))
            if value is None:
                raise DataError(
                    f"row {number}: {self.column} is {row[self.column]!r}, not a number"
                )
            yield {**row, self.column: value}

    def _parsed(self, text: str) -> int | float | None:
        if self.type == "int" and _WHOLE.fullmatch(text.strip()):
            return int(text)
        try:
            value = float(text.replace("_", "?"))
        except ValueError:
            return None
        if not math.isfinite(value) or (self.type == "int" and not value.is_integer()):
            return None
        return int(value) if self.type == "int" else value


class Lower(BaseStep):
    """Puts a column in lower case, without blanks around it."""

    step: Literal["lower"]
    column: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Change the value of each row."""
        return ({**row, self.column: row[self.column].strip().lower()} for row in rows)


class Gather(BaseStep):
    """Makes one list of several columns."""

    step: Literal["gather"]
    columns: tuple[str, ...]
    into: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Replace the columns by the list."""
        for row in rows:
            rest = {name: value for name, value in row.items() if name not in self.columns}
            yield {**rest, self.into: [row[name] for name in self.columns]}


class Flatten(BaseStep):
    """Makes a row of each text of a list."""

    step: Literal["flatten"]
    column: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Flatten the rows that have a list; the others stay."""
        for row in rows:
            value = row[self.column]
            for text in value if isinstance(value, list) else [value]:
                yield {**row, self.column: text}


class Sentences(BaseStep):
    """Keeps texts that are sentences by their length, with single blanks between words.

    One without a lower-case letter, or in which a character was lost, is left out.

    Attributes:
        column: Column of the text.
        least: Fewest words.
        most: Most words.
    """

    step: Literal["sentences"]
    column: str
    least: int
    most: int

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Leave out the others."""
        for row in rows:
            words = row[self.column].split()
            text = " ".join(words)
            fits = self.least <= len(words) <= self.most and _LOST not in text
            if fits and _LOWER_LETTER.search(text):
                yield {**row, self.column: text}
