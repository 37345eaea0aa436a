"""Values of a user's own rows: is each what its column holds?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from bench.data.rows import Row
from bench.errors import DataError
from bench.fingerprint import canonical_json

LISTS = {"positive", "negative"}
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]{0,14}))(?:\.0+)?")


def checked(
    rows: Sequence[Row],
    columns: Sequence[str],
    where: str,
    *,
    optional: Sequence[str] = (),
    blank: bool = False,
) -> list[Row]:
    """Check rows that ``typed`` has given their form.

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
            raise DataError(f"{where}: row {number}: {error}; correct the table") from None
    return found


def typed(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """Give scores and labels the form that they have whatever the format of their file.

    A score that is the text of a number becomes that number. A label is the same class in every
    file: ``1``, ``1.0`` and the text ``1`` are one, ``01`` is another; truth values are the texts
    ``True`` and ``False``. All else stays, for ``checked`` to judge.
    """
    makers = {"score": _score, "label": _label}
    found = {column: makers[column] for column in columns if column in makers}
    return [{**row, **{name: make(row[name]) for name, make in found.items()}} for row in rows]


def _score(value: Any) -> Any:
    if isinstance(value, str):
        number = _parsed(value)
        return number if math.isfinite(number) else value
    return value


def _label(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and (whole := _WHOLE.fullmatch(value)):
        return int(whole[1])
    return value


def _value(column: str, value: Any, *, blank: bool) -> Any:
    if column == "score":
        return _number(value)
    if column == "label":
        undefined = isinstance(value, float) and math.isnan(value)
        if not isinstance(value, str | int | float) or value == "" or undefined:
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
    number = value if isinstance(value, int | float) else _parsed(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"score is not a number: {value!r}")
    return number


def _parsed(value: Any) -> float:
    # Python would take 1_000 for a number.
    if not isinstance(value, str) or "_" in value:
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan
