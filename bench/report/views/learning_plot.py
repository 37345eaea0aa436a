"""Learning curves drawn with matplotlib: a line a training, a panel a task and stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, UsageError
from bench.core.escape import plain
from bench.records.entries import Record
from bench.report.views.learning import LearningCurve, find_learning
from bench.report.views.plot import draw_panels


def draw(by_suite: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Draw the trainings of the suite that has any. See ``bench.report.views.Draw``."""
    by_name = {suite: own for suite, group in by_suite.items() if (own := find_learning(group))}
    if not by_name:
        raise DataError(
            "no learning curves found to draw; "
            "'bench run --suite imbalance-supervised --methods ft' writes them"
        )
    if len(by_name) > 1:
        raise UsageError(
            f"--plot draws one suite; name one of them with --suite: {', '.join(by_name)}"
        )
    ((suite, curves),) = by_name.items()
    panels = list(dict.fromkeys(curve.panel for curve in curves))

    def paint(axes: Any) -> None:
        for of_panel, panel in zip(axes.flat, panels, strict=True):
            _paint_panel(of_panel, panel, [curve for curve in curves if curve.panel == panel])

    draw_panels(f"{suite}: dev rows by step", (1, len(panels)), paint, path)


def _paint_panel(axes: Any, panel: tuple[str, str, str], curves: Sequence[LearningCurve]) -> None:
    task, stage, measure = panel
    colours = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(c.method for c in curves))}
    told: set[str] = set()
    for curve in curves:
        # Seeds and folds of a method have one colour and one name.
        name = "_nolegend_" if curve.method in told else plain(curve.method)
        told.add(curve.method)
        axes.plot(
            curve.steps,
            curve.values,
            color=colours[curve.method],
            linewidth=1,
            marker=".",
            markersize=3,
            label=name,
        )
    axes.set_xlabel("steps")
    axes.set_ylabel(measure)
    axes.set_title(plain(" ".join(filter(None, [task, stage])) or "training"))
    axes.grid(visible=True, linewidth=0.3)
    axes.legend()
