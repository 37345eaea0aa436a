"""Values of a user's own rows: is each what its column holds?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from bench.core.errors import DataError
from bench.core.fingerprint import canonical_json
from bench.data.rows import Row

LISTS = {"positive", "negative"}
TARGETS = {"label", "score"}
_IDS = ("id", "query_id", "document_id")
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]{0,14}))(?:\.0+)?")
# Longer numbers are identifiers, and stay texts.
_LONG = 10**15


def checked(
    rows: Sequence[Row],
    columns: Sequence[str],
    where: str,
    *,
    names: Mapping[str, str],
    optional: Sequence[str] = (),
) -> list[Row]:
    """Check rows that ``typed`` has given their form.

    Args:
        rows: Rows that have all columns.
        columns: The columns to check.
        where: What the rows are called in an error.
        names: Column to the name that it has in the file, where they differ.
        optional: Those of them that may be None.

    Raises:
        DataError: There are no rows, or a value is not what its column holds.
    """
    if not rows:
        raise DataError(f"{where} has no rows")
    valid = []
    for number, cells in enumerate(rows, 1):
        # A file of texts alone has nothing else to say that there is none.
        row = {**cells, **{column: None for column in optional if cells[column] == ""}}
        given = [column for column in columns if column not in optional or row[column] is not None]
        try:
            values = {
                column: _value(column, row[column], names.get(column, column)) for column in given
            }
            canonical_json(values).encode()
            valid.append({**row, **values})
        except ValueError as error:
            raise DataError(f"{where}: row {number}: {error}; correct the table") from None
    return valid


def refuse_unwritable(
    rows: Sequence[Row], columns: Sequence[str], where: str, names: Mapping[str, str]
) -> None:
    """Refuse values that JSON cannot hold, as a Parquet file may have them.

    Args:
        rows: Rows that have all columns.
        columns: The columns to check.
        where: What the rows are called in an error.
        names: Column to the name that it has in the file, where they differ.

    Raises:
        DataError: There is one.
    """
    for number, row in enumerate(rows, 1):
        for column in columns:
            try:
                canonical_json(row[column]).encode()
            except (TypeError, ValueError):
                kind, shown = type(row[column]).__name__, str(row[column])[:40]
                raise DataError(
                    f"{where}: row {number}: {names.get(column, column)} is {shown!r} ({kind}), "
                    "neither a text nor a number; correct the table"
                ) from None


def refuse_blank(
    rows: Sequence[Row], columns: Sequence[str], where: str, *, names: Mapping[str, str]
) -> None:
    """Refuse texts of nothing but white space, also within lists.

    Args:
        rows: Rows that have all columns.
        columns: Columns; those of labels and scores are left out.
        where: What the rows are called in an error.
        names: Column to the name that it has in the file, where they differ.

    Raises:
        DataError: There is one; row, column and place in a list are named.
    """
    texts = [column for column in columns if column not in TARGETS]
    for number, row in enumerate(rows, 1):
        for column in texts:
            for place in _blank(row[column]):
                raise DataError(
                    f"{where}: row {number}: {place}{names.get(column, column)} is an empty text; "
                    "correct the table"
                )


def _blank(value: Any) -> Iterator[str]:
    """Where in a cell a text is blank; nothing for a text that is a cell of its own."""
    if isinstance(value, str) and not value.strip():
        yield ""
    elif isinstance(value, list):
        for number, text in enumerate(value, 1):
            if isinstance(text, str) and not text.strip():
                yield f"text {number} of "


def typed(rows: Sequence[Row], columns: Sequence[str]) -> list[Row]:
    """Give scores and labels the form that they have whatever the format of their file.

    A score that is the text of a number becomes that number. A label is the same class in every
    file: ``1``, ``1.0`` and the text ``1`` are one, ``01`` is another, and so are ``0.5`` and the
    text ``0.5``; truth values are the texts ``True`` and ``False``. A whole number that is an
    identifier is its digits. All else stays, for ``checked`` to judge.
    """
    makers = {"score": _score, "label": _label, **dict.fromkeys(_IDS, _identifier)}
    found = {column: makers[column] for column in columns if column in makers}
    return [{**row, **{name: make(row[name]) for name, make in found.items()}} for row in rows]


def _score(value: Any) -> Any:
    if isinstance(value, Decimal) and value.is_finite():
        return float(value)
    if isinstance(value, str):
        number = _parsed(value)
        return number if math.isfinite(number) else value
    return value


def _identifier(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _label(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, int):
        return value if abs(value) < _LONG else str(value)
    if isinstance(value, str) and (whole := _WHOLE.fullmatch(value)):
        return int(whole[1])
    return value


def _value(column: str, value: Any, name: str) -> Any:
    if column == "score":
        return _number(value, name)
    if column == "label":
        undefined = isinstance(value, float) and math.isnan(value)
        if value is None or value == "" or undefined:
            raise ValueError(f"{name} is missing")
        if not isinstance(value, str | int | float):
            raise ValueError(f"{name} is neither a text nor a number: {value!r}")
        return value
    if column in LISTS and not isinstance(value, list):
        raise ValueError(f"{name} is not a list of texts")
    for text in value if column in LISTS else [value]:
        if not isinstance(text, str):
            raise ValueError(f"{name} is not a text: {text!r}")
    return value


def _number(value: Any, name: str) -> int | float:
    number = value if isinstance(value, int | float) else _parsed(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(f"{name} is not a number: {value!r}")
    return number


def _parsed(value: Any) -> float:
    # Python would take 1_000 for a number.
    if not isinstance(value, str) or "_" in value:
        return math.nan
    try:
        return float(value)
    except ValueError:
        return math.nan
