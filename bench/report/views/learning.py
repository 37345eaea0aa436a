"""Learning curves: what each training reached on its dev rows, and by which step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.records.entries import Record
from bench.report.columns import DASH
from bench.report.text import Style
from bench.report.views.page import (
    Names,
    by_row,
    grids,
    heading,
    names_of,
    note,
    shown_code,
    shown_text,
)

# What an evaluation is shown by, the first that it has.
_MEASURES = ("accuracy", "spearman", "loss")
FALLING = "loss"
_NOTE = (
    "Means over seeds, and over folds where a task has them. Steps: those that were made; Kept: "
    "the step whose weights were kept; First, Half, Best: dev score × 100 at the first evaluation, "
    "the best by half of the steps, and the best of all (of a loss, the loss itself and its "
    "lowest). Half and Best that are alike say that the curve had become flat."
)


@dataclass(frozen=True)
class LearningCurve:
    """Evaluations of one training.

    Attributes:
        method: What the method is called.
        seed: Its seed.
        task: Task whose rows it learned from, or empty for the training of the model itself.
        stage: Which of several trainings one after the other, or empty.
        measure: ``accuracy``, ``spearman`` or ``loss``.
        steps: Steps of the evaluations, rising.
        values: Their scores as fractions, or losses.
        kept: Step whose weights were kept, or None where it is not known.
        seconds: Time of the training, or None where it is not known.
    """

    method: str
    seed: int
    task: str
    stage: str
    measure: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    kept: int | None
    seconds: float | None

    @property
    def panel(self) -> tuple[str, str, str]:
        """What curves that can be compared have in common."""
        return self.task, self.stage, self.measure

    def best(self, by: float = np.inf) -> float:
        """Best value of the evaluations by some step; of none of them the first one."""
        values = [value for step, value in zip(self.steps, self.values, strict=True) if step <= by]
        return (min if self.measure == FALLING else max)(values or self.values[:1])


def find_learning(records: Sequence[Record], names: Names | None = None) -> list[LearningCurve]:
    """Find the trainings whose evaluations are known, in the order of their records.

    Args:
        records: Records of one suite.
        names: What its rows are called; left out, as ``names_of`` has it.
    """
    rows = by_row(records)
    names = names or names_of(rows)
    return [
        curve
        for key, group in rows.items()
        for record in group
        for curve in _curves(record, names[key])
    ]


def _curves(record: Record, method: str) -> Iterator[LearningCurve]:
    reports = [("", record.training)]
    for task, entry in record.tasks.items():
        reports += [(task, report) for report in entry.trainings or ()]
    for task, report in reports:
        for stage, summary in _stages(report or {}):
            dev = _evaluations(summary)
            if dev is None:
                continue
            measure, points = dev
            yield LearningCurve(
                method=method,
                seed=record.seed,
                task=task,
                stage=stage,
                measure=measure,
                steps=tuple(int(step) for step, _ in points),
                values=tuple(value for _, value in points),
                kept=summary.get("best_step"),
                seconds=summary.get("seconds"),
            )


def _stages(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    stages = report.get("stages")
    named = stages.items() if isinstance(stages, Mapping) else [("", report)]
    return [(name, one) for name, one in named if isinstance(one, Mapping)]


def _evaluations(summary: Mapping[str, Any]) -> tuple[str, list[tuple[float, float]]] | None:
    """Measure and points of a training, None of one without evaluations of a known measure."""
    dev = summary.get("dev")
    if not isinstance(dev, list) or not all(isinstance(entry, Mapping) for entry in dev):
        return None
    for measure in _MEASURES:
        points = [(entry.get("step"), entry.get(measure)) for entry in dev]
        known = [
            (float(step), float(value))
            for step, value in points
            if isinstance(step, int | float) and isinstance(value, int | float)
        ]
        if known and len(known) == len(points):
            return measure, known
    return None


def render(
    suite: str, records: Sequence[Record], *, style: Style = "text", width: int | None = None
) -> str | None:
    """Render a row for each method, task and stage. See ``bench.report.views.Render``."""
    rows: dict[tuple[str, ...], list[LearningCurve]] = {}
    for curve in find_learning(records):
        rows.setdefault((curve.method, *curve.panel), []).append(curve)
    if not rows:
        return None
    cells = [
        [
            shown_code(method, style),
            shown_text(task, style) or DASH,
            shown_text(stage, style) or DASH,
            measure,
            *_figures(curves),
        ]
        for (method, task, stage, measure), curves in rows.items()
    ]
    headers = ["Method", "Task", "Stage", "Dev", "Steps", "Kept", "Seconds"]
    headers += ["First", "Half", "Best"]
    tables = grids(cells, headers, style=style, width=width, kept=3, left=4)
    return "\n\n".join([heading(f"{suite} by learning", style), *tables, note(_NOTE, width)])


def _figures(curves: Sequence[LearningCurve]) -> list[str]:
    form = "{:.3f}" if curves[0].measure == FALLING else "{:.2%}"
    values = [
        [curve.values[0] for curve in curves],
        [curve.best(curve.steps[-1] / 2) for curve in curves],
        [curve.best() for curve in curves],
    ]
    return [
        f"{np.mean([curve.steps[-1] for curve in curves]):.0f}",
        _mean([curve.kept for curve in curves]),
        _mean([curve.seconds for curve in curves]),
        *(form.format(np.mean(part)).removesuffix("%") for part in values),
    ]


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.0f}" if known else DASH
