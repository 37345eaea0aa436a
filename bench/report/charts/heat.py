"""Scores as a map of colours: rows and columns, with the number in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np

from bench.report.charts.drawing import COLOURS, Panel, axis_names, data

_CELL = (58, 22)
_LOW, _HIGH = "#ffffff", "#7fb2e5"


def panel(
    title: str, columns: Sequence[str], rows: Sequence[tuple[str, Mapping[str, float]]]
) -> Panel:
    """A map whose shades compare within a column, as scores of two tasks do not.

    Args:
        title: What it is of.
        columns: Names of the columns.
        rows: Name of each row, and its values by column.
    """
    values = [
        {
            "row": number,
            "column": column,
            "value": row[column],
            "shade": shade(row[column], [other[column] for _, other in rows if column in other]),
        }
        for number, (_, row) in enumerate(rows)
        for column in columns
        if column in row
    ]
    plot = alt.Chart(data(values)).encode(
        x=alt.X("column:N", title=None, sort=list(columns)).axis(
            orient="top", labelAngle=0, labelLimit=_CELL[0], domain=False, ticks=False
        ),
        y=alt.Y("row:O", title=None).axis(
            labelExpr=axis_names([name for name, _ in rows]), labelLimit=0, grid=False
        ),
    )
    cells = plot.mark_rect().encode(
        color=alt.Color("shade:Q", legend=None).scale(
            domain=[0, 1], range=[_LOW, _HIGH], interpolate="rgb"
        )
    )
    numbers = plot.mark_text(color=COLOURS["ink"], fontSize=10).encode(
        text=alt.Text("value:Q", format=".1f")
    )
    chart = (cells + numbers).properties(width=alt.Step(_CELL[0]), height=alt.Step(_CELL[1]))
    return Panel(title, chart, f"{title}: {len(rows)} rows, {len(columns)} columns.")


def shade(value: float, others: Sequence[float]) -> float:
    """Where a value lies in its column, 0 to 1.

    The scale begins at the tenth percentile, so that one bad row does not make all others alike.

    Args:
        value: The value.
        others: All values of the column.
    """
    low, high = np.percentile(others, (10, 100))
    return float(np.clip((value - low) / (high - low), 0, 1)) if high > low else 0.5
