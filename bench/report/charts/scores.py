"""Scores of the rows of a table by task, and differences between methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.report.charts import forest, heat
from bench.report.charts.drawing import Panel
from bench.report.charts.suites import save_suite
from bench.report.table import Table
from bench.suite import AVERAGE
from bench.verdicts.difference import Comparison


def draw_tables(tables: Sequence[Table], path: Path) -> None:
    """Draw the rows of a table as a map of colours.

    Raises:
        UsageError: There are several suites, or the file cannot be drawn or written.
        DataError: There are no rows.
    """
    panels = {table.suite: [_scores(table)] for table in tables if table.rows}
    save_suite(panels, path, of="scores", absent="no rows found to draw")


def _scores(table: Table) -> Panel:
    rows = [
        (
            row.label or row.spec,
            {
                **{task: 100 * score for task, score in row.tasks.items()},
                **({} if row.average is None else {AVERAGE: 100 * row.average}),
            },
        )
        for row in table.rows
    ]
    return heat.panel("Scores × 100", [*table.metrics, AVERAGE], rows)


def draw_comparisons(compared: Mapping[str, Sequence[Comparison]], path: Path) -> None:
    """Draw differences with their intervals, a panel for each method that is compared.

    Raises:
        UsageError: There are several suites, or the file cannot be drawn or written.
        DataError: Nothing is compared.
    """
    panels = {suite: [*map(_differences, of_suite)] for suite, of_suite in compared.items()}
    save_suite(panels, path, of="differences", absent="nothing is compared", columns=1)


def _differences(comparison: Comparison) -> Panel:
    strands = [
        forest.Strand(
            line.task,
            100 * line.difference.delta,
            (100 * line.difference.ci95[0], 100 * line.difference.ci95[1]),
            line.better is not None,
        )
        for line in comparison.lines
    ]
    first, second = comparison.names
    return forest.panel(f"{first} less {second}", "Points", strands)
