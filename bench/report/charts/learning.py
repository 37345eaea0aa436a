"""Learning curves: a panel a method, task and stage, a line a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.escape import plain
from bench.records.entries import Record
from bench.report.charts.drawing import Panel
from bench.report.charts.lines import line_panel
from bench.report.charts.suites import save_suite
from bench.report.views.learning import FALLING, LearningCurve, find_learning


def draw(by_suite: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Draw the trainings of the suite that has any. See ``bench.report.views.Draw``."""
    save_suite(
        {suite: panels(find_learning(group)) for suite, group in by_suite.items()},
        path,
        of="dev rows by step",
        absent="no learning curves found to draw; "
        "'bench run --suite imbalance-supervised --methods ft' writes them",
    )


def panels(curves: Sequence[LearningCurve]) -> list[Panel]:
    """Panels of the trainings; those that can be compared have one scale."""
    by_method: dict[tuple[str, tuple[str, str, str]], list[LearningCurve]] = {}
    for curve in curves:
        by_method.setdefault((curve.method, curve.panel), []).append(curve)
    reach = {
        panel: _reach([curve for curve in curves if curve.panel == panel]) for _, panel in by_method
    }
    return [
        _panel(method, panel, of_method, reach[panel])
        for (method, panel), of_method in by_method.items()
    ]


def _panel(
    method: str,
    panel: tuple[str, str, str],
    curves: Sequence[LearningCurve],
    reach: tuple[float, float],
) -> Panel:
    task, stage, measure = panel
    factor, unit = (1, "") if measure == FALLING else (100, " × 100")
    points = [
        {"x": step, "y": factor * value, "line": f"seed {curve.seed}", "part": str(number)}
        for number, curve in enumerate(curves)
        for step, value in zip(curve.steps, curve.values, strict=True)
    ]
    domain = (factor * reach[0], factor * reach[1])
    title = plain(": ".join(filter(None, [method, " ".join(filter(None, [task, stage]))])))
    axes = ("Steps", f"Dev {plain(measure)}{unit}")
    return line_panel(title, axes, points, domain=domain)


def _reach(curves: Sequence[LearningCurve]) -> tuple[float, float]:
    values = [value for curve in curves for value in curve.values]
    low, high = min(values), max(values)
    room = 0.04 * (high - low) or 0.01
    return low - room, high + room
