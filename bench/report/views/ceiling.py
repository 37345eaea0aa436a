"""Spearman of the best predictor of two values on each STS task, and how far methods are from it.

The analysis of Zhang and Li, "Pcc-tuning: Breaking the Contrastive Learning Ceiling in STS", EMNLP
2024, arXiv 2406.09790; ``bench.stats.ceiling`` has the bound and what it does not bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import DataError
from bench.records.entries import Record
from bench.records.items import items_key
from bench.report.table import row_key
from bench.report.text import Style
from bench.report.views import ReadItems
from bench.report.views.page import by_row, grids, heading, names_of, note, shown_code, shown_text
from bench.stats.ceiling import Ceiling, level_bound, two_level_bound

# Name of a task, checksum of its rows, and how many of them were scored, None for all.
RowsKey = tuple[str, str, int | None]
SCORE = "spearman_all"
PAPER = 0.875
_NOTE = (
    "Spearman × 100 over all pairs of a set. Above: the best that a predictor reaches that tells "
    "only two (three) kinds of pairs apart, by the thresholds on gold that suit it best; 'no ties' "
    "is the formula 1 - 6Σd²/(n³ - n), whose 87.5 for two halves is the ceiling of arXiv "
    "2406.09790. Below: score, and its distance from 'two'; for the average from 87.5 too. It "
    "bounds predictors of two values. Trained to tell two classes apart, a model still gives "
    "cosines of many values and may pass it on a set: the paper's claim is of the average."
)


@dataclass(frozen=True)
class _Bound:
    """What few values reach on the rows of a task.

    Attributes:
        pairs: Number of rows.
        grades: Number of different gold scores.
        two: Best predictor of two values.
        three: Best predictor of three.
    """

    pairs: int
    grades: int
    two: Ceiling
    three: Ceiling


def render(
    suite: str,
    records: Sequence[Record],
    *,
    items: ReadItems,
    style: Style = "text",
    width: int | None = None,
) -> str | None:
    """Render bounds of tasks, and methods, the best average first.

    Args:
        suite: See ``bench.report.views.Render``.
        records: As there.
        items: Reads the arrays of a record, of which one for each set of rows is read.
        style: As there.
        width: As there.

    Raises:
        DataError: The gold scores of a task are all the same.
    """
    bounds = _bounds(records, items)
    if not bounds:
        return None
    rows_of = by_row(records)
    names = names_of(rows_of)
    groups = [group for group in rows_of.values() if _keys(group[0])]
    groups.sort(key=lambda group: -_average(group, bounds)[0])
    tasks = list(dict.fromkeys(task for task, *_ in bounds))
    averaged = any(len(_averaged(group[0])) > 1 for group in groups)
    rows = [
        [
            shown_code(names[row_key(group[0])], style),
            *(_average_cells(group, bounds) if averaged else ()),
            *(_cell(group, task, bounds) for task in tasks),
        ]
        for group in groups
    ]
    tasks_shown = [shown_text(task, style) for task in tasks]
    headers = ["Method", *(("Avg", "To 87.5") if averaged else ()), *tasks_shown]
    return "\n\n".join(
        [
            heading(f"{suite} by ceiling", style),
            *_bound_table(bounds, style, width),
            *grids(rows, headers, style=style, width=width),
            note(_NOTE, width),
        ]
    )


def _keys(record: Record) -> dict[str, RowsKey]:
    """Rows of each STS task of a record."""
    return {
        name: (name, task.data_sha256, record.limit)
        for name, task in record.tasks.items()
        if task.kind == "sts" and SCORE in task.metrics
    }


def _bounds(records: Sequence[Record], items: ReadItems) -> dict[RowsKey, _Bound]:
    bounds: dict[RowsKey, _Bound] = {}
    for record in records:
        missing = {name: key for name, key in _keys(record).items() if key not in bounds}
        arrays = items(record) if missing else {}
        for name, key in missing.items():
            gold = arrays[items_key(name, "gold")].astype(np.float64)
            try:
                two, three = two_level_bound(gold), level_bound(gold, 3)
            except ValueError as error:
                raise DataError(f"{record.method.spec}, task {name}: {error}") from None
            bounds[key] = _Bound(len(gold), len(np.unique(gold)), two, three)
    return bounds


def _bound_table(
    bounds: Mapping[RowsKey, _Bound], style: Style, width: int | None
) -> Iterator[str]:
    rows = [
        [
            shown_text(task if limit is None else f"{task} first {limit}", style),
            str(bound.pairs),
            str(bound.grades),
            *(
                f"{100 * value:.2f}"
                for value in (bound.two.spearman, bound.two.shortcut, bound.three.spearman)
            ),
        ]
        for (task, _, limit), bound in bounds.items()
    ]
    headers = ["Task", "Pairs", "Grades", "Two", "Two, no ties", "Three"]
    yield from grids(rows, headers, style=style, width=width)


def _distance(record: Record, task: str, bounds: Mapping[RowsKey, _Bound]) -> tuple[float, float]:
    """Score, and by how much it is above what two values reach."""
    score = record.tasks[task].metrics[SCORE]
    return score, score - bounds[_keys(record)[task]].two.spearman


def _cell(group: Sequence[Record], task: str, bounds: Mapping[RowsKey, _Bound]) -> str:
    scores = [_distance(record, task, bounds) for record in group if task in _keys(record)]
    return _shown(np.mean(scores, axis=0)) if scores else ""


def _averaged(record: Record) -> list[str]:
    """STS tasks that the average of the suite is over."""
    return [name for name in _keys(record) if name in record.averaged_tasks]


def _average(group: Sequence[Record], bounds: Mapping[RowsKey, _Bound]) -> tuple[float, float]:
    """Mean score over STS tasks and seeds, and its distance from the mean of the bounds."""
    scores = [
        _distance(record, task, bounds)
        for record in group
        for task in _averaged(record) or _keys(record)
    ]
    score, distance = np.mean(scores, axis=0)
    return float(score), float(distance)


def _average_cells(group: Sequence[Record], bounds: Mapping[RowsKey, _Bound]) -> list[str]:
    average = _average(group, bounds)
    return [_shown(average), f"{100 * (average[0] - PAPER):+.1f}"]


def _shown(score_and_distance: Sequence[float]) -> str:
    score, distance = score_and_distance
    return f"{100 * score:.1f} {100 * distance:+.1f}"
