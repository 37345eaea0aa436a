"""Scores over commits: as a table with a plot, and for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any, Literal

from tabulate import tabulate

from bench.core.escape import csv_cell, json_text, markdown, markdown_code, plain
from bench.report.columns import DASH
from bench.verdicts.history import History, HistoryPoint

HistoryForm = Literal["text", "markdown"]
_SHORT = 8
# Characters of a plot.
_PLOT = 33
_HEADERS = ["#", "Commit", "Committed", "Score", "95% CI", "Change", "p", "Gate", "Plot"]
_NOTE = (
    "Scores are × 100. Each commit is judged against the one before it: it fails where the score "
    "dropped by more than the bound and the drop is significant (p < 0.05, Holm over the tasks). "
    "In the plot ● is the score, ├ and ┤ its interval, and ┊ the lowest score that is within the "
    "bound of the commit before. A + behind a commit says that tracked files differed from it."
)


def render_histories(
    histories: Sequence[History], *, style: HistoryForm = "text", width: int | None = None
) -> str:
    """Render histories, each with what failed.

    Args:
        histories: The histories.
        style: Plain text or Markdown.
        width: Characters of a line of the note, or None for no limit.
    """
    note = markdown(_NOTE) if style == "markdown" else _NOTE
    parts = [part for history in histories for part in _parts(history, style)]
    return "\n\n".join([*parts, note if width is None else fill(note, width)])


def _parts(history: History, style: HistoryForm) -> list[str]:
    escape = markdown if style == "markdown" else plain
    title = escape(
        f"{history.suite}: {history.method}, {history.task}, bound {100 * history.bound:.2f}"
    )
    low, high = _range(history)
    rows = [
        [str(number), *_cells(point, style), _strip(history, number - 1, low, high)]
        for number, point in enumerate(history.points, 1)
    ]
    if style == "markdown":
        rows = [[*row[:-1], markdown_code(row[-1])] for row in rows]
    grid = tabulate(
        rows,
        _HEADERS,
        tablefmt="pipe" if style == "markdown" else "simple",
        colalign=["right", "left", "left", "right", "right", "right", "right", "left", "left"],
        disable_numparse=True,
        preserve_whitespace=True,
    )
    failed = failures_of(history)
    verdict = f"Failed at {'; '.join(failed)}." if failed else "No commit failed."
    unlike = [
        escape(f"{number} ({name_of(point)}) is not judged: {point.unlike}.")
        for number, point in enumerate(history.points, 1)
        if point.unlike
    ]
    return [f"### {title}" if style == "markdown" else title, grid, verdict, *unlike]


def failures_of(history: History) -> list[str]:
    """Points that failed: number, commit, and the change in points."""
    return [
        f"{number} ({name_of(point)}): {100 * point.check.change:+.2f}"
        for number, point in enumerate(history.points, 1)
        if point.check is not None and point.check.failed
    ]


def _cells(point: HistoryPoint, style: HistoryForm) -> list[str]:
    check = point.check
    interval = DASH
    if point.ci95 is not None:
        interval = f"{100 * point.ci95[0]:.2f}–{100 * point.ci95[1]:.2f}"
    failed = "**failed**" if style == "markdown" else "FAILED"
    return [
        name_of(point),
        f"{point.commit.committed:%Y-%m-%d %H:%M}",
        f"{100 * point.score:.2f}",
        interval,
        DASH if check is None else f"{100 * check.change:+.2f}",
        DASH if check is None or check.p is None else f"{check.p:.4f}",
        DASH if check is None else failed if check.failed else "passed",
    ]


def name_of(point: HistoryPoint) -> str:
    """Start of the commit of a point, with + where tracked files differed from it."""
    return point.commit.commit[:_SHORT] + "+" * point.commit.dirty


def _range(history: History) -> tuple[float, float]:
    """Lowest and highest number that a plot shows."""
    numbers = [point.score for point in history.points]
    numbers += [end for point in history.points for end in point.ci95 or ()]
    numbers += [
        floor for place in range(1, len(history.points)) if (floor := _floor(history, place))
    ]
    low, high = min(numbers), max(numbers)
    return (low, high) if high > low else (low - 0.01, high + 0.01)


def _floor(history: History, place: int) -> float | None:
    """The lowest score that is within the bound of the point before."""
    if place == 0 or history.points[place].check is None:
        return None
    return history.points[place - 1].score - history.bound


def _strip(history: History, place: int, low: float, high: float) -> str:
    """A line of a plot: interval, score and bound of a point."""

    def at(number: float) -> int:
        return round((_PLOT - 1) * (number - low) / (high - low))

    point = history.points[place]
    line = [" "] * _PLOT
    if point.ci95 is not None:
        first, last = map(at, point.ci95)
        line[first : last + 1] = "─" * (last + 1 - first)
        line[first], line[last] = "├", "┤"
    if (floor := _floor(history, place)) is not None:
        line[at(floor)] = "┊"
    line[at(point.score)] = "●"
    return "".join(line)


def numbers_of(history: History) -> Iterator[dict[str, Any]]:
    """What is known of each point of a history, as plain numbers; scores are fractions.

    Charts and programs read these, so that a figure is made in one place.
    """
    for place, point in enumerate(history.points):
        low, high = point.ci95 or (None, None)
        check = point.check
        yield {
            "suite": history.suite,
            "method": history.method,
            "task": history.task,
            "commit": point.commit.commit,
            "committed": point.commit.committed.isoformat(),
            "dirty": point.commit.dirty,
            "seeds": point.seeds,
            "score": point.score,
            "ci95_low": low,
            "ci95_high": high,
            "bound": history.bound,
            "lowest": _floor(history, place),
            "change": None if check is None else check.change,
            "p": None if check is None else check.p,
            "failed": None if check is None else check.failed,
            "unlike": point.unlike or None,
        }


def to_json(histories: Sequence[History]) -> str:
    """Render histories as a JSON array, an entry a point."""
    return json_text([entry for history in histories for entry in numbers_of(history)], indent=1)


def to_csv(histories: Sequence[History]) -> str:
    """Render histories as CSV with the same fields."""
    lines = [entry for history in histories for entry in numbers_of(history)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(lines[0])
    writer.writerows([csv_cell(value) for value in line.values()] for line in lines)
    return text.getvalue().rstrip("\n")


def to_github_action_benchmark(histories: Sequence[History]) -> str:
    """Render the last point of each history as its tool ``customBiggerIsBetter`` reads it.

    That action keeps the earlier ones itself.
    """
    return json_text([_benchmark(history) for history in histories], indent=1)


def _benchmark(history: History) -> Mapping[str, Any]:
    point = history.points[-1]
    entry: dict[str, Any] = {
        "name": f"{history.suite}: {history.method}, {history.task}",
        "unit": "points",
        "value": round(100 * point.score, 4),
        "extra": f"commit {point.commit.commit}, seeds: {point.seeds}",
    }
    if point.ci95 is not None:
        entry["range"] = f"{100 * point.ci95[0]:.2f}–{100 * point.ci95[1]:.2f}"
    return entry
