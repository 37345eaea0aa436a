"""Trainings, sizes and lie of vectors: the pictures, and the measures as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report.charts import curve, geometry, learning
from bench.report.charts.drawing import page_svg
from bench.report.html.material import Material
from bench.report.views.curve import find_curves
from bench.report.views.geometry import measures
from bench.report.views.learning import find_learning


def training(material: Material) -> Mapping[str, Any] | None:
    """Learning curves; None where no training was evaluated."""
    curves = find_learning(material.records, material.names)
    if not curves:
        return None
    return {"figures": [_figure(panel) for panel in learning.panels(curves)]}


def vectors(material: Material) -> Mapping[str, Any] | None:
    """Scores by size, and measures of how vectors lie; None where neither is there."""
    curves = find_curves(material.records)
    lie = measures(material.records, material.names)
    if not curves and lie is None:
        return None
    figures = [_figure(panel) for panel in curve.panels(curves)]
    figures += [_figure(panel) for panel in geometry.panels(material.records, material.names)]
    headers, rows, note = lie or ([], [], "")
    return {"figures": figures, "headers": headers, "rows": rows, "note": note}


def _figure(panel: Any) -> dict[str, str]:
    return {"title": panel.title, "svg": page_svg(panel)}
