"""Scores against the size of vectors: a panel a model and kind of task, a line a reduction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.escape import plain
from bench.records.entries import Record
from bench.report.charts.drawing import Panel, Points
from bench.report.charts.lines import line_panel
from bench.report.charts.suites import save_suite
from bench.report.views.curve import Curves, find_curves


def draw(by_suite: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Draw the curves of the suite that has any. See ``bench.report.views.Draw``."""
    by_name = {suite: find_curves(group) for suite, group in by_suite.items()}
    kinds = [len(model.kinds) for curves in by_name.values() for model in curves]
    save_suite(
        {suite: panels(curves) for suite, curves in by_name.items()},
        path,
        of="score by size of the vectors",
        absent="no cuts found to draw; 'bench run --suite redundancy' writes them",
        columns=max(kinds, default=1),
    )


def panels(curves: Sequence[Curves]) -> list[Panel]:
    """A panel for each model and kind of task."""
    return [_panel(model, kind) for model in curves for kind in model.kinds]


def _panel(curves: Curves, kind: str) -> Panel:
    relative = curves.whole.get(kind, 0) > 0
    value = curves.share if relative else curves.score
    points: Points = [
        {"x": size, "y": 100 * score, "line": plain(reduction)}
        for reduction in curves.cuts
        for size in reversed(curves.sizes)
        if (score := value(reduction, size, kind)) is not None
    ]
    unit = "% of the whole vectors' score" if relative else "Score × 100"
    title = f"{plain(curves.name)}: {plain(kind)}"
    return line_panel(title, ("Dimensions", unit), points, log=True)
