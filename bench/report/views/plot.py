"""Panels drawn with matplotlib, and curves of scores against the size of vectors in them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.errors import DataError, UsageError
from bench.core.escape import plain
from bench.core.files import write_atomic
from bench.records.entries import Record
from bench.report.views.curve import Curves, find_curves

FORMATS = (".svg", ".png")
_PANEL = (3.6, 3.0)
_MARKERS = "osD^v<>"
# Neither the time nor a random salt may make two drawings of the same records differ, and names
# from elsewhere are no formulas.
_SETTINGS: Any = {"svg.hashsalt": "sentence-bench", "text.parse_math": False, "font.size": 8}
_NO_DATES: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
}


def check_drawable(path: Path) -> None:
    """Check that a file can be drawn.

    Raises:
        UsageError: Its name ends otherwise than in .svg or .png, or matplotlib is missing.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"--plot {path}: name a file that ends in {' or '.join(FORMATS)}")
    try:
        import matplotlib  # noqa: F401 - only whether it is there
    except ImportError:
        raise UsageError("--plot needs matplotlib: pip install 'sentence-bench[plot]'") from None


def draw(by_suite: Mapping[str, Sequence[Record]], path: Path) -> None:
    """Draw the curves of the suite that has any. See ``bench.report.views.Draw``."""
    by_name = {suite: curves for suite, group in by_suite.items() if (curves := find_curves(group))}
    if not by_name:
        raise DataError("no cuts found to draw; 'bench run --suite redundancy' writes them")
    if len(by_name) > 1:
        raise UsageError(
            f"--plot draws one suite; name one of them with --suite: {', '.join(by_name)}"
        )
    ((suite, curves),) = by_name.items()
    draw_curves(suite, curves, path)


def draw_curves(suite: str, curves: Sequence[Curves], path: Path) -> None:
    """Draw a row of panels a model and a column a kind of task, the same bytes for equal curves.

    Args:
        suite: Name of the suite.
        curves: Models and their cuts.
        path: File, .svg or .png.

    Raises:
        UsageError: See ``draw_panels``.
    """
    kinds = list(dict.fromkeys(kind for model_curves in curves for kind in model_curves.kinds))

    def paint(panels: Any) -> None:
        for row, model_curves in zip(panels, curves, strict=True):
            for axes, kind in zip(row, kinds, strict=True):
                _draw_panel(axes, model_curves, kind)

    title = f"{suite}: score by size of the vectors"
    draw_panels(title, (len(curves), len(kinds)), paint, path)


def draw_panels(
    title: str, shape: tuple[int, int], paint: Callable[[Any], None], path: Path
) -> None:
    """Draw rows of panels into a file, the same bytes for the same drawing.

    Args:
        title: What stands above them.
        shape: Rows and columns.
        paint: Draws into an array of axes of this shape.
        path: File, .svg or .png.

    Raises:
        UsageError: See ``check_drawable``; or the file cannot be written.
    """
    check_drawable(path)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_SETTINGS):
        size = (_PANEL[0] * shape[1], _PANEL[1] * shape[0])
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.subplots(*shape, squeeze=False))
        figure.suptitle(plain(title))
        content = io.BytesIO()
        figure.savefig(content, format=path.suffix[1:], metadata=_NO_DATES[path.suffix])
    try:
        write_atomic(path, content.getvalue())
    except OSError as error:
        raise UsageError(f"--plot {path}: cannot be written: {error.strerror}") from None


def _draw_panel(axes: Any, curves: Curves, kind: str) -> None:
    relative = curves.whole.get(kind, 0) > 0
    value = curves.share if relative else curves.score
    for number, reduction in enumerate(curves.cuts):
        points = [(size, value(reduction, size, kind)) for size in reversed(curves.sizes)]
        known = [(size, 100 * score) for size, score in points if score is not None]
        axes.plot(
            [size for size, _ in known],
            [score for _, score in known],
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=3,
            linewidth=1,
            label=plain(reduction),
        )
    axes.set_xscale("log")
    axes.set_xticks(curves.sizes, labels=[str(size) for size in curves.sizes])
    axes.minorticks_off()
    axes.set_xlabel("dimensions")
    axes.set_ylabel("% of the whole vectors' score" if relative else "score × 100")
    axes.set_title(f"{plain(curves.name)}: {plain(kind)}")
    axes.grid(visible=True, linewidth=0.3)
    axes.legend()
