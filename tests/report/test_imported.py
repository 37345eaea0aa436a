"""Result files of mteb: a score that is one, a model that is told from its other revision."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.stats.bootstrap import percentile_interval
from tests.support.records import items_of, record_of, task_of, write_in
from tests.support.suites import Bench

RESULTS = Path("mteb")


def write_result(
    scores: Any, *, name: str = "org/known", revision: str = "0123456789ab", folder: str = "r"
) -> Path:
    """Write a result file of the task STS12, as mteb lays it out."""
    place = RESULTS / folder / name.replace("/", "__") / revision
    place.mkdir(parents=True, exist_ok=True)
    (place / "model_meta.json").write_text(json.dumps({"name": name, "revision": revision}))
    result = {"task_name": "STS12", "mteb_version": "2.26.0", "scores": scores}
    path = place / "STS12.json"
    path.write_text(json.dumps(result))
    return path


def subsets(*values: Any) -> dict[str, Any]:
    return {"test": [{"hf_subset": "default", "main_score": value} for value in values]}


@pytest.fixture
def table(bench: Bench) -> Any:
    """Call of the table in a format, beside a record by MTEB's convention."""
    replicates = np.linspace(0.4, 0.6, 41)
    interval = percentile_interval(replicates)
    tasks = {"A": task_of("sts", 0.5, items=9, ci95=interval, mteb="STS12")}
    items = items_of(tasks, {"A": replicates})
    record = record_of("own", tasks, items=items, convention="mteb", average_ci95=interval)
    write_in(Path("now"), "own", record, items)
    return lambda style="json": bench("table", "now", "--mteb", RESULTS, "--format", style)


NOT_SCORES: dict[str, tuple[Any, str]] = {
    "NaN": (subsets(math.nan), "a main_score of split test is nan"),
    "one of two": (subsets(0.7, math.nan), "a main_score of split test is nan"),
    "infinite": (subsets(math.inf), "a main_score of split test is inf"),
    "huge": (subsets(1e308), "a main_score of split test is 1e+308"),
    "null": (subsets(None), "a main_score of split test is None"),
    "text": (subsets("0.7"), "a main_score of split test is '0.7'"),
    "truth": (subsets(True), "a main_score of split test is True"),
    "no subsets": (subsets(), "split test has no subsets"),
    "another split": ({"dev": []}, "split dev has no subsets"),
    "no splits": ({}, "it has no splits"),
}


@pytest.mark.parametrize("case", NOT_SCORES)
def test_what_is_no_score_is_left_out_and_told(case: str, table: Any) -> None:
    scores, message = NOT_SCORES[case]
    path = write_result(scores)
    write_result(subsets(0.4, 0.6), name="org/good")
    code, out, err = table()
    assert code == 0
    assert err == f"bench: {path}: left out: {message}; run that task again with mteb\n"
    rows = json.loads(out, parse_constant=pytest.fail)[0]["rows"]
    assert {row["spec"]: row["average"] for row in rows} == {"own": 0.5, "org/good": 0.5}


def test_two_revisions_are_two_names(table: Any) -> None:
    write_result(subsets(0.6), revision="0123456789ab")
    write_result(subsets(0.7), revision="0123456789cd")
    write_result(subsets(0.8), name="org/other")
    rows = json.loads(table()[1])[0]["rows"]
    assert {row["spec"]: row["average"] for row in rows} == {
        "org/other": 0.8,
        "org/known@0123456789c": 0.7,
        "org/known@0123456789a": 0.6,
        "own": 0.5,
    }


def test_one_score_in_two_folders_is_one_and_two_are_refused(table: Any) -> None:
    write_result(subsets(0.6), folder="a")
    write_result(subsets(0.6), folder="b")
    assert table()[0] == 0
    write_result(subsets(0.7), folder="b")
    code, _, err = table()
    assert (code, "have different scores of org/known on STS12" in err) == (4, True)


def test_files_that_are_none_are_passed_over(table: Any) -> None:
    place = write_result(subsets(0.6)).parent
    os.mkfifo(place / "Pipe.json")
    (place / "Zero.json").symlink_to("/dev/zero")
    (place / "Deep.json").write_text("[" * 100_000)
    (place / "model_meta.json").write_text("[]")
    assert "org/known" in table("csv")[1]
