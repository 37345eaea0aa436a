"""Scores over commits: the pictures, and which commits a gate would have failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report.charts import history
from bench.report.charts.drawing import page_svg
from bench.report.history import failures_of
from bench.report.html.material import Material


def context(material: Material) -> Mapping[str, Any] | None:
    """What the template needs; None where all records are of one commit."""
    if not material.histories:
        return None
    return {
        "figures": [
            {
                "title": one.method,
                "svg": page_svg(history.panel(one)),
                "failed": failures_of(one),
            }
            for one in material.histories
        ]
    }
