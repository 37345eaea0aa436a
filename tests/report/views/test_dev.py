"""The view of dev scores: the best evaluation of each training, and nothing of the test rows."""

from __future__ import annotations

from typing import Any

from bench.records.entries import Record
from bench.report.views.dev import render
from tests.support.records import record_of, task_of


def trained(spec: str, dev: Any, seed: int = 0) -> Record:
    tasks = {"STS": task_of("sts", 0.99)}
    method = {"trained": True, "base": "minilm"}
    return record_of(spec, tasks, training={"dev": dev}, seed=seed, method=method)


def evaluated(*scores: tuple[int, float, float]) -> list[dict[str, float]]:
    return [{"step": step, "spearman": mean, "whole": whole} for step, mean, whole in scores]


def cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_best_evaluation_of_each_seed() -> None:
    records = [
        trained("sct[lr=1]", evaluated((30, 0.5, 0.9), (60, 0.7, 0.6), (90, 0.6, 0.8))),
        trained("sct[lr=1]", evaluated((30, 0.8, 0.7), (60, 0.4, 0.3)), seed=1),
        trained("sct[lr=2]", [{"step": 30, "spearman": 0.25}]),
    ]
    text = render("small", records, style="markdown")
    assert text is not None
    assert text.startswith("### small by dev scores")
    assert cells(text) == [
        ["`sct[lr=1] local`", "2", "75.00", "65.00", "60, 30", "65.00", "50.00"],
        ["`sct[lr=2] local`", "1", "25.00", "", "30", "25.00", "25.00"],
    ]
    assert "99" not in text


def test_trainings_without_evaluations_are_left_out() -> None:
    untold = record_of("random", {"STS": task_of("sts", 0.5)})
    others = [trained("ft", {"accuracy": 1}), trained("sct", []), trained("minbert", ["x"]), untold]
    assert render("small", others) is None
    text = render("small", [*others, trained("simcse", [{"step": 1, "spearman": 0.5}])])
    assert text is not None
    assert "simcse local" in text
    assert "minbert" not in text
