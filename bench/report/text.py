"""Tables as text: for a terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Callable

from tabulate import tabulate

from bench.record import Interval
from bench.report.model import Row, Table

BELOW_BASE = "▼"
IMPORTED = "†"
CONTAMINATED = "‡"
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
    average = "Avg is the mean of unrounded scores"
    if any(row.ci95 for row in table.rows):
        average += " with its 95% bootstrap interval over items"
    if any(row.sd is not None for row in table.rows):
        average += "; ± is the standard deviation over seeds"
    lines = [f"{_units(table)} × 100; {average}."]
    if any(row.below_base for row in table.rows):
        lines.append(f"{BELOW_BASE} below its untrained base.")
    if shares := [share for row in table.rows for share in row.contaminated.values()]:
        lines.append(
            f"{CONTAMINATED} training text holds up to {100 * max(shares):.1f}% of the test texts."
        )
    if any(row.imported for row in table.rows):
        lines.append(f"{IMPORTED} from result files of mteb, not measured here.")
    if limits := sorted({row.limit for row in table.rows if row.limit is not None}):
        lines.append(f"* partial: only the first {', '.join(map(str, limits))} rows of each task.")
    return [" ".join(lines)]


def _units(table: Table) -> str:
    tasks: dict[str, list[str]] = {}
    for task, metric in table.metrics.items():
        tasks.setdefault(metric, []).append(task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return ", ".join(f"{metric} ({', '.join(names)})" for metric, names in tasks.items())


def _grid(table: Table, shown: list[str], markdown: bool) -> str:
    headers = ["Method", *shown, *table.metrics, "Avg", "±", "95% CI"]
    if all(row.sd is None for row in table.rows):
        headers.remove("±")
    if all(row.ci95 is None for row in table.rows):
        headers.remove("95% CI")
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
    if header in _CELLS:
        return _CELLS[header](row)
    if header not in row.tasks:
        return "–"
    return f"{100 * row.tasks[header]:.2f}{CONTAMINATED * (header in row.contaminated)}"


def _method(row: Row) -> str:
    marks = [BELOW_BASE] * row.below_base + [IMPORTED] * row.imported + ["*"] * bool(row.limit)
    return " ".join([row.spec, *marks])


_CELLS: dict[str, Callable[[Row], str]] = {
    "Method": _method,
    "Base": lambda row: row.base,
    "Profile": lambda row: row.profile,
    "Dim": lambda row: "–" if row.dimension is None else str(row.dimension),
    "Seeds": lambda row: str(row.seeds),
    "Avg": lambda row: "–" if row.average is None else f"{100 * row.average:.2f}",
    "±": lambda row: "" if row.sd is None else f"{100 * row.sd:.2f}",
    "95% CI": lambda row: _percent_range(row.ci95),
}


def _percent_range(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.2f}–{100 * interval[1]:.2f}"


def _shared(table: Table, cell: Callable[[Row], str]) -> str | None:
    values = {cell(row) for row in table.rows}
    return values.pop() if len(values) == 1 else None


def _width(text: str) -> int:
    return max(len(line) for line in text.splitlines())
