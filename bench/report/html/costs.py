"""Scores against costs: the pictures, and the Pareto front of each as a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report.charts import cost
from bench.report.charts.drawing import page_svg
from bench.report.html.material import Material, machine_of
from bench.report.names import row_names


def context(material: Material) -> Mapping[str, Any] | None:
    """What the template needs; None where no cost differs between rows."""
    alike = material.of_one_machine
    costs = cost.telling(material.table, alike)
    if not costs:
        return None
    names = row_names(material.table.rows)
    machines = sorted({machine_of(shown) for shown in material.shown})
    return {
        "figures": [
            {
                "title": one.name,
                "svg": page_svg(cost.panel(rows, one, names)),
                "front": [names[row.id] for row in cost.pareto_front(cost.priced(rows, one), one)],
            }
            for one, rows in costs
        ],
        "machines": machines,
        "alike": len(alike.rows),
        "rows": len(material.shown),
    }
