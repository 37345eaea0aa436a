"""Heat maps: the average of a suite at every layer and at several lengths of the vectors."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from tabulate import tabulate

from bench.record import Record
from bench.report import markdown
from bench.report.plain import plain
from bench.report.text import Style

_SHADES = "▁▂▃▄▅▆▇█"
_NOTE = (
    "Average × 100 of the model cut to its first layers (rows) and to the first numbers of its "
    "vectors (columns), mean over seeds. Bars run from the lowest to the highest cell of all "
    "grids of the suite."
)


def render(
    suite: str, records: Sequence[Record], *, style: Style = "text", width: int | None = None
) -> str | None:
    """Render a grid for each method that has one, or None where none has.

    Args:
        suite: Name of the suite.
        records: Records of the suite; seeds of a method are averaged.
        style: ``text`` or ``markdown``.
        width: Columns of the terminal, or None for no limit.
    """
    groups: dict[str, list[Record]] = {}
    for record in records:
        if record.grid:
            groups.setdefault(f"{record.method.spec} {record.profile}", []).append(record)
    if not groups:
        return None
    grids = {name: _means(members) for name, members in groups.items()}
    values = [value for grid in grids.values() for value in grid.values()]
    title = f"{suite} by layers and dimensions"
    parts = [f"### {markdown.escape(title)}" if style == "markdown" else plain(title)]
    for name, grid in grids.items():
        parts += [
            _caption(name, len(groups[name]), style),
            _table(grid, min(values), max(values), style),
        ]
    return "\n\n".join([*parts, _NOTE if width is None else fill(_NOTE, width)])


def _means(records: Sequence[Record]) -> dict[tuple[int, int], float]:
    cells: dict[tuple[int, int], list[float]] = {}
    for record in records:
        for entry in record.grid:
            cells.setdefault((entry.layers, entry.dim), []).append(entry.average)
    return {cut: float(np.mean(values)) for cut, values in cells.items()}


def _caption(name: str, seeds: int, style: Style) -> str:
    count = f"{seeds} seed{'s' * (seeds > 1)}"
    return f"{markdown.code(name)}, {count}" if style == "markdown" else f"{plain(name)}, {count}"


def _table(grid: dict[tuple[int, int], float], low: float, high: float, style: Style) -> str:
    layers = sorted({layer for layer, _ in grid})
    dims = sorted({dim for _, dim in grid}, reverse=True)
    rows = [
        [str(layer), *(_cell(grid.get((layer, dim)), low, high) for dim in dims)]
        for layer in layers
    ]
    return tabulate(
        rows,
        ["Layers", *map(str, dims)],
        tablefmt="pipe" if style == "markdown" else "simple",
        colalign=["right"] * (len(dims) + 1),
        disable_numparse=True,
    )


def _cell(value: float | None, low: float, high: float) -> str:
    if value is None:
        return ""
    share = (value - low) / (high - low) if high > low else 1.0
    return f"{_SHADES[round(share * (len(_SHADES) - 1))]} {100 * value:.1f}"
