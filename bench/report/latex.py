"""Tables in LaTeX for a paper: a float that needs no package but booktabs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.core.escape import latex
from bench.report.columns import TableColumn, columns_of
from bench.report.layout import Grid, GridCell, RowGroup, lay_out
from bench.report.marks import (
    BELOW_BASE,
    CONTAMINATED,
    IMPORTED,
    IN_DOMAIN,
    OTHER_PROTOCOL,
    OTHER_ROWS,
)
from bench.report.selection import ALL, TableSelection
from bench.report.significance import Significance
from bench.report.table import Table, TableRow
from bench.suite import AVERAGE

_GLYPHS = {
    "–": "--",
    "…": r"\dots{}",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    BELOW_BASE: r"$\downarrow$",
    IMPORTED: r"$\dagger$",
    CONTAMINATED: r"$\ddagger$",
    IN_DOMAIN: r"$\circ$",
    OTHER_ROWS: r"$\neq$",
    OTHER_PROTOCOL: r"$\not\equiv$",
}
_GLYPH = re.compile(f"([{''.join(_GLYPHS)}])")
_SIGNS = {1: "+", -1: "-", 0: ""}
_STYLES = {0: "", 1: "textbf:--rwrap;", 2: "underline:--rwrap;"}
# Characters of a line that fit one column of a page of two; wider tables stand over both.
_NARROW = 60
# Characters that fit both in the usual size; still wider tables take the next smaller one.
_WIDE = 125
# Points between columns, and that a raised mark takes.
_SPACE, _MARK = 6, 5
_SEPARATION = r"\setlength{\tabcolsep}{3pt}"


def render_latex(
    table: Table, selection: TableSelection = ALL, significance: Significance | None = None
) -> str:
    """Render a table as a float with caption and label; scores times 100.

    Of the columns there are method, tasks and average, and the profile where trainings differ in
    it, unless others are chosen.

    Args:
        table: The table, of the rows to show.
        selection: Columns and digits to show.
        significance: Scores that differ from those of the untrained base, or None where that is
            not known.
    """
    layout = lay_out(table, _chosen(table, selection))
    (grid,) = layout.grids
    caption = [f"{layout.title}.", layout.notes]
    if layout.scope:
        caption.append(f"Bold is the best {layout.scope}, underlined the second best.")
    if significance:
        caption.append(
            "Raised + and − are scores significantly above and below those of the untrained base "
            "(paired, p < 0.05, Holm over the tasks)."
        )
    return _float(table, grid, " ".join(caption), significance or {})


def _chosen(table: Table, selection: TableSelection) -> TableSelection:
    if selection.columns:
        return selection
    trained = {row.profile for row in table.rows if row.trained}
    names = [
        column.name
        for column in columns_of(table)
        if column.kind == "task"
        or column.field == "average"
        or (column.field == "profile" and len(trained) > 1)
    ]
    return TableSelection(columns=tuple(names), digits=selection.digits)


def _float(table: Table, grid: Grid, caption: str, significance: Significance) -> str:
    # Imported late: it takes a second, and only this style needs it.
    import pandas as pd
    from pandas.io.formats.style import Styler

    cells = [row for group in grid.groups for row in group.rows]
    rows = _rows_in_order(table)
    texts = [
        [
            _cell(column, cell, row, significance)
            for column, cell in zip(grid.columns, of_row, strict=True)
        ]
        for row, of_row in zip(rows, cells, strict=True)
    ]
    # Numbers as names, since those of tasks may repeat one of ours.
    frame = pd.DataFrame(texts)
    styles = pd.DataFrame([[_STYLES[cell.place] for cell in of_row] for of_row in cells])
    styler = Styler(frame).apply(lambda _: styles, axis=None).hide(axis="index")
    names: dict[object, str] = {
        place: _text(column.name) for place, column in enumerate(grid.columns)
    }
    styler = styler.format_index(lambda place: names[place], axis=1)
    text = styler.to_latex(
        column_format=_column_format(grid.columns, texts),
        hrules=True,
        position="t",
        position_float="centering",
        environment="table" if grid.width <= _NARROW else "table*",
        caption=_text(caption),
        label=f"tab:{re.sub('[^A-Za-z0-9-]+', '-', table.suite)}",
        multicol_align="c",
    )
    # What is raised is neither underlined nor bold.
    text = re.sub(r"(\\rlap\{\$\^\{[^{}]*\}\$\})\}", r"}\1", text)
    size = r"\footnotesize" if grid.width <= _WIDE else r"\scriptsize"
    text = text.replace(r"\centering", f"\\centering\n{size}\n{_SEPARATION}", 1)
    return _with_headings(text.rstrip("\n"), grid.groups, len(grid.columns))


def _rows_in_order(table: Table) -> list[TableRow]:
    """The rows as the groups of a layout have them."""
    bases = list(dict.fromkeys(row.base for row in table.rows))
    return sorted(table.rows, key=lambda row: bases.index(row.base))


def _cell(column: TableColumn, cell: GridCell, row: TableRow, significance: Significance) -> str:
    task = AVERAGE if column.field == "average" else column.name
    sign = ""
    if column.field == "average" or column.kind == "task":
        sign = _SIGNS[significance.get(row.id, {}).get(task, 0)]
    marks = "".join(_GLYPHS.get(mark, mark).strip("$") for mark in cell.marks if mark != " ")
    raised = f"\\rlap{{$^{{{sign}{marks}}}$}}" if sign or marks else ""
    if column.left:
        raised = raised.removeprefix("\\rlap{").removesuffix("}")
    text = _text(cell.text)
    # A hyphen is no minus.
    return (f"$-${text[1:]}" if text.startswith("-") and column.points else text) + raised


def _column_format(columns: Sequence[TableColumn], texts: Sequence[Sequence[str]]) -> str:
    """Digits of a column are in line; what is raised behind them has room before the next one."""
    formats = []
    for place, column in enumerate(columns):
        marks = max(_marks(of_row[place]) for of_row in texts)
        last = place == len(columns) - 1
        room = _MARK * marks + _SPACE * (not last)
        formats.append("l" if column.left else f"r@{{\\hspace{{{room}pt}}}}")
    return f"@{{}}{''.join(formats)}{'@{}' * columns[-1].left}"


def _marks(text: str) -> int:
    """Number of marks that are raised behind a number."""
    raised = re.search(r"\\rlap\{\$\^\{([^{}]*)\}", text)
    return 0 if raised is None else len(re.findall(r"\\[a-z]+|[^a-z\\]", raised[1]))


def _text(text: str) -> str:
    parts = _GLYPH.split(text)
    return "".join(_GLYPHS[part] if part in _GLYPHS else latex(part) for part in parts)


def _with_headings(text: str, groups: Sequence[RowGroup], columns: int) -> str:
    """Put the heading of each base above its rows, of which each is a line."""
    if not groups[0].heading:
        return text
    head, rule, body = text.partition("\\midrule\n")
    lines = body.split("\n")
    headed = []
    for place, group in enumerate(groups):
        space = ["\\addlinespace"] * bool(place)
        heading = f"\\multicolumn{{{columns}}}{{@{{}}l}}{{\\textit{{{_text(group.heading)}}}}} \\\\"
        headed += [*space, heading, *lines[: len(group.rows)]]
        lines = lines[len(group.rows) :]
    return head + rule + "\n".join([*headed, *lines])
