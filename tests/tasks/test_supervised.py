"""The supervised track scores the labels that a method itself predicts."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from pydantic import TypeAdapter
from sklearn.metrics import f1_score

from bench.cli.run import _on
from bench.core import registry
from bench.core.errors import CellError
from bench.method import Answer, Composition, Probabilities, Question
from bench.methods.majority import MajorityPredictor
from bench.records.entries import Record
from bench.records.files import find_records, read_items, read_record
from bench.suite import KINDS, ClassificationSpec, TaskSpec, load_suite
from bench.tasks.base import Predictions
from bench.tasks.kinds import task_class
from tests.support.stub_methods import Stub, _Letters
from tests.support.suites import WORDS, Bench

ENTRY: TypeAdapter[TaskSpec] = TypeAdapter(TaskSpec)


class Oracle(_Letters):
    """Learns a text's first word by heart, and notes what it was given."""

    given: ClassVar[list[tuple[int, int, int]]] = []

    def answer(self, question: Question) -> Answer:
        train = question.train
        dev = 0 if question.dev is None else len(question.dev.texts)
        self.given.append((len(train.texts), dev, question.seed))
        known = {row[0].split()[0]: label for row, label in zip(*vars(train).values(), strict=True)}
        labels = [known.get(row[0].split()[0], train.labels[0]) for row in question.texts]
        return Answer(
            labels, trainings=[{"dev": [{"step": 1, "accuracy": len(train.texts) / 100}]}]
        )


class OracleMethod(Stub):
    def build(self, ctx):
        return Oracle()


class Liar(Oracle):
    def answer(self, question: Question) -> Answer:
        return Answer(["no such label"] * len(question.texts))


class LiarMethod(Stub):
    def build(self, ctx):
        return Liar()


@pytest.fixture
def suite(tmp_path: Path, bench: Bench) -> Path:
    """Two classes by first word, one test row of six labelled wrongly."""
    for part, n in (("train", 20), ("dev", 10), ("test", 12)):
        rows = [
            {"text": f"{WORDS[i % 10]} number {i}", "label": i % 10 % 2 == (i != 3) or i == 3}
            for i in range(n)
        ]
        if part != "test":
            rows[3]["label"] = True
        for row in rows:
            row["label"] = "odd" if row["label"] else "even"
        if part == "test":
            rows[4]["label"] = "odd" if rows[4]["label"] == "even" else "even"
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{part}.jsonl").write_text(lines)
    path = tmp_path / "small.toml"
    parts = {"data": "test", "train": "train", "dev": "dev"}
    data = "".join(f'{key} = {{ file = "{part}.jsonl" }}\n' for key, part in parts.items())
    path.write_text(
        'name = "small"\ntitle = "x"\nconvention = "senteval"\naverage = ["words"]\n[[tasks]]\n'
        f'name = "words"\nkind = "classification"\ntrack = "supervised"\n{data}'
    )
    for name in ("Oracle", "Liar"):
        entry = EntryPoint(name.lower(), f"{__name__}:{name}Method", registry.METHODS)
        registry._entries(registry.METHODS)[name.lower()] = [entry]
    return path


def test_predictions_are_scored(bench: Bench, suite: Path, tmp_path: Path) -> None:
    Oracle.given.clear()
    code, out, err = bench(
        "run", "--suite", suite, "--methods", "oracle,tfidf", "--profile", "smoke"
    )
    assert code == 0, err
    path = next(p for p in find_records([tmp_path / "results"]) if "oracle" in p.name)
    record = read_record(path)
    assert Oracle.given == [(20, 10, 0)]
    assert record.average == pytest.approx(11 / 12)
    assert (record.dimension, record.encoding.texts) == (None, 0)
    assert read_items(path)["words/value"].sum() == 11
    assert "tfidf" in out


@pytest.mark.parametrize(("folds", "learnt"), [(False, [0.2]), (True, [0.08, 0.08, 0.08])])
def test_what_trainings_reported_is_kept_of_every_fold(
    bench: Bench, suite: Path, tmp_path: Path, folds: bool, learnt: list[float]
) -> None:
    if folds:
        text = suite.read_text().replace('dev = { file = "dev.jsonl" }\n', "folds = 3\n")
        suite.write_text(text.replace('train = { file = "train.jsonl" }\n', ""))
    code, _, err = bench("run", "--suite", suite, "--methods", "oracle,majority")
    assert code == 0, err
    records = {one.method.name: one for one in map(read_record, find_records([tmp_path]))}
    found = records["good"].tasks["words"].trainings or ()
    assert [one["dev"][0]["accuracy"] for one in found] == learnt
    # Records of methods that report nothing are as they were before.
    assert "trainings" not in records["majority"].model_dump_json()
    code, out, err = bench("table", "--view", "learning", "--suite", "small")
    assert code == 0, err
    assert "small by learning" in out


def test_a_label_that_is_none(bench: Bench, suite: Path) -> None:
    code, _, err = bench("run", "--suite", suite, "--methods", "liar")
    assert code == 3
    assert "which is not a label there" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("dev", [True, False])
def test_vectors_alone_are_scored_as_on_the_frozen_track(
    bench: Bench, suite: Path, tmp_path: Path, dev: bool
) -> None:
    text = suite.read_text()
    if not dev:
        text = text.replace('dev = { file = "dev.jsonl" }\n', "folds = 3\n")
    suite.write_text(text)
    frozen = suite.with_name("frozen.toml")
    frozen.write_text(
        text.replace('track = "supervised"\n', "").replace('name = "small"', 'name = "frozen"')
    )
    code, _, err = bench("run", "--suite", f"{suite},{frozen}", "--methods", "good")
    assert code == 0, err
    one, two = find_records([tmp_path / "results"])
    for name, values in read_items(one).items():
        np.testing.assert_array_equal(values, read_items(two)[name])
    own = next(r.tasks["words"] for r in map(read_record, (one, two)) if r.suite == "small")
    assert {"log_loss", "auroc"} < own.metrics.keys()


def classification(labels: list[Any], folds: int | None = None, **parts: list[Any]) -> Any:
    spec = ClassificationSpec.model_validate(
        {"name": "T", "kind": "classification", "data": "x", "track": "supervised"}
        | ({} if folds is None else {"folds": folds})
        | ({"train": "y"} if parts else {})
    )
    rows = {
        part: [{"text": f"{part} {i}", "label": label} for i, label in enumerate(given)]
        for part, given in {"test": labels, **parts}.items()
    }
    return task_class(spec)(spec, rows, "senteval")


class Told:
    """Gives every text the same probabilities, and notes what it learned from."""

    def __init__(self, labels: list[Any], values: list[float]) -> None:
        self.labels, self.values, self.learnt = labels, values, list[Question]()

    def answer(self, question: Question) -> Answer:
        self.learnt.append(question)
        values = np.tile(self.values, (len(question.texts), 1))
        return Answer.most_probable(Probabilities(self.labels, values))


def test_metrics_have_intervals(bench: Bench, suite: Path, tmp_path: Path) -> None:
    code, _, err = bench("run", "--suite", suite, "--methods", "majority,oracle")
    assert code == 0, err
    records = {one.method.name: one for one in map(read_record, find_records([tmp_path]))}
    floor, own = (next(iter(records[name].tasks.values())) for name in ("majority", "good"))
    names = {"accuracy", "f1_macro", "precision_macro", "recall_macro"}
    assert own.metrics_ci95.keys() == names
    assert floor.metrics_ci95.keys() == names | {"log_loss", "auroc"}
    for name, (low, high) in floor.metrics_ci95.items():
        assert low <= floor.metrics[name] <= high
    assert own.metrics_ci95["accuracy"] == own.ci95
    assert floor.metrics["auroc"] == 0.5
    text = records["majority"].model_dump_json()
    older = {**json.loads(text)}
    for entry in older["tasks"].values():
        del entry["metrics_ci95"]
    assert Record.model_validate(older).tasks["words"].metrics_ci95 == {}


def test_macro_averages_are_those_of_the_frozen_track() -> None:
    task = classification(["a", "b", "c", "b"], train=["a", "b", "c"])
    found = task.score(Predictions(np.array([0, 1, 1, 0])), 0)
    expected = f1_score(task._gold, [0, 1, 1, 0], average="macro", zero_division=0)
    assert found.metrics["f1_macro"] == pytest.approx(expected)
    assert "unseen" not in found.metrics
    assert "log_loss" not in found.metrics


def test_labels_that_no_training_row_has() -> None:
    task = classification(["a", "b", "new", "newer"], train=["a", "b", "b"])
    assert task.notes() == [
        "T: 2 of 4 test rows have a label that no training row has, and count as wrong: new, newer"
    ]
    found = task.score(task.predictions(Told(["b", "a"], [0.75, 0.25]), 0), 0)
    assert (found.main, found.metrics["unseen"]) == (0.25, 0.5)
    smallest = float(np.finfo(float).eps)
    losses = -np.log([0.25, 0.75, smallest, smallest])
    assert found.metrics["log_loss"] == pytest.approx(losses.mean())
    assert found.metrics["auroc"] == 0.5
    assert classification(["a"], train=["a", "b"]).notes() == []


def test_training_rows_that_are_scored_too_are_told() -> None:
    spec = ClassificationSpec.model_validate(
        {"name": "T", "kind": "classification", "data": "x", "train": "y", "track": "supervised"}
    )
    test = [{"text": text, "label": label} for text, label in (("Tea, now!", "a"), ("!", "b"))]
    train = [{"text": text, "label": "a"} for text in ("tea now", "Tea now?", "?", "coffee")]
    train[-1]["label"] = "b"
    task = task_class(spec)(spec, {"test": test, "train": train}, "senteval")
    (note,) = task.notes()
    assert note.startswith("T: 2 of 4 training rows are test rows too")


def test_rows_without_a_split_are_labelled_in_folds() -> None:
    labels = ["a", "b"] * 10 + ["lone"]
    task = classification(labels, folds=4)
    told = Told(["a", "b"], [0.7, 0.3])
    found = task.predictions(told, 3)
    assert [len(question.texts) for question in told.learnt] == [6, 5, 5, 5]
    assert sorted(text for question in told.learnt for text in question.texts) == sorted(
        (f"test {i}",) for i in range(21)
    )
    for question in told.learnt:
        texts, learnt = question.texts, question.train.texts
        assert not {*texts} & {*learnt}
        assert (len(texts) + len(learnt), question.dev, question.seed) == (21, None, 3)
    np.testing.assert_array_equal(found.fold, task.predictions(told, 3).fold)
    assert not np.array_equal(found.fold, task.predictions(told, 4).fold)
    assert "1 of 21 test rows" in task.notes()[0]
    score = task.score(found, 0)
    gold = task._gold == 0
    assert score.main == pytest.approx(np.mean([gold[found.fold == k].mean() for k in range(4)]))
    with pytest.raises(CellError, match=r"^task T: no folds"):
        classification(["a", "b", "b"], folds=4).predictions(told, 0)


def test_a_floor_in_folds_ranks_nothing() -> None:
    task = classification(["a"] * 11 + ["b"] * 4, folds=3)
    found = task.predictions(MajorityPredictor("majority"), 0)
    assert len({*found.probabilities[:, 0]}) == 2
    assert task.score(found, 0).metrics["auroc"] == 0.5


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [
        (["a", "b"], [0.5, 0.4], "are not probabilities"),
        (["a", "b"], [1.5, -0.5], "are not probabilities"),
        (["a", "b"], [float("nan"), 1], "are not probabilities"),
        (["a"], [0.5, 0.5], r"shape \(1, 2\) for 1 rows and 1 labels"),
        (["a", "z"], [0.1, 0.9], "returned 'z', which is not a label there"),
    ],
)
def test_probabilities_that_are_none(labels: list[str], values: list[float], message: str) -> None:
    task = classification(["a"], train=["a", "b"])
    with pytest.raises(CellError, match=f"^task T: the method.*{message}"):
        task.predictions(Told(labels, values), 0)


def test_classes_that_are_floats_are_no_scores() -> None:
    task = classification([1.5, 2.0, 1.5], train=[1.5, 2, 2.0])
    told = Told(["2.0", "1.5"], [0.6, 0.4])
    found = task.predictions(told, 0)
    # 2 and 2.0 are one class.
    (question,) = told.learnt
    assert question.train.labels == ["1.5", "2.0", "2.0"]
    assert task.score(found, 0).main == pytest.approx(1 / 3)


def test_labels_of_a_classifier_that_these_rows_lack() -> None:
    task = classification(["a"], train=["a", "b"])
    found = task.predictions(Told(["a", "b", "z"], [0.4, 0.2, 0.4]), 0)
    np.testing.assert_allclose(found.probabilities, [[2 / 3, 1 / 3]])


def test_labels_and_probabilities_are_of_the_same_rows() -> None:
    probabilities = Probabilities(["a", "b"], np.array([[0.5, 0.5]]))
    with pytest.raises(CellError, match=r"shape \(1, 2\) for 2 rows and 2 labels"):
        Answer(["a", "b"], probabilities)


class Composed(Told):
    """Tells what its answer is made of."""

    def answer(self, question: Question) -> Answer:
        answer = super().answer(question)
        assert answer.probabilities is not None
        outputs = {"mean": answer.probabilities.values}
        made_of = Composition(tuple(self.labels), "mean", outputs, outputs, {}, None, {})
        return replace(answer, made_of=made_of)


def test_an_answer_to_a_question_with_a_pool_is_diagnosed() -> None:
    composed, plain = (kind(["a", "b"], [0.6, 0.4]) for kind in (Composed, Told))
    task = classification(["a"], train=["a", "b"], pool=["b", None])
    assert task.predictions(composed, 0).diagnostics["scores"]["mean"]["accuracy"] == 1
    assert composed.learnt[0].pool == [("pool 0",), ("pool 1",)]
    assert task.predictions(plain, 0).diagnostics == {}
    without = classification(["a"], train=["a", "b"])
    assert without.predictions(composed, 0).diagnostics == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_task_is_scored_as_its_entry_says(kind: str) -> None:
    tracks = {"classification": ["frozen", "supervised"], "relatedness": ["frozen", "supervised"]}
    for track in tracks.get(kind, [None]):
        rows = {"data": "x", "train": "y", "track": track} if track else {"data": "x"}
        spec = ENTRY.validate_python({"name": "T", "kind": kind, **rows})
        expected = "predictions" if track == "supervised" else "vectors"
        assert (spec.scored_as, task_class(spec).scored_as) == (expected, expected)


@pytest.mark.parametrize("column", ["text", "label"])
def test_values_that_are_missing(column: str) -> None:
    spec = ClassificationSpec.model_validate({"name": "T", "kind": "classification", "data": "x"})
    rows = [{"text": "x", "label": "a"}, {"text": "y", "label": "b", column: None}]
    for track in ("frozen", "supervised"):
        one = spec.model_copy(update={"track": track})
        with pytest.raises(CellError, match=rf"T: row 2 of test has None as '{column}'"):
            task_class(one)(one, {"test": rows}, "senteval")


def test_a_method_that_cannot_learn_says_so_in_one_line() -> None:
    class Cannot(Told):
        def answer(self, question: Question) -> Answer:
            raise CellError("rows hold 2 texts")

    with pytest.raises(CellError, match=r"^task T: rows hold 2 texts$"):
        classification(["a"], train=["a", "b"]).predictions(Cannot([], []), 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("intent", "intent-supervised"), ("intent-supervised", "intent-supervised")],
)
def test_the_track_names_a_suite(name: str, expected: str) -> None:
    assert _on("supervised", name) == expected
    assert _on("frozen", name) == name
    assert {*load_suite(expected).average} == {
        *("SNIPS7", "SNIPS-2016", "ATIS", "TREC", "SST2", "AG-News")
    }


def test_a_suite_without_the_track(bench: Bench) -> None:
    code, _, err = bench("run", "--suite", "sts7", "--track", "supervised", "--methods", "tfidf")
    assert code == 2
    assert "suite 'sts7' has no supervised track" in err
    assert "choose imbalance, intent-short, intent, or name" in err
    assert len(err.strip().splitlines()) == 1
