"""What views of several records share: names of rows, and columns that fit a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import fill

from tabulate import tabulate

from bench.core.escape import markdown, markdown_code, plain
from bench.records.entries import Record
from bench.report.marks import OTHER_PROTOCOL
from bench.report.table import RowKey, row_key
from bench.report.text import Style
from bench.verdicts.protocol import differing_protocols, most_common

# What rows are called.
Names = Mapping[RowKey, str]


def by_row(records: Sequence[Record]) -> Mapping[RowKey, list[Record]]:
    """Put the seeds of each row of the suite's table together."""
    rows: dict[RowKey, list[Record]] = {}
    for record in records:
        rows.setdefault(row_key(record), []).append(record)
    return rows


def label(first: Record, called: str | None = None) -> str:
    """Name of a row, with its profile where it was trained and its limit where it has one.

    Args:
        first: A record of the row.
        called: What to call the method; left out, its label with the spec behind it, or its spec.
    """
    method = first.method
    called = called or (f"{method.label} ({method.spec})" if method.label else method.spec)
    scale = f" {first.profile}" if method.trained else ""
    return f"{called}{scale}" + ("" if first.limit is None else f" first {first.limit}")


def names_of(rows: Mapping[RowKey, Sequence[Record]]) -> Names:
    """Labels of rows, with profile, what computed them and revision where two would look alike."""
    names = {key: label(records[0]) for key, records in rows.items()}
    alike = Counter(names.values())
    for key, name in names.items():
        if alike[name] > 1:
            profile = "" if rows[key][0].method.trained else key[1]
            names[key] = " ".join(filter(None, (name, profile, *key[3:])))
    return names


def shown_code(text: str, style: Style) -> str:
    """Text from elsewhere as the name of a method."""
    return markdown_code(text) if style == "markdown" else plain(text)


def shown_text(text: str, style: Style) -> str:
    """Text from elsewhere as words."""
    return markdown(text) if style == "markdown" else plain(text)


def heading(text: str, style: Style) -> str:
    """Heading of a view."""
    return f"### {markdown(text)}" if style == "markdown" else plain(text)


def note(text: str, width: int | None) -> str:
    """Notes below a view."""
    return text if width is None else fill(text, width)


def protocol_note(records: Sequence[Record], *, style: Style, width: int | None) -> list[str]:
    """Name the rows of a suite that were scored by another protocol than most, in one note.

    Args:
        records: Records of the suite, at least one.
        style: ``text`` or ``markdown``.
        width: Columns of the terminal, or None for no limit.

    Returns:
        The note, or nothing where all agree.
    """
    usual = most_common(records)
    others = {
        f"{label(record)} ({task}: {field})"
        for record in records
        for task, field in differing_protocols(usual, record).items()
    }
    if not others:
        return []
    text = (
        f"{OTHER_PROTOCOL} scored by another protocol than most here: "
        f"{'; '.join(sorted(others))}; run all again on the same suite."
    )
    return [note(shown_text(text, style), width)]


def grids(
    rows: Sequence[Sequence[str]],
    headers: Sequence[str],
    *,
    style: Style,
    width: int | None,
    kept: int = 1,
    left: int = 1,
) -> list[str]:
    """Render a table, and columns that do not fit in further ones below.

    Args:
        rows: Cells, as shown.
        headers: Names of the columns, as shown.
        style: ``text`` or ``markdown``.
        width: Columns of the terminal, or None for no limit.
        kept: Leading columns that every table repeats.
        left: Leading columns that are aligned to the left.
    """
    tables = []
    columns = list(range(kept, len(headers)))
    while columns:
        shown = len(columns)
        text = _grid(rows, headers, [*range(kept), *columns], style, left)
        while width is not None and shown > 1 and len(text.splitlines()[0]) > width:
            shown -= 1
            text = _grid(rows, headers, [*range(kept), *columns[:shown]], style, left)
        tables.append(text)
        columns = columns[shown:]
    return tables


def _grid(
    rows: Sequence[Sequence[str]],
    headers: Sequence[str],
    columns: Sequence[int],
    style: Style,
    left: int,
) -> str:
    return tabulate(
        [[row[column] for column in columns] for row in rows],
        [headers[column] for column in columns],
        tablefmt="pipe" if style == "markdown" else "simple",
        colalign=["left" if column < left else "right" for column in columns],
        disable_numparse=True,
    )
