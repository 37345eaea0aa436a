"""A score says by which statistic it is compared; older records tell it by their metric."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.records.entries import Evidence
from bench.records.evidence import evidence_of
from bench.records.files import find_records, read_items, read_record
from bench.stats.mcnemar import are_votes
from bench.verdicts.difference import _TESTS, _shared_evidence, difference
from bench.verdicts.side import Side
from tests.support.kinds import OTHER, TASKS, Fields, run, write_rows
from tests.support.records import write_edited
from tests.support.suites import Bench

BASELINES = Path(__file__).parents[2] / "results" / "baselines"
METHODS = {
    "votes": "McNemar's exact test, BCa interval",
    "means": "permutation test, BCa interval",
    "replicates": "paired bootstrap, percentile interval",
}
# Kind, changes of the task, and the evidence of its score.
MADE: list[tuple[str, Fields, str]] = [
    *(
        (kind, {}, "means" if kind in {"reranking", "retrieval"} else "replicates")
        for kind in TASKS
        if kind not in {"classification", "nli"}
    ),
    ("classification", {"train": OTHER}, "votes"),
    # Forty items in five folds weigh alike, in three they do not.
    ("classification", {"folds": "5"}, "votes"),
    ("classification", {"folds": "3"}, "replicates"),
    ("classification", {"train": OTHER, "metric": '"f1_macro"'}, "replicates"),
]


def test_every_evidence_has_a_statistic() -> None:
    assert _TESTS.keys() == {*get_args(Evidence)}


def by_name(metric: str, points: float, values: NDArray[Any], other: NDArray[Any]) -> str:
    """What the caption of a metric and the items of two methods once told."""
    plain = bool(np.isclose(values.mean(), points))
    votes = plain and set(np.unique([values, other]).tolist()) <= {0.0, 1.0}
    if metric in {"MAP", "nDCG@10"}:
        return "means"
    return "votes" if metric == "accuracy" and votes else "replicates"


def test_committed_records_tell_by_name_what_a_task_says_now() -> None:
    seen = set()
    for path in find_records([BASELINES]):
        record, items = read_record(path), read_items(path)
        for name, task in record.tasks.items():
            values = items[f"{name}/value"]
            told = by_name(task.metric, task.main, values, values)
            assert evidence_of(task, values) == told
            if task.metric == "accuracy":
                assert are_votes(values.astype(np.float64), task.main) == (told == "votes")
            seen.add(told)
    assert seen == {"votes", "means", "replicates"}


@pytest.mark.parametrize("suite", ["mini", "intent-supervised", "reranking"])
def test_committed_records_are_compared_as_ever(suite: str) -> None:
    paths = [path for path in find_records([BASELINES / suite]) if path.stem.endswith("seed0")]
    sides = [Side([(path, read_record(path))]) for path in paths]
    seen = {}
    for a, b in permutations(sides, 2):
        for task, entry in a.first.tasks.items():
            told = by_name(entry.metric, entry.main, a.values(task), b.values(task))
            assert _shared_evidence(task, a, b) == told
            seen[told] = (task, a, b)
    for told, pair in seen.items():
        assert difference(*pair).method == METHODS[told]


@pytest.mark.parametrize(("kind", "change", "evidence"), MADE)
def test_a_task_says_what_its_score_rests_on(
    kind: str, change: Mapping[str, Any], evidence: str, bench: Bench
) -> None:
    write_rows("rows.jsonl", 0)
    write_rows("other.jsonl", 40)
    run(bench, "one", kind, change)
    (path,) = Path("one").rglob("*seed0.json")
    task = read_record(path).tasks["T"]
    assert task.evidence == evidence
    if kind == "retrieval":
        # No older record is of it, whose metric would have to tell.
        return
    unsaid = task.model_copy(update={"evidence": None})
    assert evidence_of(unsaid, read_items(path)["T/value"]) == evidence


def test_the_metric_may_be_called_anything(bench: Bench) -> None:
    write_rows("rows.jsonl", 0)
    run(bench, "two", "reranking")
    for path in Path("two").rglob("*seed0.json"):
        path.write_text(path.read_text().replace('"MAP"', '"mean average precision"'))
        write_edited(path, json.loads(path.read_text()))
    a, b = (Side([(path, read_record(path))]) for path in find_records([Path("two")]))
    assert difference("T", a, b).method == METHODS["means"]


def test_votes_that_are_none_are_refused(bench: Bench) -> None:
    write_rows("rows.jsonl", 0)
    run(bench, "two", "classification", {"folds": "3"})
    for path in Path("two").rglob("*seed0.json"):
        content = json.loads(path.read_text())
        content["tasks"]["T"]["evidence"] = "votes"
        write_edited(path, content)
    code, _, err = bench("compare", "good", "good2", "--runs", "two")
    assert (code, "evidence is votes, but the score is not the share" in err) == (4, True)


def test_a_record_without_evidence_is_written_without() -> None:
    record = read_record(find_records([BASELINES / "reranking"])[0])
    assert "evidence" not in record.model_dump_json()
    task = next(iter(record.tasks.values())).model_copy(update={"evidence": "means"})
    assert task.model_dump()["evidence"] == "means"
