"""Pictures of one suite into one file, as the command line asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.errors import DataError, UsageError
from bench.core.escape import plain
from bench.report.charts.drawing import Panel, save


def save_suite(
    by_suite: Mapping[str, Sequence[Panel]], path: Path, *, of: str, absent: str, columns: int = 3
) -> None:
    """Draw the panels of the only suite that has any.

    Args:
        by_suite: Panels by suite.
        path: File, .svg or .png.
        of: What they are of.
        absent: What to say where there are none.
        columns: Most panels in a row.

    Raises:
        UsageError: Several suites have panels, or the file cannot be drawn or written.
        DataError: None has.
    """
    drawn = {suite: panels for suite, panels in by_suite.items() if panels}
    if not drawn:
        raise DataError(absent)
    if len(drawn) > 1:
        raise UsageError(
            f"--plot draws one suite; name one of them with --suite: {', '.join(drawn)}"
        )
    ((suite, panels),) = drawn.items()
    save(f"{plain(suite)}: {of}", panels, path, columns=min(columns, len(panels)))
