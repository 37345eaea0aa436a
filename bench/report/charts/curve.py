"""Scores against the size of vectors: a panel a model and kind of task, a line a reduction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench.core.errors import DataError, UsageError
from bench.core.escape import plain
from bench.records.entries import Record
from bench.report.charts.drawing import Panel, Points, save
from bench.report.charts.lines import line_panel
from bench.report.views.curve import Curves, find_curves


def draw(by_suite: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Draw the curves of the suite that has any. See ``bench.report.views.Draw``."""
    by_name = {suite: curves for suite, group in by_suite.items() if (curves := find_curves(group))}
    if not by_name:
        raise DataError("no cuts found to draw; 'bench run --suite redundancy' writes them")
    refuse_several(by_name)
    ((suite, curves),) = by_name.items()
    title = f"{plain(suite)}: score by size of the vectors"
    save(title, panels(curves), path, columns=max(len(model.kinds) for model in curves))


def refuse_several(suites: Iterable[str]) -> None:
    """Refuse to draw several suites into one file.

    Raises:
        UsageError: There are several.
    """
    if len(names := [*suites]) > 1:
        raise UsageError(
            f"--plot draws one suite; name one of them with --suite: {', '.join(names)}"
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
