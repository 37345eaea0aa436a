"""Scores on the dev rows, by which a training chose its checkpoint, and a search its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.records.entries import Record
from bench.report.text import Style
from bench.report.views.page import by_row, grids, heading, names_of, note, shown_code

_NOTE = (
    "Spearman × 100 on the dev rows at the best evaluation of a training, mean over seeds, and its "
    "step; of a model that is made to be cut it is the mean over all that it may be cut to, and "
    "Whole is its own. First and Last: at the first evaluation and at the last. No test row has a "
    "part in it."
)


def render(
    suite: str, records: Sequence[Record], *, style: Style = "text", width: int | None = None
) -> str | None:
    """Render a row for each method that was evaluated. See ``bench.report.views.Render``."""
    groups = by_row([record for record in records if _evaluations(record)])
    if not groups:
        return None
    names = names_of(groups)
    rows = [
        [shown_code(names[group], style), str(len(seeds)), *_cells(seeds)]
        for group, seeds in groups.items()
    ]
    headers = ["Method", "Seeds", "Dev", "Whole", "Step", "First", "Last"]
    tables = grids(rows, headers, style=style, width=width)
    return "\n\n".join([heading(f"{suite} by dev scores", style), *tables, note(_NOTE, width)])


def _cells(seeds: Sequence[Record]) -> list[str]:
    evaluations = [_evaluations(record) for record in seeds]
    best = [max(of_seed, key=lambda one: float(one["spearman"])) for of_seed in evaluations]
    whole = [one["whole"] for one in best if "whole" in one]
    return [
        _points([one["spearman"] for one in best]),
        _points(whole) if len(whole) == len(best) else "",
        ", ".join(str(one["step"]) for one in best),
        _points([of_seed[0]["spearman"] for of_seed in evaluations]),
        _points([of_seed[-1]["spearman"] for of_seed in evaluations]),
    ]


def _points(scores: Sequence[float]) -> str:
    return f"{100 * np.mean(scores):.2f}"


def _evaluations(record: Record) -> Sequence[Mapping[str, Any]]:
    """Evaluations of a training; what methods tell of theirs has no form of its own."""
    told = (record.training or {}).get("dev")
    known = isinstance(told, list) and all(
        isinstance(one, dict) and {"step", "spearman"} <= one.keys() for one in told
    )
    return told if known and isinstance(told, list) else []
