"""Classifiers of a task: what is trained, kept, stopped by, and refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import TrainerState

from bench.api import build_method
from bench.core.errors import CellError, DataError, UsageError
from bench.method import LabelledTexts
from bench.models.checkpoints import load_folder
from bench.training.checkpoints import LossCheckpoints
from bench.training.classifiers.rows import make_rows, stratified_split, usable_pool
from bench.training.classifiers.saved import make_classifier
from bench.training.classifiers.trainer import (
    ClassifierLoss,
    add_head,
    has_to_stop,
    train_classifier,
)
from tests.support.classifiers import (
    LETTERS,
    Stage,
    asked,
    fitted,
    folders,
    made,
    predictor,
    probable,
    same,
    spec,
    stopped,
)

pytestmark = pytest.mark.usefixtures("own_cache")


# 3-Phase, §10.6
@pytest.mark.parametrize("freeze", [True, False])
def test_the_encoder_is_trained_unless_frozen(
    base: Path, stages: list[Stage], freeze: bool
) -> None:
    fitted(spec("ft", base, freeze=freeze, max_steps=2), made(40))
    ((_, before, after),) = stages
    assert same(before, after) == freeze


@pytest.mark.nightly
def test_the_head_may_have_a_rate_of_its_own(base: Path, stages: list[Stage]) -> None:
    fresh = load_folder(base, "cpu", "mean")
    add_head(fresh, len(LETTERS), "relu", 0)
    for options, moved in (({}, False), ({"head_lr": 1e-2}, True)):
        folder = fitted(spec("ft", base, lr=1e-30, max_steps=2, **options), made(40))
        for number in (3, 5):
            found = load_folder(folder, "cpu")[number].linear.weight
            assert torch.equal(found, fresh[number].linear.weight) != moved
    for _, before, after in stages:
        torch.testing.assert_close(after, before, rtol=0, atol=1e-20)


def test_a_frozen_encoder_drops_nothing_while_the_head_is_trained(base: Path) -> None:
    model = load_folder(base, "cpu", "mean")
    add_head(model, 3, "relu", 0)
    loss = ClassifierLoss(model, 2)
    found: list[torch.Tensor] = []
    model[1].register_forward_hook(
        lambda module, given, out: found.append(out["sentence_embedding"].clone())
    )
    for _ in range(2):
        model.train()
        loss([model.preprocess(["aaa kk", "z"])], torch.tensor([0, 1])).backward()
    assert torch.equal(*found)
    assert all(one.grad is None for one in model[0].parameters())
    assert model[3].linear.weight.grad is not None


def test_a_task_is_learned_once(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, train = spec("ft", base), made(40)
    first = probable(predictor(text), train.texts, train)
    (folder,) = folders()
    calls: list[int] = []
    real = train_classifier

    def counted(*given: Any) -> Any:
        calls.append(1)
        return real(*given)

    monkeypatch.setattr("bench.training.classifiers.trainer.train_classifier", counted)
    # Other rows to label, in a new build: the same classifier.
    again = probable(predictor(text), train.texts[:9], train)
    np.testing.assert_allclose(again.values, first.values[:9], atol=1e-6)
    assert calls == []
    other = LabelledTexts(train.texts, [*train.labels[1:], train.labels[0]])
    asked(predictor(text), train.texts[:2], other)
    asked(predictor(text, seed=1), train.texts[:2], train, seed=1)
    assert len(calls) == 2
    summary = json.loads((folder / "training.json").read_text())
    assert summary["stages"]["ft"]["rows"] == 30
    names = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert names == {".json", ".safetensors"}


def test_classes_are_learned_and_the_classifier_is_one_folder(base: Path, tmp_path: Path) -> None:
    text = spec("three-phase", base, keep_encoder=True, epochs=8, cl_steps=8)
    train, new = made(100), made(40, seed=1)
    encoder = predictor(text)
    found = asked(encoder, new.texts, train).labels
    assert np.mean([one == two for one, two in zip(found, new.labels, strict=True)]) > 0.9
    expected = probable(encoder, train.texts, train)
    (folder,) = folders()
    moved = folder.rename(tmp_path / "moved")
    code = (
        "import sys, json; from pathlib import Path\n"
        "from bench.models.checkpoints import load_folder\n"
        "from bench.training.classifiers.saved import make_classifier\n"
        "folder = Path(sys.argv[1])\n"
        "classifier = make_classifier(load_folder(folder, 'cpu'), folder)\n"
        "found = classifier.probabilities(json.loads(sys.argv[2]))\n"
        "print(json.dumps([list(found.labels), found.values.tolist()]))"
    )
    texts = json.dumps([text for (text,) in train.texts])
    done = subprocess.run(
        [sys.executable, "-c", code, str(moved), texts], capture_output=True, text=True, check=True
    )
    labels, values = json.loads(done.stdout)
    assert labels == list(expected.labels)
    np.testing.assert_allclose(values, expected.values, rtol=1e-6)
    named = predictor(f"three-phase@{moved}")
    np.testing.assert_allclose(
        probable(named, train.texts, made(8, letters="ab")).values,
        expected.values,
        rtol=1e-6,
    )
    vectors, _ = build_method(f"sbert@{moved / 'encoder'}", profile="paper")
    assert vectors.encoder.encode(["aa kk"]).shape == (1, 16)
    (moved / "labels.json").write_text('["one"]')
    with pytest.raises(DataError, match="1 labels for 5 logits"):
        make_classifier(load_folder(moved, "cpu"), moved)
    with pytest.raises(DataError, match=r"holds no classifier.*labels\.json"):
        predictor(f"ft@{base}")


@pytest.mark.nightly
def test_a_training_that_was_cut_off_goes_on(
    base: Path, stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, train = spec("three-phase", base), made(40)
    with monkeypatch.context() as cut:
        cut.setattr("bench.training.classifiers.trainer.train_classifier", stopped)
        with pytest.raises(KeyboardInterrupt):
            asked(predictor(text), train.texts, train)
    assert [name for name, _, _ in stages] == ["dae", "cl"]
    learnt: list[Any] = []
    monkeypatch.setattr(
        "bench.training.trainer.train", lambda *given, **named: learnt.append(given)
    )
    found = asked(predictor(text), train.texts, train).labels
    assert (len(found), learnt) == (40, [])
    assert list(folders())


@pytest.mark.parametrize(
    ("losses", "patience", "expected"),
    [
        ([], 1, False),
        ([1], 1, False),
        ([2, 1], 1, False),
        ([1, 1], 1, True),
        ([3, 1, 2, 1.5], 2, True),
        ([3, 1, 2, 1.5], 3, False),
        ([3, 1, 2, 0.5], 2, False),
        ([1, 2, 3, 4, 5], 0, False),
    ],
)
def test_when_patience_is_spent(losses: list[float], patience: int, expected: bool) -> None:
    assert has_to_stop(losses, 70, patience) == expected


def test_patience_ends_a_training(base: Path) -> None:
    # So high a rate that the loss rises at once.
    options: dict[str, Any] = {"lr": 0.5, "epochs": 9, "dev_every": 2, "max_steps": 40}
    made_steps = {}
    for patience in (0, 2):
        folder = fitted(spec("ft", base, **options, patience=patience), made(60))
        report = json.loads((folder / "training.json").read_text())["stages"]["ft"]
        steps = [one["step"] for one in report["dev"]]
        assert steps == [*range(2, report["steps"] + 1, 2)]
        made_steps[patience] = report
    short = made_steps[2]
    assert short["steps"] == short["best_step"] + 2 * 2 < made_steps[0]["steps"]
    assert short["dev"] == made_steps[0]["dev"][: len(short["dev"])]


@pytest.mark.parametrize(
    ("losses", "epochs", "expected"),
    [
        ([], 70, False),
        ([1, 2, 3, 4, 5], 70, False),
        ([1, 2, 3, 4, 5, 6], 70, True),
        ([1, 2, 3, 4, 5, 5, 6], 70, False),
        ([2, 1, 2, 1, 2, 1], 4, True),
        ([2, 1, 2, 1, 2, 1], 8, False),
        ([1, 2] * 10, 70, False),
        ([1, 2] * 10 + [1], 70, True),
    ],
)
def test_when_a_training_stops(losses: list[float], epochs: int, expected: bool) -> None:
    assert has_to_stop(losses, epochs) == expected


def test_the_best_evaluation_is_kept(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # So high a rate that the loss rises at once.
    folder = fitted(spec("ft", base, lr=0.5, epochs=4, max_steps=20), made(60))
    report = json.loads((folder / "training.json").read_text())["stages"]["ft"]
    dev = {one["step"]: one["loss"] for one in report["dev"]}
    assert report["best_step"] == min(dev, key=lambda step: dev[step])
    rows = make_rows(made(60), None, seed=0)
    classifier = make_classifier(load_folder(folder, "cpu"), folder)
    given = classifier.probabilities(rows.dev.texts).values
    loss = -np.log(given[range(len(rows.dev)), rows.dev.classes]).mean()
    assert loss == pytest.approx(min(dev.values()), rel=1e-3)
    (kept,) = (one for one in report["dev"] if one["step"] == report["best_step"])
    right = given.argmax(axis=1) == rows.dev.classes
    assert kept["accuracy"] == pytest.approx(right.mean())


def test_the_split_keeps_classes_in_training() -> None:
    labels = [*"a" * 50, *"b" * 10, *"c" * 3, *"d" * 2, "e"]
    kept, held = stratified_split(labels, 0.2, 0)
    assert sorted(kept + held) == list(range(len(labels)))
    assert Counter(labels[row] for row in held) == {"a": 10, "b": 2, "c": 1}
    assert stratified_split(labels, 0.2, 0) == (kept, held) != stratified_split(labels, 0.2, 1)
    texts = [(str(i),) for i in range(len(labels))]
    train = LabelledTexts(texts, labels)
    dev = LabelledTexts([("x",), ("y",)], ["a", "new"])
    rows = make_rows(train, dev, seed=0)
    assert (len(rows.train), rows.dev.texts) == (len(labels), ("x",))
    assert len(make_rows(train, None, seed=0, dev_rows=5).dev) == 5
    assert rows.fingerprint() != make_rows(train, None, seed=0).fingerprint()
    assert replace(rows, unlabelled=("x",)).fingerprint() != rows.fingerprint()


def test_a_pool_without_what_is_held_out() -> None:
    pool = [("One text.",), ("two",), ("three!",), ("two",), ("",)]
    assert usable_pool(pool, [("one  TEXT",)], [("three",)]) == ("two", "")
    for given in ([], [("A",)]):
        with pytest.raises(CellError, match="no pool of other texts"):
            usable_pool(given, [("a",)])
    with pytest.raises(CellError, match="rows hold 2 texts"):
        usable_pool([("a", "b")])


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        ([("a",), ("b",)], ["x", "x"], "all 2 training rows have the label 'x'"),
        ([("a", "b"), ("c", "d")], ["x", "y"], "rows hold 2 texts"),
        ([("a",), ("b",)], [0.5, 1.5], "the labels are scores"),
        ([("",), (" ",)], ["x", "y"], "no training text has words"),
        ([("a",), ("a",)], ["x", "y"], "all training texts are the same"),
    ],
)
def test_rows_that_cannot_be_learned(
    base: Path, texts: list[Any], labels: list[Any], message: str
) -> None:
    with pytest.raises(CellError, match=message):
        asked(predictor(spec("three-phase", base)), texts, LabelledTexts(texts, labels))


def test_a_prompt_of_the_base_is_left_out(base: Path, tmp_path: Path) -> None:
    model = load_folder(base, "cpu", "mean")
    model.prompts, model.default_prompt_name = {"query": "zzz qqq zzz "}, "query"
    model.save_pretrained(str(tmp_path / "prompted"), create_model_card=False)
    train = made(40)
    found = []
    for start in (base, tmp_path / "prompted"):
        encoder = predictor(spec("ft", start, max_steps=2))
        found.append(probable(encoder, train.texts, train).values)
    np.testing.assert_array_equal(*found)


def test_a_base_that_is_no_transformer(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "aaa": 1}, unk_token="[UNK]"))
    static = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)])
    static.save_pretrained(str(tmp_path / "static"), create_model_card=False)
    train = made(10)
    with pytest.raises(UsageError, match="static' is not a transformer"):
        asked(predictor(spec("ft", tmp_path / "static")), train.texts, train)


@pytest.mark.nightly
def test_a_checkpoint_that_was_not_written_whole(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, train = spec("ft", base, epochs=3, dev_rows=8), made(60)
    expected = probable(predictor(text), train.texts, train)
    (whole,) = folders()
    spent = json.loads((whole / "training.json").read_text())["stages"]["ft"]["seconds"]
    shutil.rmtree(whole)
    # The disk is full while the state of the second checkpoint is written.
    written: list[str] = []
    save = TrainerState.save_to_json

    def full(self: TrainerState, path: str) -> None:
        written.append(path)
        if len(written) == 2:
            Path(path).touch()
            raise KeyboardInterrupt
        save(self, path)

    with monkeypatch.context() as cut:
        cut.setattr(TrainerState, "save_to_json", full)
        with pytest.raises(KeyboardInterrupt):
            asked(predictor(text), train.texts, train)
    before = LossCheckpoints.load

    def slower(self: LossCheckpoints, checkpoint: Path) -> None:
        before(self, checkpoint)
        self._earlier += 1000

    monkeypatch.setattr(LossCheckpoints, "load", slower)
    found = probable(predictor(text), train.texts, train)
    np.testing.assert_array_equal(found.values, expected.values)
    (again,) = folders()
    report = json.loads((again / "training.json").read_text())["stages"]["ft"]
    assert report["seconds"] > 1000 > spent
