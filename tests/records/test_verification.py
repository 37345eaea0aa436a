"""A record whose figures do not follow from its items is not shown, compared or judged."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from bench.core.errors import DataError
from bench.records import files as records
from bench.records.files import read_verified, sha256
from bench.records.verification import check_figures
from bench.stats.bootstrap import percentile_interval
from tests.support.claims import write
from tests.support.kinds import OTHER, TASKS, Fields, run, write_rows
from tests.support.records import record_of, task_of, write_edited
from tests.support.suites import Bench

Content = dict[str, Any]
Items = dict[str, NDArray[Any]]


@pytest.fixture
def path(bench: Bench) -> Path:
    """A record and its like, in the folders ``now`` and ``base``."""
    write("good", folder=Path("base"))
    return write("good", 0.01, folder=Path("now"))


def verbs(bench: Bench) -> dict[str, tuple[int, str, str]]:
    """What is said by every verb that judges or shows records."""
    return {
        "table": bench("table", "now"),
        "view": bench("table", "now", "--view", "geometry"),
        "compare": bench("compare", "now", "base"),
        "gate": bench("gate", "now", "--baseline", "base"),
        "baseline": bench("gate", "base", "--baseline", "now"),
        "export": bench("export", "now", "--to", "tree"),
    }


def refused(bench: Bench, path: Path, message: str) -> None:
    for verb, (code, out, err) in verbs(bench).items():
        assert (code, out) == (4, ""), (verb, err)
        assert path.name.partition(".")[0] in err, verb
        assert message in err, verb


def test_what_is_whole_is_shown_and_judged(bench: Bench, path: Path) -> None:
    found = {verb: code for verb, (code, _, _) in verbs(bench).items()}
    # Nothing there is MTEB's or has a geometry, and what it is judged by is better.
    assert found == {"table": 0, "view": 4, "compare": 0, "gate": 0, "baseline": 1, "export": 4}


def _shift(content: Content) -> None:
    content["tasks"]["pairs"]["main"] = content["average"] = content["average_of_rounded"] = 0.99


FIGURES: dict[str, tuple[Callable[[Content], Any], str]] = {
    "average": (lambda c: c.update(average=0.99), "average is 0.99, but its tasks give 0.5"),
    "huge": (lambda c: c.update(average=1e308), "average is 1e+308"),
    "rounded": (lambda c: c.update(average_of_rounded=0.99), "average_of_rounded is 0.99"),
    "no number": (lambda c: c.update(average=math.nan), "not a record: average"),
    "main": (_shift, "main is 0.99, outside of all its replicates"),
    "range": (
        lambda c: c["tasks"]["pairs"].update(main=1.5),
        "main is 1.5, which is out of range for Spearman",
    ),
    "metrics": (lambda c: c["tasks"]["pairs"].update(metrics={"x": 0.1}), "none of its metrics"),
    "interval": (lambda c: c["tasks"]["pairs"].update(ci95=[0.5, 0.6]), "ci95 is 0.5 to 0.6"),
    "no interval": (lambda c: c["tasks"]["pairs"].update(ci95=None), "ci95 is missing"),
    "average interval": (lambda c: c.update(average_ci95=[0, 1]), "average_ci95 is 0 to 1"),
    "no average interval": (lambda c: c.update(average_ci95=None), "average_ci95 is missing"),
    "nothing averaged": (lambda c: c.update(averaged_tasks=[]), "averaged_tasks are []"),
    "another averaged": (lambda c: c.update(averaged_tasks=["x"]), "averaged_tasks are ['x']"),
    "fewer items": (lambda c: c["tasks"]["pairs"].update(items=39), "which does not fit 39 items"),
    "training": (lambda c: c.update(training={"seconds": [math.inf]}), "training holds NaN or inf"),
    "no float": (
        lambda c: c.update(training={"seconds": 10**400}),
        "a number too large for a float",
    ),
    "no size": (lambda c: c.update(peak_memory_bytes=10**400), "not a record: peak_memory_bytes"),
    "no time": (lambda c: c["timings"].update(encode=-1), "not a record: timings.encode"),
    "no items": (
        lambda c: c["tasks"]["pairs"].update(phenomena={"x": {"value": 0.5, "items": 41}}),
        "a phenomenon counts no items, or more than there are",
    ),
    "no value": (
        lambda c: c["tasks"]["pairs"].update(phenomena={"x": {"value": 7, "items": 1}}),
        "not a record: tasks.pairs.phenomena.x.value",
    ),
    "grid": (
        lambda c: c.update(grid=[{"layers": 1, "dim": 2, "tasks": {"pairs": 0.5}, "average": 0.9}]),
        "average at layer 1 is 0.9, not that of its tasks",
    ),
    "contamination": (
        lambda c: c["tasks"]["pairs"].update(
            contamination={"texts": 0, "exact": 0, "normalised": 1}
        ),
        "contamination counts more texts than there are",
    ),
}


@pytest.mark.parametrize("case", FIGURES)
def test_edited_figures_are_refused(case: str, bench: Bench, path: Path) -> None:
    edit, message = FIGURES[case]
    content = json.loads(path.read_text())
    edit(content)
    write_edited(path, content)
    refused(bench, path, message)


@pytest.mark.parametrize(
    "change", [{"dimension": 27}, {"created": "never"}, {"versions": {"torch": "0"}}, {"seed": 1}]
)
def test_what_no_figure_tells_is_told_by_the_checksum(
    change: Content, bench: Bench, path: Path
) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused(bench, path, "was changed after it was written; run that cell again")


def seal(path: Path, packed: bytes) -> None:
    """Write other items than a record has, and say in it that they are its own."""
    path.with_suffix(".items.safetensors").write_bytes(packed)
    content = json.loads(path.read_text()) | {"items_sha256": sha256(packed)}
    write_edited(path, content)


def _cast(name: str, dtype: str) -> Callable[[Items], Any]:
    return lambda items: items.update({name: items[name].astype(dtype)})


def _set(name: str, value: float) -> Callable[[Items], Any]:
    return lambda items: items[name].__setitem__(3, value)


VALUE, REPLICATES, AVERAGE = "pairs/value", "pairs/replicates", "average/replicates"
ARRAYS: dict[str, tuple[Callable[[Items], Any], str]] = {
    "none": (lambda items: items.clear(), "the arrays of its 40 items are missing"),
    "no values": (lambda items: items.pop(VALUE), "task pairs: value is missing"),
    "no replicates": (lambda items: items.pop(REPLICATES), "task pairs: replicates is missing"),
    "no average": (lambda items: items.pop(AVERAGE), "average/replicates are missing"),
    "bytes": (_cast(VALUE, "int8"), "value is int8"),
    "halves": (_cast(VALUE, "float16"), "value is float16"),
    "coarse replicates": (_cast(REPLICATES, "float32"), "replicates are float32"),
    "bytes as replicates": (_cast(AVERAGE, "int8"), "average/replicates are missing"),
    "shorter": (
        lambda items: items.update({VALUE: items[VALUE][:9]}),
        "which does not fit 40 items",
    ),
    "one replicate": (lambda items: items.update({REPLICATES: np.ones(1)}), "not several"),
    "a table": (lambda items: items.update({VALUE: items[VALUE][:, None]}), "not one float32"),
    "NaN": (_set(VALUE, math.nan), "value holds NaN or infinity"),
    "beyond 1": (_set(VALUE, 1.5), "value is not between 0 and 1"),
    "infinite": (_set(REPLICATES, math.inf), "replicates are infinite"),
    "another average": (_set(AVERAGE, 0.9), "average/replicates are not those of its tasks"),
    "other replicates": (_set(REPLICATES, 1e308), "but the replicates give"),
    "unknown": (lambda items: items.update({"x/value": np.ones(3)}), "'x' is not a task"),
    "empty": (lambda items: items.update({"pairs/x": np.ones(0, np.float32)}), "x is float32 of"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_items_of_another_form_are_refused(case: str, bench: Bench, path: Path) -> None:
    edit, message = ARRAYS[case]
    items = dict(records.read_items(path))
    edit(items)
    seal(path, save(items))
    refused(bench, path, message)


def test_a_type_that_numpy_lacks_is_refused(bench: Bench, path: Path) -> None:
    header = json.dumps({"a/b": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    seal(path, len(header).to_bytes(8, "little") + header + b"\0\0")
    refused(bench, path, "cannot be read")


def _pipe(place: Path) -> None:
    place.unlink()
    os.mkfifo(place)


def _link(place: Path) -> None:
    place.unlink()
    place.symlink_to("/dev/zero")


def _folder(place: Path) -> None:
    place.unlink()
    place.mkdir()


def _large(place: Path) -> None:
    with place.open("r+b") as stream:
        stream.truncate(2**31)


PLACES: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (_pipe, "not a regular file"),
    "device": (_link, "not a regular file"),
    "large": (_large, "larger than"),
    "missing": (Path.unlink, "cannot be read: No such file or directory; run that cell again"),
}


@pytest.mark.parametrize("case", [*PLACES, "folder"])
def test_items_are_a_regular_file_of_some_size(case: str, bench: Bench, path: Path) -> None:
    break_it, message = PLACES.get(case, (_folder, "not a regular file"))
    break_it(path.with_suffix(".items.safetensors"))
    refused(bench, path, message)


@pytest.mark.parametrize("case", ["pipe", "device", "large"])
def test_a_record_is_a_regular_file_of_some_size(case: str, bench: Bench, path: Path) -> None:
    break_it, message = PLACES[case]
    break_it(path)
    refused(bench, path, message)


def test_a_link_to_a_record_is_one(bench: Bench, path: Path) -> None:
    for place in (path, path.with_suffix(".items.safetensors")):
        place.symlink_to(place.rename(Path(place.name)).resolve())
    assert bench("table", "now")[0] == 0


def test_other_json_in_a_folder_is_no_record(bench: Bench, path: Path) -> None:
    os.mkfifo("now/pipe.json")
    Path("now/zero.json").symlink_to("/dev/zero")
    Path("now/notes.json").write_text("[")
    (Path("now") / "folder.json").mkdir()
    assert bench("table", "now")[0] == 0


SCORES: list[tuple[str, Fields]] = [
    *((kind, {}) for kind in TASKS if kind != "nli"),
    ("classification", {"metric": '"f1"', "columns": '{ label = "flag" }'}),
    ("classification", {"metric": '"f1_macro"'}),
    ("classification", {"train": OTHER}),
    ("sts", {"aggregation": '"mean"'}),
]


@pytest.mark.parametrize(("kind", "change"), SCORES)
def test_a_score_is_that_of_its_items(kind: str, change: Fields, bench: Bench) -> None:
    write_rows("rows.jsonl", 0)
    write_rows("other.jsonl", 40)
    run(bench, "one", kind, change)
    (path,) = Path("one").rglob("*seed0.json")
    assert read_verified(path).suite == "suite"
    content = json.loads(path.read_text())
    task = content["tasks"]["T"]
    # Two points where it follows from the items, else out of what resamples of them give.
    exact = "aggregation" not in change and (change or kind not in {"classification", "dimension"})
    score = 0.97 if not exact else task["main"] + (0.02 if task["main"] < 0.9 else -0.02)
    task["metrics"] |= {
        name: score for name, value in task["metrics"].items() if value == task["main"]
    }
    task["main"] = content["average"] = score
    content["average_of_rounded"] = round(100 * score, 2) / 100
    write_edited(path, content)
    code, _, err = bench("table", "one")
    assert (code, "but the items give" in err or "outside of all" in err) == (4, True), err
    command = ("run", "--suite", "suite.toml", "--methods", "good", "--output", "one")
    assert bench(*command)[0] == 0
    assert read_verified(path).average != score


def test_a_dimension_may_be_above_a_hundred() -> None:
    for metric in ("TwoNN", "MRR"):
        task = task_of("new", 1.2, metric=metric, metrics={"main": 1.2})
        if metric == "TwoNN":
            check_figures(Path("x"), record_of("a", {"T": task}))
        else:
            with pytest.raises(DataError, match=r"main is 1.2, which is out of range for MRR"):
                check_figures(Path("x"), record_of("a", {"T": task}))


@pytest.mark.parametrize("metric", ["Spearman", "Pearson", "MRR"])
def test_a_correlation_may_be_negative_whatever_the_kind(metric: str) -> None:
    task = task_of("new", -0.2, metric=metric, metrics={"main": -0.2})
    record = record_of("a", {"T": task})
    if metric == "MRR":
        with pytest.raises(DataError, match=r"main is -0.2, which is out of range for MRR"):
            check_figures(Path("a.json"), record)
    else:
        check_figures(Path("a.json"), record)


def test_replicates_may_be_undefined_in_some_resamples(bench: Bench, path: Path) -> None:
    items = dict(records.read_items(path))
    items[REPLICATES][3] = items[AVERAGE][3] = math.nan
    seal(path, save(items))
    content = json.loads(path.read_text())
    interval = percentile_interval(items[AVERAGE])
    content["tasks"]["pairs"]["ci95"] = content["average_ci95"] = interval
    write_edited(path, content)
    assert bench("table", "now")[0] == 0
