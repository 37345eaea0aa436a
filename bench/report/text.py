"""Tables as text: for a terminal, as Markdown and as LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Literal

from tabulate import tabulate

from bench.core.escape import markdown, markdown_code, plain
from bench.records.entries import Interval
from bench.report.table import NO_BASE, Row, Table

Style = Literal["text", "markdown", "latex"]

BELOW_BASE = "▼"
IMPORTED = "†"
CONTAMINATED = "‡"
IN_DOMAIN = "°"
PARTIAL = "*"
OTHER_ROWS = "≠"
OTHER_PROTOCOL = "≢"
_FORMATS = {"text": "simple", "markdown": "pipe", "latex": "latex_booktabs"}
_LEFT = {"Method", "Base", "Profile"}
_OPTIONAL = ("Rank", "±", "95% CI", "Published", "Train s", "Texts/s", "Memory")
_FACTS = ("Base", "Profile", "Dim", "Params", "Seeds")
# Where the terminal has no room for all, these go first, the least telling before the others.
_EXPENDABLE = ("Memory", "Texts/s", "Train s", "Params", "Seeds", "Dim")
_LATEX = {
    "–": "--",
    "±": r"$\pm$",
    BELOW_BASE: r"$\downarrow$",
    IMPORTED: r"$^\dagger$",
    CONTAMINATED: r"$^\ddagger$",
    IN_DOMAIN: r"$^\circ$",
    OTHER_ROWS: r"$\neq$",
    OTHER_PROTOCOL: r"$\not\equiv$",
}


@dataclass(frozen=True)
class _Column:
    """A column; a task may have the name of another one."""

    name: str
    task: bool = False


def render(table: Table, *, style: Style = "text", width: int | None = None) -> str:
    """Render a table; scores times 100.

    Columns that say the same in every row move to the caption. Where a terminal has no room, the
    least telling are left out, and tasks that still do not fit come in a grid below.

    Args:
        table: The table.
        style: Plain text, GitHub Markdown, or LaTeX with the caption as comments.
        width: Columns of the terminal, or None for no limit.
    """
    shared = {name: _shared(table, name) for name in _FACTS}
    facts = [
        f"{name.lower()} {value}" for name, value in shared.items() if value not in (None, NO_BASE)
    ]
    shown = [one for one in _columns(table) if one.task or shared.get(one.name) is None]
    title = ", ".join([f"{table.suite}: {table.convention} convention", *facts])
    grids, notes = _fitting(table, shown, style, width), _notes(table)
    if style == "latex":
        return "\n".join([f"% {plain(title)}", *grids, f"% {plain(notes)}"])
    if style == "markdown":
        return "\n\n".join([f"### {markdown(title)}", *grids, markdown(notes)])
    filled = [plain(text) if width is None else fill(plain(text), width) for text in (title, notes)]
    return "\n\n".join([filled[0], *grids, filled[1]])


def _notes(table: Table) -> str:
    shown = {column.name for column in _columns(table) if not column.task}
    average = "Avg is the mean of unrounded scores"
    if "95% CI" in shown:
        average += " with its 95% bootstrap interval over items"
    if "±" in shown:
        average += "; ± is the standard deviation over seeds"
    lines = [f"{_units(table)} × 100; {average}."]
    if "Rank" in shown:
        lines.append(
            "Rank is 1 + the number of rows of the same base whose average is significantly "
            "better (paired bootstrap, false discovery rate 5%)."
        )
    if "Published" in shown:
        lines.append(f"Published: {'; '.join(_sources(table))}.")
    return " ".join([*lines, *_marks(table)])


def _marks(table: Table) -> list[str]:
    lines = []
    if any(row.below_base for row in table.rows):
        lines.append(f"{BELOW_BASE} below its untrained base.")
    if shares := [share for row in table.rows for share in row.contaminated.values()]:
        lines.append(
            f"{CONTAMINATED} training text holds up to {100 * max(shares):.1f}% of the test texts."
        )
    if any(row.in_domain for row in table.rows):
        lines.append(f"{IN_DOMAIN} trained on other rows of the same data set.")
    if any(row.imported for row in table.rows):
        lines.append(f"{IMPORTED} from result files of mteb, not measured here.")
    if limits := sorted({row.limit for row in table.rows if row.limit is not None}):
        some = ", ".join(map(str, limits))
        lines.append(f"{PARTIAL} partial: only {some} rows of each task.")
    if any(row.other_rows for row in table.rows):
        lines.append(f"{OTHER_ROWS} scored on other rows than most here; run all again.")
    if any(row.other_protocol for row in table.rows):
        lines.append(_protocols(table))
    return lines


def _protocols(table: Table) -> str:
    facts = {f"{task}: {fact}" for row in table.rows for task, fact in row.other_protocol.items()}
    told = "; ".join(sorted(facts))
    return (
        f"{OTHER_PROTOCOL} scored by another protocol than most here ({told}); run all again by "
        "the same suite."
    )


def _sources(table: Table) -> list[str]:
    found: dict[str, list[str]] = {}
    for row in table.rows:
        if row.published is not None and row.published.average is not None:
            found.setdefault(row.published.source, []).append(row.spec)
    return [f"{', '.join(specs)} from {source}" for source, specs in found.items()]


def _units(table: Table) -> str:
    tasks: dict[str, list[str]] = {}
    for task, metric in table.metrics.items():
        tasks.setdefault(metric, []).append(task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return ", ".join(f"{metric} ({', '.join(names)})" for metric, names in tasks.items())


def _columns(table: Table) -> list[_Column]:
    empty = {name for name in _OPTIONAL if all(not _CELLS[name](row) for row in table.rows)}
    if len(table.rows) == 1:
        empty.add("Rank")
    before, after = ["Rank", "Method", *_FACTS], ["Avg", *_OPTIONAL[1:]]
    return [
        *(_Column(name) for name in before if name not in empty),
        *(_Column(task, task=True) for task in table.metrics),
        *(_Column(name) for name in after if name not in empty),
    ]


def _fitting(table: Table, shown: list[_Column], style: Style, width: int | None) -> list[str]:
    grid = _Grid(table, style)
    left = list(shown)
    for name in _EXPENDABLE:
        if width is None or grid.width(left) <= width:
            break
        left = [one for one in left if one != _Column(name)]
    if width is None or grid.width(left) <= width:
        return [grid.render(left)]
    facts = [one for one in left if one.name in _FACTS and not one.task]
    tasks = [one for one in left if one.task]
    averages = [one for one in left if one not in facts + tasks]
    blocks = [averages, *_blocks(grid, tasks, width), *_blocks(grid, facts, width)]
    return [grid.render(block) for block in blocks]


def _blocks(grid: _Grid, columns: Sequence[_Column], width: int) -> list[list[_Column]]:
    blocks: list[list[_Column]] = []
    for column in columns:
        if not blocks or grid.width([*blocks[-1], column]) > width:
            blocks.append([_Column("Method")])
        blocks[-1].append(column)
    return blocks


@dataclass(frozen=True)
class _Grid:
    """Any of a table's columns, in one style."""

    table: Table
    style: Style

    def render(self, columns: Sequence[_Column]) -> str:
        """Render some of the columns."""
        text = tabulate(
            [[self._cell(row, column) for column in columns] for row in self.table.rows],
            [self._text(column.name) if column.task else column.name for column in columns],
            tablefmt=_FORMATS[self.style],
            colalign=[
                "left" if column.name in _LEFT and not column.task else "right"
                for column in columns
            ],
            disable_numparse=True,
        )
        if self.style == "latex":
            for char, command in _LATEX.items():
                text = text.replace(char, command)
        return text

    def width(self, columns: Sequence[_Column]) -> int:
        """Characters of the longest line."""
        return max(len(line) for line in self.render(columns).splitlines())

    def _cell(self, row: Row, column: _Column) -> str:
        if column.task:
            return _score(row, column.name)
        text = _CELLS[column.name](row)
        if column.name == "Method":
            return " ".join([self._name(text), *_row_marks(row)])
        return self._name(text) if column.name == "Base" and text != NO_BASE else text

    def _name(self, text: str) -> str:
        return markdown_code(text) if self.style == "markdown" else self._text(text)

    def _text(self, text: str) -> str:
        return markdown(text) if self.style == "markdown" else plain(text)


def _row_marks(row: Row) -> list[str]:
    marks = [BELOW_BASE] * row.below_base + [IMPORTED] * row.imported
    return (
        marks
        + [PARTIAL] * bool(row.limit)
        + [OTHER_ROWS] * row.other_rows
        + ([OTHER_PROTOCOL] * bool(row.other_protocol))
    )


def _score(row: Row, task: str) -> str:
    if task not in row.tasks:
        return NO_BASE
    marks = CONTAMINATED * (task in row.contaminated) + IN_DOMAIN * (task in row.in_domain)
    return f"{100 * row.tasks[task]:.2f}{marks}"


def _parameters(count: int | None) -> str:
    if not count:
        return NO_BASE
    return f"{count / 1e6:.1f}M" if count >= 1e5 else f"{count / 1e3:.1f}k"


def _published(row: Row) -> str:
    if row.published is None or row.published.average is None:
        return ""
    return f"{100 * row.published.average:.2f}"


def _rounded(value: float | None, unit: str, scale: float = 1) -> str:
    return "" if value is None else f"{value / scale:,.0f}{unit}"


def _percent_range(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval[0]:.2f}–{100 * interval[1]:.2f}"


_CELLS: dict[str, Callable[[Row], str]] = {
    "Rank": lambda row: "" if row.rank is None else str(row.rank),
    "Method": lambda row: row.spec,
    "Base": lambda row: row.base,
    "Profile": lambda row: row.profile,
    "Dim": lambda row: NO_BASE if row.dimension is None else str(row.dimension),
    "Params": lambda row: _parameters(row.parameters),
    "Seeds": lambda row: str(row.seeds),
    "Avg": lambda row: NO_BASE if row.average is None else f"{100 * row.average:.2f}",
    "±": lambda row: "" if row.sd is None else f"{100 * row.sd:.2f}",
    "95% CI": lambda row: _percent_range(row.ci95),
    "Published": _published,
    "Train s": lambda row: _rounded(row.costs.train_seconds, ""),
    "Texts/s": lambda row: _rounded(row.costs.texts_per_second, ""),
    "Memory": lambda row: _rounded(row.costs.peak_memory_bytes, " MB", 1e6),
}


def _shared(table: Table, name: str) -> str | None:
    values = {_CELLS[name](row) for row in table.rows}
    return values.pop() if len(values) == 1 else None
