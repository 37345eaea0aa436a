"""Tables as text: for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Callable

from tabulate import tabulate

from bench.report.model import Row, Table

BELOW_BASE = "▼"
_OPTIONAL = ("Base", "Profile", "Dim", "Seeds")


def render(table: Table, *, markdown: bool = False, width: int | None = None) -> str:
    """Render a table; scores times 100.

    Columns that say the same in every row move to the caption, and those that a terminal has no
    room for are left out, the least telling first.

    Args:
        table: The table.
        markdown: GitHub Markdown instead of plain text.
        width: Columns of the terminal, or None for no limit.
    """
    shared = {name: _shared(table, _CELLS[name]) for name in _OPTIONAL}
    shown = [name for name in _OPTIONAL if shared[name] is None]
    text = _grid(table, shown, markdown)
    for name in ("Seeds", "Dim", "Profile"):
        if width is not None and name in shown and _width(text) > width:
            shown.remove(name)
            text = _grid(table, shown, markdown)
    facts = [
        f"{name.lower()} {value}" for name, value in shared.items() if value not in (None, "–")
    ]
    title = f"{table.suite}: {table.convention} convention" + "".join(f", {fact}" for fact in facts)
    head = f"### {title}" if markdown else title
    return "\n\n".join([head, text, *_notes(table)])


def _notes(table: Table) -> list[str]:
    lines = [
        "Spearman × 100; Avg is the mean of unrounded scores with its 95% bootstrap interval "
        "over items; ± is the standard deviation over seeds."
    ]
    if any(row.below_base for row in table.rows):
        lines.append(f"{BELOW_BASE} below its untrained base.")
    if limits := sorted({row.limit for row in table.rows if row.limit is not None}):
        lines.append(f"* partial: only the first {', '.join(map(str, limits))} rows of each task.")
    return [" ".join(lines)]


def _grid(table: Table, shown: list[str], markdown: bool) -> str:
    headers = ["Method", *shown, *table.rows[0].tasks, "Avg", "±", "95% CI"]
    if all(row.sd is None for row in table.rows):
        headers.remove("±")
    rows = [[_cell(row, header) for header in headers] for row in table.rows]
    align = ["left" if header in {"Method", "Base", "Profile"} else "right" for header in headers]
    return tabulate(
        rows,
        headers,
        tablefmt="github" if markdown else "simple",
        colalign=align,
        disable_numparse=True,
    )


def _cell(row: Row, header: str) -> str:
    if header in row.tasks:
        return f"{100 * row.tasks[header]:.2f}"
    return _CELLS[header](row)


def _method(row: Row) -> str:
    marks = (f" {BELOW_BASE}" if row.below_base else "") + (" *" if row.limit else "")
    return f"{row.spec}{marks}"


_CELLS: dict[str, Callable[[Row], str]] = {
    "Method": _method,
    "Base": lambda row: row.base,
    "Profile": lambda row: row.profile,
    "Dim": lambda row: str(row.dimension),
    "Seeds": lambda row: str(row.seeds),
    "Avg": lambda row: f"{100 * row.average:.2f}",
    "±": lambda row: "" if row.sd is None else f"{100 * row.sd:.2f}",
    "95% CI": lambda row: f"{100 * row.ci95[0]:.2f}–{100 * row.ci95[1]:.2f}",
}


def _shared(table: Table, cell: Callable[[Row], str]) -> str | None:
    values = {cell(row) for row in table.rows}
    return values.pop() if len(values) == 1 else None


def _width(text: str) -> int:
    return max(len(line) for line in text.splitlines())
