"""All pictures of a page as files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bench.report.charts import cost, curve, forest, geometry, heat, history, learning
from bench.report.charts.drawing import Panel, save
from bench.report.html.differences import Against, against_own_base
from bench.report.html.material import Material
from bench.report.views.curve import find_curves
from bench.report.views.learning import find_learning

_COLUMNS = 3
_WIDE = {"history"}


def pictures(material: Material, folder: Path, suffix: str = ".svg") -> Iterator[Path]:
    """Draw each picture of a suite into a file of its own.

    Args:
        material: The suite.
        folder: Where to.
        suffix: ``.svg`` or ``.png``.

    Yields:
        The files.

    Raises:
        UsageError: A file cannot be written.
    """
    suite = re.sub(r"[^\w.-]", "_", material.table.suite)
    for name, panels in _drawn(material).items():
        if panels:
            path = folder / f"{suite}-{name}{suffix}"
            save(
                f"{material.table.suite}: {name}",
                panels,
                path,
                1 if name in _WIDE else min(_COLUMNS, len(panels)),
            )
            yield path


def _drawn(material: Material) -> dict[str, list[Panel]]:
    table, records, names = material.table, material.records, material.names
    rows = [
        (shown.name, {task: 100 * score for task, score in shown.row.tasks.items()})
        for shown in material.shown
    ]
    pairs = against_own_base(material.shown)
    title = "Average against the untrained base of each"
    return {
        "differences": [forest.panel(title, "Points", [*map(_strand, pairs)])] if pairs else [],
        "cost": cost.panels(table, material.of_one_machine),
        "tasks": [heat.panel("Scores × 100", [*table.metrics], rows)],
        "training": learning.panels(find_learning(records, names)),
        "history": history.panels(material.histories),
        "dimension": curve.panels(find_curves(records)),
        "geometry": geometry.panels(records, names),
    }


def _strand(pair: Against) -> forest.Strand:
    difference = pair.line.difference
    low, high = difference.ci95
    return forest.Strand(
        pair.shown.name,
        100 * difference.delta,
        (100 * low, 100 * high),
        pair.line.better is not None,
    )
