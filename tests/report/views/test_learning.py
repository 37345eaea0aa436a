"""Learning curves: which trainings have any, and how they are shown and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import DataError, UsageError
from bench.records.entries import Record
from bench.report.views.learning import find_learning, render
from tests.support.charts import drawing
from tests.support.records import make_record


def report(values: list[float], measure: str = "accuracy", **more: Any) -> dict[str, Any]:
    dev = [{"step": 10 * (i + 1), measure: value} for i, value in enumerate(values)]
    return {"steps": 10 * len(values), "best_step": 20, "seconds": 60.0, "dev": dev, **more}


def learnt(*trainings: dict[str, Any], seed: int = 0, **more: Any) -> Record:
    record = make_record("ft", {"S1": 0.7}, seed=seed, **more)
    task = record.tasks["S1"].model_copy(update={"trainings": trainings or None})
    return record.model_copy(update={"tasks": {"S1": task}})


def cells(text: str | None) -> list[list[str]]:
    assert text is not None
    return [line.split() for line in text.split("\n\n")[1].splitlines()[2:]]


def test_a_row_for_each_method_task_and_stage() -> None:
    phases = {"stages": {"cl": report([0.1, 0.3], "spearman"), "ft": report([0.5, 0.9, 0.8, 0.7])}}
    found = cells(render("small", [learnt(phases)]))
    assert found == [
        ["ft", "S1", "cl", "spearman", "20", "20", "60", "10.00", "10.00", "30.00"],
        ["ft", "S1", "ft", "accuracy", "40", "20", "60", "50.00", "90.00", "90.00"],
    ]


def test_seeds_and_folds_are_averaged() -> None:
    records = [
        learnt(report([0.2, 0.4]), report([0.4, 0.6])),
        learnt(report([0.6, 0.8, 0.9]), report([0.8, 0.8]), seed=1),
    ]
    assert cells(render("small", records)) == [
        ["ft", "S1", "–", "accuracy", "22", "20", "60", "50.00", "50.00", "67.50"]
    ]


def test_the_training_of_a_model_and_the_lowest_loss() -> None:
    model = make_record("sct", {"S1": 0.7}, training=report([0.5, 0.6], "spearman"))
    falling = learnt(report([2.0, 1.0, 1.5], "loss", best_step=None, seconds=None))
    assert cells(render("small", [model, falling])) == [
        ["sct", "–", "–", "spearman", "20", "20", "60", "50.00", "50.00", "60.00"],
        ["ft", "S1", "–", "loss", "30", "–", "–", "2.000", "2.000", "1.000"],
    ]


@pytest.mark.parametrize(
    "training",
    [
        None,
        {},
        {"dev": []},
        {"dev": "none"},
        {"dev": [1]},
        {"dev": [{"step": 1}]},
        {"dev": [{"step": "a", "loss": 1.0}]},
        {"stages": [1]},
        {"stages": {"x": 1}},
    ],
)
def test_what_has_no_curve(training: Any, tmp_path: Path) -> None:
    record = make_record("sct", {"S1": 0.7}, training=training)
    assert find_learning([record]) == []
    assert render("small", [record]) is None
    draw = drawing("charts.learning").draw
    with pytest.raises(DataError, match="no learning curves found to draw"):
        draw({"small": [record]}, tmp_path / "x.svg")


def test_drawings(tmp_path: Path) -> None:
    draw = drawing("charts.learning").draw
    phases = {"stages": {"cl": report([0.1, 0.3], "spearman"), "ft": report([0.5, 0.9])}}
    records = [learnt(phases, seed=seed) for seed in (0, 1)]
    paths = [tmp_path / f"{name}.svg" for name in "ab"]
    for path in paths:
        draw({"small": records}, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    text = paths[0].read_text()
    # A panel a stage, and a line a seed in each.
    assert text.count(">Steps<") == 2
    assert text.count(">seed 1<") == 2
    with pytest.raises(UsageError, match="--plot draws one suite"):
        draw({"small": records, "other": records}, tmp_path / "c.svg")
