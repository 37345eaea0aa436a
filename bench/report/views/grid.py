"""Heat maps: the average of a suite at every layer and at several lengths of the vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.records.entries import Record
from bench.report.text import Style
from bench.report.views.page import by_row, grids, heading, names_of, note, shown_code

_SHADES = "▁▂▃▄▅▆▇█"
_NOTE = (
    "Average × 100 of the model cut to its first layers (rows) and to the first numbers of its "
    "vectors (columns), mean over seeds. Bars run from the lowest to the highest cell of all "
    "grids of the suite."
)


def render(
    suite: str, records: Sequence[Record], *, style: Style = "text", width: int | None = None
) -> str | None:
    """Render a grid for each method that has one. See ``bench.report.views.Render``."""
    groups = by_row([record for record in records if record.grid])
    if not groups:
        return None
    averages = {group: _means(members) for group, members in groups.items()}
    values = [value for grid in averages.values() for value in grid.values()]
    parts = [heading(f"{suite} by layers and dimensions", style)]
    names = names_of(groups)
    for group, members in groups.items():
        count = f"{len(members)} seed{'s' * (len(members) > 1)}"
        parts.append(f"{shown_code(names[group], style)}, {count}")
        parts += _table(averages[group], min(values), max(values), style, width)
    return "\n\n".join([*parts, note(_NOTE, width)])


def _means(records: Sequence[Record]) -> dict[tuple[int, int], float]:
    cells: dict[tuple[int, int], list[float]] = {}
    for record in records:
        for entry in record.grid:
            cells.setdefault((entry.layers, entry.dim), []).append(entry.average)
    return {cut: float(np.mean(values)) for cut, values in cells.items()}


def _table(
    grid: dict[tuple[int, int], float], low: float, high: float, style: Style, width: int | None
) -> list[str]:
    layers = sorted({layer for layer, _ in grid})
    dims = sorted({dim for _, dim in grid}, reverse=True)
    rows = [
        [str(layer), *(_cell(grid.get((layer, dim)), low, high) for dim in dims)]
        for layer in layers
    ]
    return grids(rows, ["Layers", *map(str, dims)], style=style, width=width, left=0)


def _cell(value: float | None, low: float, high: float) -> str:
    if value is None:
        return ""
    share = (value - low) / (high - low) if high > low else 1.0
    return f"{_SHADES[round(share * (len(_SHADES) - 1))]} {100 * value:.1f}"
