"""The probes of SentEval+ are plain calls of scikit-learn on the same folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bench.records.files import find_records, read_record
from bench.suite import ClassificationSpec, NliSpec
from bench.tasks.classification import ClassificationTask, NliTask
from bench.tasks.probes import protocols
from bench.tasks.probes.base import ProbeRows
from bench.tasks.probes.classifiers import ClassifierName, SklearnClassifier
from tests.support.kinds import OTHER, Fields, run, write_rows
from tests.support.suites import Bench

NAMES: tuple[ClassifierName, ...] = ("svm", "rf", "nb")


def blobs(n: int, seed: int = 0) -> ProbeRows:
    """Points around three centres, in directions of very different variance."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    centres = np.random.default_rng(99).normal(size=(3, 8))
    x = (centres[y] + 1.5 * rng.normal(size=(n, 8))) * np.logspace(-2, 2, 8)
    return ProbeRows(x.astype(np.float32), y)


def plain(name: ClassifierName, train: ProbeRows, x: Any) -> Any:
    """Predictions of scikit-learn's class, without a pipeline."""
    if name == "svm":
        scaler = StandardScaler().fit(train.x)
        return SVC().fit(scaler.transform(train.x), train.y).predict(scaler.transform(x))
    known: dict[str, Any] = {"rf": RandomForestClassifier(random_state=1111), "nb": GaussianNB()}
    return known[name].fit(train.x, train.y).predict(x)


@pytest.mark.parametrize("name", NAMES)
def test_folds_are_those_of_scikit_learn(name: ClassifierName) -> None:
    rows = blobs(90)
    predicted, fold = protocols.nested_folds(rows, SklearnClassifier(name), 3)
    splits = StratifiedKFold(3, shuffle=True, random_state=1111).split(rows.x, rows.y)
    for number, (train, test) in enumerate(splits):
        np.testing.assert_array_equal(np.flatnonzero(fold == number), test)
        expected = plain(name, rows.take(train), rows.x[test])
        np.testing.assert_array_equal(predicted[test], expected)
    assert 0.5 < np.mean(predicted == rows.y) < 1


@pytest.mark.parametrize("name", NAMES)
def test_splits_are_fitted_on_the_training_rows(name: ClassifierName) -> None:
    train, test = blobs(90), blobs(60, seed=1)
    expected = plain(name, train, test.x)
    dev = blobs(30, seed=2)
    for found in (
        protocols.cross_validated(train, test.x, SklearnClassifier(name), 3),
        protocols.dev_split(train, dev, test.x, SklearnClassifier(name)),
    ):
        np.testing.assert_array_equal(found, expected)
    probe = SklearnClassifier(name)
    (accuracy,) = probe.path(train, test, probe.grid)
    assert accuracy == np.mean(expected == test.y)


def test_one_setting_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    fits: list[int] = []
    original = SklearnClassifier.predict

    def counted(self: SklearnClassifier, train: ProbeRows, *rest: Any) -> Any:
        fits.append(len(train))
        return original(self, train, *rest)

    monkeypatch.setattr(SklearnClassifier, "predict", counted)
    protocols.nested_folds(blobs(90), SklearnClassifier("nb"), 3)
    protocols.cross_validated(blobs(90), blobs(9).x, SklearnClassifier("nb"), 3)
    assert fits == [60, 60, 60, 90]


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_tell_nothing(name: ClassifierName) -> None:
    rows, probe = blobs(30), SklearnClassifier(name)
    with pytest.raises(ValueError, match="of one class"):
        probe.predict(ProbeRows(rows.x, np.zeros(30, np.int64)), None, 1.0, rows.x)
    broken = rows.x.copy()
    broken[0, 0] = np.nan
    for fit, x in ((broken, rows.x), (rows.x, broken)):
        with pytest.raises(ValueError, match="not finite"):
            probe.predict(ProbeRows(fit, rows.y), None, 1.0, x)


def test_naive_bayes_of_equal_features_is_refused() -> None:
    rows = ProbeRows(np.ones((30, 4), np.float32), np.arange(30) % 2)
    with pytest.raises(ValueError, match="have the same features"):
        SklearnClassifier("nb").predict(rows, None, 1e-9, rows.x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["classification", "nli"])
def test_a_task_names_its_probe(bench: Bench, kind: str, name: ClassifierName) -> None:
    write_rows("rows.jsonl", 0)
    write_rows("other.jsonl", 40)
    run(bench, "one", kind, {"train": OTHER, "probe": f'"{name}"'})
    (path,) = find_records([Path("one")])
    record = read_record(path)
    assert record.tasks["T"].protocol is not None
    assert record.tasks["T"].protocol["probe"] == name


@pytest.mark.parametrize("name", NAMES)
def test_they_are_fitted_on_the_cpu(name: ClassifierName) -> None:
    rows = [{"text": f"{i}", "label": i % 2} for i in range(8)]
    pairs = [{"premise": f"{i}", "hypothesis": "x", "label": i % 2} for i in range(8)]
    common: dict[str, Any] = {"name": "T", "data": "x", "probe": name}
    for task in (
        ClassificationTask(
            ClassificationSpec(kind="classification", **common), {"test": rows}, "senteval"
        ),
        NliTask(NliSpec(kind="nli", **common), {"test": pairs}, "senteval"),
    ):
        task.device = "cuda:0"
        assert task.probe_device == "cpu"


@pytest.mark.parametrize("probe", [*NAMES, "torch"])
@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"convention": '"mteb"'}, "MTEB has one probe"),
        ({"track": '"supervised"'}, "the supervised track has one probe, 'sk'"),
    ],
)
def test_where_a_probe_would_be_ignored_it_is_refused(
    bench: Bench, probe: str, changes: Fields, told: str
) -> None:
    write_rows("rows.jsonl", 0)
    write_rows("other.jsonl", 40)
    with pytest.raises(AssertionError, match=told):
        run(bench, "one", "classification", {"train": OTHER, "probe": f'"{probe}"'}, changes)


def test_an_unknown_probe_is_named(bench: Bench) -> None:
    write_rows("rows.jsonl", 0)
    with pytest.raises(AssertionError, match="'sk', 'torch', 'svm', 'rf' or 'nb'"):
        run(bench, "one", "classification", {"probe": '"knn"'})


def test_a_suite_of_senteval_plus_is_one_of_folds() -> None:
    from bench.suite import load_suites

    suites = load_suites("senteval-plus")
    probes = [{getattr(task, "probe", None) for task in suite.tasks} for suite in suites]
    assert probes == [{"sk"}, {"svm"}, {"rf"}, {"nb"}]
    for suite in suites:
        assert {getattr(task, "folds", None) for task in suite.tasks} == {5}
        assert {tuple(task.parts()) for task in suite.tasks} == {("test",)}
    definitions = [json.dumps([(t.name, t.parts()) for t in suite.tasks]) for suite in suites]
    assert len(set(definitions)) == 1
