"""Values of a user's own rows: is each what its column holds?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.data.rows import Row
from bench.errors import DataError
from bench.fingerprint import canonical_json

LISTS = {"positive", "negative"}


def checked(
    rows: Sequence[Row],
    columns: Sequence[str],
    where: str,
    *,
    optional: Sequence[str] = (),
    blank: bool = False,
) -> list[Row]:
    """Check rows, and make numbers of scores that are texts.

    Args:
        rows: Rows that have all columns.
        columns: The columns to check.
        where: What the rows are called in an error.
        optional: Those of them that may be None.
        blank: Whether texts may be blank, which is for the task to say.

    Raises:
        DataError: There are no rows, or a value is not what its column holds.
    """
    if not rows:
        raise DataError(f"{where} has no rows")
    found = []
    for number, row in enumerate(rows, 1):
        given = [one for one in columns if one not in optional or row[one] is not None]
        try:
            values = {column: _value(column, row[column], blank=blank) for column in given}
            found.append({**row, **values})
            canonical_json(found[-1]).encode()
        except ValueError as error:
            raise DataError(f"{where}: row {number}: {error}; mend the table") from None
    return found


def _value(column: str, value: Any, *, blank: bool) -> Any:
    if column == "score":
        return _number(value)
    if column == "label":
        if not isinstance(value, str | int | float) or value == "":
            raise ValueError("label is missing")
        return value
    if column in LISTS and not isinstance(value, list):
        raise ValueError(f"{column} is not a list of texts")
    for text in value if column in LISTS else [value]:
        if not isinstance(text, str):
            raise ValueError(f"{column} is not a text: {text!r}")
        if not blank and not text.strip():
            raise ValueError(f"{column} is an empty text")
    return value


def _number(value: Any) -> int | float:
    # One cell without a number makes texts of the whole column of a CSV file.
    number = value if isinstance(value, int | float) else _parsed(value)
    if not math.isfinite(number):
        raise ValueError(f"score is not a number: {value!r}")
    return number


def _parsed(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
