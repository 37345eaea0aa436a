"""Scores against costs: the pictures, and the Pareto front of each as a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report.charts import cost
from bench.report.charts.drawing import page_svg
from bench.report.html.material import Material


def context(material: Material) -> Mapping[str, Any] | None:
    """What the template needs; None where no cost differs between rows."""
    table = material.table
    costs = cost.telling(table)
    if not costs:
        return None
    machines = {tuple(sorted(record.machine.items())) for record in material.records}
    return {
        "figures": [
            {
                "title": one.name,
                "svg": page_svg(cost.panel(table, one)),
                "front": [row.spec for row in cost.pareto_front(cost.priced(table, one), one)],
            }
            for one in costs
        ],
        "machines": len(machines),
        "named": [" ".join(value for _, value in machine) for machine in sorted(machines)],
    }
