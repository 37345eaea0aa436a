"""A record says how its tasks were scored, and what was scored otherwise is never compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import pytest

from bench.records.entries import Record
from bench.records.files import find_records, read_record
from bench.suite import KINDS, MtebSpec, OwnSpec, load_suite, row_columns
from bench.suite.protocol import task_protocol
from bench.verdicts.protocol import ProtocolError, most_common
from bench.verdicts.side import refuse_mixed_seeds
from tests.support.claims import write_toml
from tests.support.kinds import FILE, OTHER, Fields, run, write_rows
from tests.support.records import record_of, task_of, write_edited
from tests.support.suites import Bench

Change = tuple[Fields, Fields]
TRAIN: Fields = {"train": OTHER}
SUPERVISED: Fields = {**TRAIN, "track": '"supervised"'}
SHOTS: Fields = {**TRAIN, "convention": '"mteb"'}
SPLIT: Fields = {**TRAIN, "dev": OTHER}
TORCH: Fields = {**SPLIT, "probe": '"torch"'}
PAIR: Fields = {"texts": '["text", "other"]', "features": '"absdiff_product"'}
EACH: dict[str, list[Change]] = {
    "name": [({}, {"name": '"U"'})],
    "data": [({}, {"data": OTHER})],
    "mteb": [({}, {"mteb": '"STS12"'})],
    "convention": [({}, {"convention": '"useb"'})],
}
PROBED: dict[str, list[Change]] = {
    "train": [({}, TRAIN)],
    "dev": [(TRAIN, {"dev": OTHER})],
    "folds": [({}, {"folds": "5"})],
    "probe": [(SPLIT, TORCH), *((SPLIT, {"probe": f'"{name}"'}) for name in ("svm", "rf", "nb"))],
}


def plain(kind: str) -> dict[str, list[Change]]:
    """Changes of a kind whose entry has the fields of all kinds alone."""
    renamed = f'{{ {row_columns(kind)[0]} = "other" }}'
    return EACH | {
        "kind": [({}, {"kind": '"clustering"'})],
        "columns": [({}, {"columns": renamed})],
    }


# Each field of a task, and the convention: what it is changed to, after which other changes.
CHANGES: dict[str, dict[str, list[Change]]] = {kind: plain(kind) for kind in KINDS} | {
    "sts": EACH
    | {
        "kind": [({}, {"kind": '"pair_classification"', "columns": '{ label = "flag" }'})],
        "aggregation": [({}, {"aggregation": '"mean"'}), ({}, {"aggregation": '"wmean"'})],
        "columns": [({}, {"columns": '{ score = "flag" }'})],
    },
    "classification": EACH
    | PROBED
    | {
        "kind": [({"folds": None}, {"kind": '"clustering"'})],
        "columns": [
            ({}, {"columns": '{ text = "other" }'}),
            ({}, {"columns": '{ label = "flag" }'}),
        ],
        "texts": [({}, {"texts": '["other"]'})],
        "features": [(PAIR, {"features": '"concat_absdiff_product"'})],
        "samples_per_label": [(SHOTS, {"samples_per_label": "2"})],
        "experiments": [(SHOTS, {"experiments": "3"})],
        "metric": [({}, {"metric": '"f1_macro"'})],
        "track": [(TRAIN, SUPERVISED)],
        "pool": [(SUPERVISED, {"pool": OTHER})],
    },
    "nli": EACH
    | PROBED
    | {
        "kind": [({}, {"kind": '"classification"', **PAIR})],
        "columns": [({}, {"columns": '{ premise = "hypothesis", hypothesis = "premise" }'})],
        "features": [({}, {"features": '"absdiff_product"'})],
        "regularise": [(TORCH, {"regularise": "false"})],
        "pool": [],
    },
    "pair_classification": EACH
    | {
        "kind": [({}, {"kind": '"sts"', "columns": None})],
        "columns": [({}, {"columns": '{ sentence1 = "other", label = "flag" }'})],
    },
    "reranking": EACH
    | {
        "kind": [({}, {"kind": '"clustering"'})],
        "columns": [({}, {"columns": '{ positive = "negative", negative = "positive" }'})],
    },
    "retrieval": EACH
    | {
        "kind": [({}, {"kind": '"clustering"'})],
        "columns": [({}, {"columns": '{ positive = "negative", negative = "positive" }'})],
        "rows": [({}, {"rows": '"pairs"', "columns": '{ label = "flag" }'})],
        "same_id": [({}, {"same_id": '"drop"'})],
        # They name rows, whose checksum tells.
        "corpus": [],
        "queries": [],
        "qrels": [],
    },
    "clustering": EACH
    | {
        "kind": [({}, {"kind": '"classification"'})],
        "columns": [({}, {"columns": '{ label = "subset" }'})],
    },
    "dimension": EACH
    | {
        "kind": [({}, {"kind": '"clustering"'})],
        "columns": [({}, {"columns": '{ text = "other" }'})],
    },
    "relatedness": EACH
    | {
        "train": [({}, {"train": FILE})],
        "dev": [({}, {"dev": FILE})],
        "kind": [({}, {"kind": '"sts"', "train": None, "dev": None})],
        "columns": [({}, {"columns": '{ score = "flag" }'})],
        "classes": [({}, {"classes": "9"})],
        "track": [({}, {"track": '"supervised"'})],
        "pool": [(SUPERVISED, {"pool": OTHER})],
    },
}
CASES = [
    pytest.param(kind, before, after, id=f"{kind}-{field}-{number}")
    for kind, fields in CHANGES.items()
    for field, changes in fields.items()
    for number, (before, after) in enumerate(changes)
]


def test_every_field_of_a_task_is_changed() -> None:
    for spec in get_args(OwnSpec):
        kind = spec.model_fields["kind"].annotation.__args__[0]
        assert set(CHANGES[kind]) == {*spec.model_fields, "convention"}


def scores(folder: str) -> list[tuple[str, dict[str, float], float]]:
    records = [read_record(path) for path in find_records([Path(folder)])]
    return [
        (one.method.spec, {name: task.main for name, task in one.tasks.items()}, one.average)
        for one in records
        if one.method.spec == "good"
    ]


@pytest.mark.parametrize(("kind", "before", "after"), CASES)
def test_a_changed_field_changes_no_score_or_is_refused(
    kind: str, before: Fields, after: Fields, bench: Bench
) -> None:
    write_rows("rows.jsonl", 0)
    write_rows("other.jsonl", 40)
    run(bench, "one", kind, before)
    run(bench, "other", kind, before, after)
    if scores("one") == scores("other"):
        return
    one, other = (next(Path(folder).rglob("good-*seed0.json")) for folder in ("one", "other"))
    for arguments in (("compare", one, other), ("gate", "other", "--baseline", "one")):
        code, out, err = bench(*arguments)
        assert (code, out) == (2, ""), err
    marked(bench)


def marked(bench: Bench) -> None:
    """A table of both refuses them, or marks the row that was scored otherwise."""
    for path in Path("other").rglob("good-*"):
        path.unlink()
    code, out, err = bench("table", "one", "other")
    if code == 0:
        assert "≠" in out or "≢" in out
    else:
        assert "differently" in err


CHANGED = {
    "metric": ("classification", {"metric": '"f1_macro"'}, '("accuracy" and "f1_macro")'),
    "aggregation": ("sts", {"aggregation": '"mean"'}, '("all" and "mean")'),
    "folds": ("classification", {"folds": "5"}, "(3 and 5)"),
}


@pytest.mark.parametrize("field", CHANGED)
def test_task_and_field_of_another_protocol_are_named(field: str, bench: Bench) -> None:
    kind, change, values = CHANGED[field]
    write_rows("rows.jsonl", 0)
    run(bench, "one", kind)
    run(bench, "other", kind, change)
    one, other = (next(Path(folder).rglob("good-*seed0.json")) for folder in ("one", "other"))
    said = f"the protocol of task T differs in {field} {values}"
    reverse = f"the protocol of task T differs in {field} ({values[1:-1].split(' and ')[1]} and"
    assert said in bench("compare", one, other)[2]
    assert reverse in bench("gate", "other", "--baseline", "one")[2]
    for path in Path("other").rglob("good-*"):
        path.unlink()
    out = bench("table", "one", "other")[1]
    assert next(line for line in out.splitlines() if "good2" in line).count("≢") == 1
    note = "≢ scored by another protocol than most here (T: "
    assert f"{note}{field} {values}); run all again on the same suite." in " ".join(out.split())
    assert r"$\not\equiv$" in bench("table", "one", "other", "--format", "latex")[1]
    rows = json.loads(bench("table", "one", "other", "--format", "json")[1])[0]["rows"]
    assert {row["spec"]: row["other_protocol"] for row in rows} == {
        "good": {},
        "good2": {"T": f"{field} {values}"},
    }


def test_other_subsets_are_another_protocol(bench: Bench) -> None:
    write_rows("rows.jsonl", 0)
    mean = {"aggregation": '"mean"'}
    run(bench, "one", "sts", mean)
    lines = [json.loads(line) for line in Path("rows.jsonl").read_text().splitlines()]
    for number, row in enumerate(lines):
        row["subset"] = f"part {number % 3}"
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    shutil.copytree("one", "kept")
    run(bench, "one", "sts", mean)
    now, kept = (next(Path(folder).rglob("good-*seed0.json")) for folder in ("one", "kept"))
    assert now.read_bytes() != kept.read_bytes()
    code, _, err = bench("compare", now, kept)
    assert (code, "the protocol of task T differs in subsets" in err) == (2, True), err


def test_claims_and_views_tell_of_other_protocols(bench: Bench) -> None:
    write_rows("rows.jsonl", 0)
    run(bench, "one", "sts")
    run(bench, "other", "sts", {"aggregation": '"mean"'})
    for path in Path("other").rglob("good-*"):
        path.unlink()
    write_toml(a='"good"', b='"good2"', suite='"suite.toml"', seeds=1)
    code, out, err = bench("claims", "paper.toml", "--records", "one", "--records", "other")
    assert (code, out) == (2, "")
    assert 'the protocol of task T differs in aggregation ("all" and "mean")' in err
    code, out, _ = bench("table", "one", "other", "--view", "geometry")
    assert code == 0
    assert 'here: good2 (T: aggregation ("all" and "mean")); run' in " ".join(out.split())
    shutil.copytree("one", "again")
    code, _, err = bench("table", "one", "again", "--view", "geometry")
    assert (code, "is both in" in err) == (4, True)


def without_protocol(path: Path) -> None:
    """Make a record one from before protocols were kept."""
    content = json.loads(path.read_text())
    for task in content["tasks"].values():
        del task["protocol"]
    write_edited(path, content)


def test_a_record_without_protocols_is_compared_by_what_it_has(bench: Bench) -> None:
    write_rows("rows.jsonl", 0)
    run(bench, "one", "classification")
    run(bench, "other", "classification", {"folds": "5"})
    shutil.copytree("one", "old")
    (old,) = Path("old").rglob("*seed0.json")
    without_protocol(old)
    assert bench("gate", "one", "--baseline", "old")[0] == 0
    assert bench("gate", "old", "--baseline", "one")[0] == 0
    # The folds are not known, the metric is.
    other = next(Path("other").rglob("good-*seed0.json"))
    assert bench("compare", old, other)[0] == 0
    run(bench, "other", "classification", {"metric": '"f1_macro"'})
    code, _, err = bench("gate", "other", "--baseline", "old")
    assert (code, "the protocol of task T differs in metric" in err) == (2, True)


def scored(spec: str, protocol: Mapping[str, object] | None, **changes: object) -> Record:
    entry = task_of("classification", 0.5, metric="accuracy", protocol=protocol)
    return record_of(spec, {"T": entry}, **changes)


def test_what_most_rows_have_is_what_others_are_held_to() -> None:
    records = [scored(name, {"folds": 5}) for name in "ab"] + [scored("c", {"folds": 3})]
    old = [scored(name, None) for name in "defg"]
    assert most_common([*old, *reversed(records)]).tasks["T"].protocol == {"folds": 5}
    assert most_common(old) is old[0]


def test_seeds_of_two_protocols_are_no_method() -> None:
    found = [(Path(f"{i}.json"), scored("a", {"folds": i}, seed=i)) for i in (3, 5)]
    with pytest.raises(ProtocolError, match=r"task T differs in folds \(3 and 5\)"):
        refuse_mixed_seeds(found)


def test_other_averaged_tasks_are_another_average(bench: Bench) -> None:
    write_rows("rows.jsonl", 0)
    run(bench, "one", "sts")
    suite = Path("suite.toml").read_text()
    task = suite.partition("[[tasks]]")[2]
    for folder, average in (("both", '["T", "U"]'), ("first", '["T"]')):
        second = task.replace('"T"', '"U"').replace("rows", "other")
        write_rows("other.jsonl", 40)
        Path("suite.toml").write_text(
            suite.replace('average = ["T"]', f"average = {average}") + "[[tasks]]" + second
        )
        command = ("run", "--suite", "suite.toml", "--methods", "good", "--output", folder)
        assert bench(*command)[0] == 0
    code, _, err = bench("gate", "both", "--baseline", "first")
    assert (code, "their averaged tasks differ" in err) == (2, True)


def test_a_task_of_mteb_has_its_revision_and_benchmark(tmp_path: Path) -> None:
    spec = MtebSpec(kind="mteb", name="STS12", revision="a", benchmark="b", data="x/y:test")
    path = tmp_path / "suite.toml"
    path.write_text(
        'name = "s"\ntitle = "x"\nconvention = "mteb"\naverage = ["T"]\n'
        '[[tasks]]\nname = "T"\nkind = "sts"\ndata = "x/y:test"\ncolumns = { score = "z" }\n'
    )
    suite = load_suite(str(path))
    found = task_protocol(suite, spec)
    assert found["revision"] == "a"
    assert found["benchmark"] == "b"
    # The rows of a named set have one checksum, whichever of their columns are read.
    assert task_protocol(suite, suite.tasks[0])["columns"] == {"score": "z"}
