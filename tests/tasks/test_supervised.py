"""The supervised track scores what a method itself predicts."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from bench import registry
from bench.errors import CellError, UsageError
from bench.method import LabelledTexts
from bench.probes import senteval_relatedness
from bench.record import find_records, read_items, read_record
from bench.suite import RelatednessSpec, load_suite
from bench.tasks import KINDS, task_class
from tests.small import WORDS, Bench
from tests.stub_methods import Stub, _Letters


class Oracle(_Letters):
    """Learns a text's first word by heart, and notes what it was given."""

    given: ClassVar[list[tuple[int, int, int]]] = []

    def predict(self, texts, train: LabelledTexts, dev, *, seed: int):
        self.given.append((len(train.texts), len(dev.texts), seed))
        known = {one[0].split()[0]: label for one, label in zip(*vars(train).values(), strict=True)}
        return [known[one[0].split()[0]] for one in texts]


class OracleMethod(Stub):
    def build(self, ctx):
        return Oracle()


class Liar(Oracle):
    def predict(self, texts, train, dev, *, seed):
        return ["no such label"] * len(texts)


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


@pytest.mark.parametrize(
    ("method", "message"), [("good", "has no predict"), ("liar", "which is no label there")]
)
def test_methods_that_cannot(bench: Bench, suite: Path, method: str, message: str) -> None:
    code, _, err = bench("run", "--suite", suite, "--methods", method)
    assert code == 3
    assert message in err
    assert "Traceback" not in err


SCORES = {"train": [1, 2.5, 4], "dev": [0.5, 3], "test": [0, 1, 2.5, 4, 5, 1.5]}
PREDICTED = [0.25, 1.5, 2.0, 3.5, 4.75, 2.0]


class Grader(_Letters):
    """Returns what it is told to."""

    told: ClassVar[list[Any]] = PREDICTED
    given: ClassVar[list[Any]] = []

    def predict(self, texts, train: LabelledTexts, dev, *, seed: int):
        self.given.append((texts[0], list(train.labels), list(dev.labels)))
        return self.told


class GraderMethod(Stub):
    def build(self, ctx):
        return Grader()


def pairs(part: str) -> list[dict[str, Any]]:
    return [
        {"sentence1": f"{part} {i}", "sentence2": f"the {part} {i}", "score": score}
        for i, score in enumerate(SCORES[part])
    ]


def relatedness(track: str) -> Any:
    spec = RelatednessSpec.model_validate(
        {"name": "T", "kind": "relatedness", "data": "x", "train": "y", "track": track}
    )
    return task_class(spec)(spec, {part: pairs(part) for part in SCORES}, "senteval")


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    """Six scored pairs."""
    for part in SCORES:
        lines = "".join(json.dumps(row) + "\n" for row in pairs(part))
        (tmp_path / f"{part}.jsonl").write_text(lines)
    path = tmp_path / "graded.toml"
    path.write_text(
        'name = "graded"\ntitle = "x"\nconvention = "senteval"\naverage = ["pairs"]\n[[tasks]]\n'
        'name = "pairs"\nkind = "relatedness"\ntrack = "supervised"\n'
        'data = { file = "test.jsonl" }\ntrain = { file = "train.jsonl" }\n'
        'dev = { file = "dev.jsonl" }\n'
    )
    entry = EntryPoint("grader", f"{__name__}:GraderMethod", registry.METHODS)
    registry._entries(registry.METHODS)["grader"] = [entry]
    return path


def test_predicted_scores_are_correlated(bench: Bench, graded: Path, tmp_path: Path) -> None:
    Grader.given.clear()
    code, out, err = bench("run", "--suite", graded, "--methods", "grader")
    assert code == 0, err
    (path,) = find_records([tmp_path / "results"])
    entry = read_record(path).tasks["pairs"]
    assert Grader.given == [(("test 0", "the test 0"), [1.0, 2.5, 4.0], [0.5, 3.0])]
    assert all(isinstance(label, float) for label in Grader.given[0][1])
    assert entry.metric == "Pearson"
    assert entry.main == pytest.approx(np.corrcoef(PREDICTED, SCORES["test"])[0, 1])
    np.testing.assert_allclose(read_items(path)["pairs/predicted"], PREDICTED)
    assert "Pearson" in out


def test_predictions_and_a_probe_are_scored_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen, own = relatedness("frozen"), relatedness("supervised")
    assert type(frozen) is KINDS["relatedness"]
    vectors = {name: np.ones((len(c.texts), 3), np.float32) for name, c in frozen.texts().items()}
    probe = np.array(PREDICTED)
    monkeypatch.setattr(senteval_relatedness, "predict_scores", lambda *given: probe)
    expected = frozen.score(vectors, 7)
    found = own.score(own.predictions(Grader(), 0), 7)
    assert (own.texts(), own.test_columns()) == ({}, [])
    assert (found.metric, found.main, found.metrics) == (
        expected.metric,
        expected.main,
        expected.metrics,
    )
    np.testing.assert_array_equal(found.replicates, expected.replicates)  # type: ignore[arg-type]
    assert found.items is not None
    assert expected.items is not None
    assert found.items.keys() == expected.items.keys()
    for name, values in found.items.items():
        np.testing.assert_array_equal(values, expected.items[name])
    np.testing.assert_allclose(found.items["value"], 1 - np.abs(probe - SCORES["test"]) / 5)


def test_an_affine_map_of_predictions_changes_no_correlation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = relatedness("supervised")
    before = task.score(task.predictions(Grader(), 0), 0)
    monkeypatch.setattr(Grader, "told", [np.float32(3 * score - 7) for score in PREDICTED])
    after = task.score(task.predictions(Grader(), 0), 0)
    assert after.main == pytest.approx(before.main, abs=1e-6)
    assert after.metrics["mse"] > before.metrics["mse"]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ([*PREDICTED[:5], float("nan")], "returned nan, which is no finite number"),
        ([*PREDICTED[:5], float("-inf")], "returned -inf, which is no finite number"),
        ([*PREDICTED[:5], "2.5"], "returned '2.5', which is no finite number"),
        ([*PREDICTED[:5], None], "returned None, which is no finite number"),
        (PREDICTED[:5], "returned 5 labels for 6 rows"),
        ([2.5] * 6, "the method predicts one score for every pair"),
    ],
)
def test_predictions_that_are_no_scores(
    told: list[Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Grader, "told", told)
    task = relatedness("supervised")
    with pytest.raises(CellError, match=f"^task T: .*{message}"):
        task.score(task.predictions(Grader(), 0), 0)


def test_the_track_needs_rows_to_train_on(graded: Path) -> None:
    text = graded.read_text()
    graded.write_text(text.replace('train = { file = "train.jsonl" }', ""))
    with pytest.raises(UsageError, match="needs rows to train on"):
        load_suite(str(graded))
    graded.write_text(text.replace('dev = { file = "dev.jsonl" }', ""))
    assert [*load_suite(str(graded)).tasks[0].parts()] == ["test", "train"]
