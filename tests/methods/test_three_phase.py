"""3-Phase and its baselines: phases, hand-over, what is kept, and what is never read (spec §10)."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from bench.api import build_method
from bench.checkpoints import load_folder
from bench.classifiers.method import Stages
from bench.classifiers.rows import make_rows, stratified_split
from bench.classifiers.saved import load_classifier
from bench.errors import CellError, DataError, UsageError
from bench.method import LabelledTexts
from bench.methods import three_phase
from bench.methods.losses.joint import JointLoss
from bench.methods.majority import MajorityPredictor
from bench.methods.three_phase import ThreePhase
from bench.training.classifier import ClassifierLoss, add_head, has_to_stop, train_classifier
from bench.training.watching import DevEvaluator
from tests.small import Bench, write_suite
from tests.tiny import tiny_bert

LETTERS = "aekqz"
FAST = {
    "pooling": "mean",
    "batch_size": 8,
    "max_seq_length": 24,
    "epochs": 1,
    "lr": 1e-2,
}
PHASES = {
    "lr_cl": 5e-3,
    "lr_dae": 5e-3,
    "copies": 1,
    "shuffles": 1,
    "dae_steps": 2,
    "cl_steps": 2,
    "dae_evaluations": 1,
    "cl_evaluations": 1,
}


def made(n: int, seed: int = 0, letters: str = LETTERS) -> LabelledTexts:
    """Texts of one letter, which is the class."""
    rng = random.Random(seed)
    chosen = [letters[i % len(letters)] for i in range(n)]
    texts = [
        (" ".join(one * rng.randint(2, 6) for _ in range(3)) + f" {i}",)
        for i, one in enumerate(chosen)
    ]
    return LabelledTexts(texts, [f"{'V' if one in 'ae' else 'C'}:{one}" for one in chosen])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT, saved as what a base is."""
    return tiny_bert(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def spec(name: str, base: Path | str, **options: Any) -> str:
    settings = {"base": base, **FAST, **(PHASES if name == "three-phase" else {}), **options}
    return f"{name}[{','.join(f'{key}={value}' for key, value in settings.items())}]"


def predictor(text: str, seed: int = 0) -> Any:
    built, _ = build_method(text, seed=seed, profile="paper")
    return built.encoder


def fitted(text: str, train: LabelledTexts, seed: int = 0) -> Path:
    """Folder of the classifier that is trained, the only one in the cache that is new."""
    known = {*folders()}
    predictor(text, seed).predict(train.texts[:2], train, None, seed=seed)
    (folder,) = {*folders()} - known
    return folder


def folders() -> Iterator[Path]:
    yield from (Path(os.environ["BENCH_CACHE"]) / "models").glob("*")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: one.clone() for name, one in load_folder(folder, "cpu")[0].state_dict().items()}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    assert one.keys() == two.keys()
    return all(torch.equal(one[name], two[name]) for name in one)


def stopped(*given: Any) -> Any:
    """Stands for a training of the classifier that is cut off."""
    raise KeyboardInterrupt


Stage = tuple[str, dict[str, torch.Tensor], dict[str, torch.Tensor]]


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    """Name of each stage that is run, and the encoder's weights before and after it."""
    seen: list[Stage] = []
    run = Stages.run

    def noted(self: Stages, name: str, before: Path, learn: Any) -> Path:
        first = weights(before)
        folder = run(self, name, before, learn)
        seen.append((name, first, weights(folder)))
        return folder

    monkeypatch.setattr(Stages, "run", noted)
    return seen


# §10.7
def test_each_phase_starts_from_the_one_before(base: Path, stages: list[Stage]) -> None:
    start = load_folder(base, "cpu", "mean")[0].state_dict()
    for text, phases in (
        (spec("three-phase", base), ["dae", "cl", "ft"]),
        (spec("three-phase", base, phases="joint"), ["joint", "ft"]),
        (spec("ft", base), ["ft"]),
    ):
        stages.clear()
        fitted(text, made(40))
        assert [name for name, _, _ in stages] == phases
        assert same(stages[0][1], start)
        for (_, _, after), (_, before, _) in pairwise(stages):
            assert same(after, before)
        assert not any(same(before, after) for _, before, after in stages)


# §10.6
@pytest.mark.parametrize("freeze", [True, False])
def test_the_encoder_is_trained_unless_frozen(
    base: Path, stages: list[Stage], freeze: bool
) -> None:
    fitted(spec("ft", base, freeze=freeze, max_steps=2), made(40))
    ((_, before, after),) = stages
    assert same(before, after) == freeze


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


# §10.8
@pytest.mark.parametrize(("pair", "phases"), [((0.0, 1.0), "cl+ft"), ((1.0, 0.0), "dae+ft")])
def test_joint_training_with_one_term_is_that_of_the_term(
    base: Path,
    stages: list[Stage],
    monkeypatch: pytest.MonkeyPatch,
    pair: tuple[float, float],
    phases: str,
) -> None:
    made_joint = JointLoss.__init__
    monkeypatch.setattr(JointLoss, "__init__", lambda *given: made_joint(*given, pair))
    monkeypatch.setattr(three_phase, "WARMUP_DAE", three_phase.WARMUP_CL)
    monkeypatch.setattr("bench.training.classifier.train_classifier", stopped)
    for one in ("joint", phases):
        with pytest.raises(KeyboardInterrupt):
            # One level of labels, so that there are as many pairs as texts.
            fitted(spec("three-phase", base, phases=one, separator=""), made(40))
    (_, before, joint), (_, _, alone) = stages
    assert same(joint, alone)
    assert not same(joint, before)


# §10.9
def test_what_is_scored_is_never_read(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: set[str] = set()
    from_dict = Dataset.from_dict
    evaluated = DevEvaluator.__init__

    def spied(columns: Any, *given: Any, **named: Any) -> Any:
        read.update(t for name, one in columns.items() if name.startswith("text") for t in one)
        return from_dict(columns, *given, **named)

    def watched(self: Any, dev: Any, *given: Any) -> None:
        read.update(row[name] for row in dev for name in ("sentence1", "sentence2"))
        evaluated(self, dev, *given)

    monkeypatch.setattr(Dataset, "from_dict", spied)
    monkeypatch.setattr(DevEvaluator, "__init__", watched)
    train, test = made(40), made(20, seed=7)
    # An empty text, and a class of one row, are learned as all others.
    train = LabelledTexts([*train.texts, ("",), ("lone",)], [*train.labels, "V:a", "alone"])
    texts = [(""), *(f"{text} TESTED" for (text,) in test.texts)]
    encoder = predictor(spec("three-phase", base))
    found = encoder.predict([(text,) for text in texts], train, None, seed=0)
    assert len(found) == 21
    assert {*found} <= {*train.labels}
    assert read
    assert not any("TESTED" in text for text in read)
    rows = make_rows(train, None, seed=0)
    assert not {*rows.dev.texts} & {*rows.train.texts}
    assert {*rows.dev.texts} | {*rows.train.texts} == {text for (text,) in train.texts}
    method = ThreePhase(ThreePhase.Config(copies=1, shuffles=1))
    drawn = {text for row in method.noisy(rows, 0) for text in row[1:]}
    drawn |= {text for pair in method.pairs(rows, 0).texts for text in pair}
    assert drawn <= {*rows.train.texts}
    chosen = {row["sentence1"] for row in method.dev_pairs(rows, 0)}
    assert chosen <= {*rows.dev.texts}


def test_a_task_is_learned_once(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, train = spec("ft", base), made(40)
    first = predictor(text).predict_proba(train.texts, train, None, seed=0)
    (folder,) = folders()
    calls: list[int] = []
    real = train_classifier

    def counted(*given: Any) -> Any:
        calls.append(1)
        return real(*given)

    monkeypatch.setattr("bench.training.classifier.train_classifier", counted)
    # Other rows to label, in a new build: the same classifier.
    again = predictor(text).predict_proba(train.texts[:9], train, None, seed=0)
    np.testing.assert_allclose(again.values, first.values[:9], atol=1e-6)
    assert calls == []
    other = LabelledTexts(train.texts, [*train.labels[1:], train.labels[0]])
    predictor(text).predict(train.texts[:2], other, None, seed=0)
    predictor(text, seed=1).predict(train.texts[:2], train, None, seed=1)
    assert len(calls) == 2
    summary = json.loads((folder / "training.json").read_text())
    assert summary["stages"]["ft"]["rows"] == 30
    names = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert names == {".json", ".safetensors"}


def test_classes_are_learned_and_the_classifier_is_one_folder(base: Path, tmp_path: Path) -> None:
    text = spec("three-phase", base, keep_encoder=True, epochs=8, cl_steps=8)
    train, new = made(100), made(40, seed=1)
    encoder = predictor(text)
    found = encoder.predict(new.texts, train, None, seed=0)
    assert np.mean([one == two for one, two in zip(found, new.labels, strict=True)]) > 0.9
    expected = encoder.predict_proba(train.texts, train, None, seed=0)
    (folder,) = folders()
    moved = folder.rename(tmp_path / "moved")
    code = (
        "import sys, json; from pathlib import Path\n"
        "from bench.classifiers.saved import load_classifier\n"
        "found = load_classifier(Path(sys.argv[1])).probabilities(json.loads(sys.argv[2]))\n"
        "print(json.dumps([list(found.labels), found.values.tolist()]))"
    )
    asked = json.dumps([one for (one,) in train.texts])
    done = subprocess.run(
        [sys.executable, "-c", code, str(moved), asked], capture_output=True, text=True, check=True
    )
    labels, values = json.loads(done.stdout)
    assert labels == list(expected.labels)
    np.testing.assert_allclose(values, expected.values, rtol=1e-6)
    named = predictor(f"three-phase@{moved}")
    np.testing.assert_allclose(
        named.predict_proba(train.texts, made(8, letters="ab"), None, seed=0).values,
        expected.values,
        rtol=1e-6,
    )
    vectors, _ = build_method(f"sbert@{moved / 'encoder'}", profile="paper")
    assert vectors.encoder.encode(["aa kk"]).shape == (1, 16)
    (moved / "labels.json").write_text('["one"]')
    with pytest.raises(DataError, match="1 labels for 5 logits"):
        load_classifier(moved)
    with pytest.raises(DataError, match=r"holds no classifier.*labels\.json"):
        predictor(f"ft@{base}")


def contrast(folder: Path, rows: LabelledTexts) -> float:
    """Mean cosine of two texts of one class, less that of two classes."""
    vectors = load_folder(folder, "cpu").encode(
        [text for (text,) in rows.texts], normalize_embeddings=True
    )
    cosines = vectors @ vectors.T
    labels = np.array(rows.labels)
    one, other = np.triu_indices(len(labels), 1)
    alike = labels[one] == labels[other]
    return float(cosines[one, other][alike].mean() - cosines[one, other][~alike].mean())


# §12, the mechanism
def test_pairs_pull_classes_apart(base: Path) -> None:
    options = {"phases": "cl+ft", "keep_encoder": True, "cl_steps": 40, "shuffles": 8}
    train, new = made(60), made(40, seed=1)
    text = spec("three-phase", base, separator="/", **options)
    encoder = fitted(text, train) / "encoder"
    assert contrast(encoder, train) - contrast(base, train) > 0.2
    assert contrast(encoder, new) > contrast(base, new)


def test_a_training_that_was_cut_off_goes_on(
    base: Path, stages: list[Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    text, train = spec("three-phase", base), made(40)
    with monkeypatch.context() as cut:
        cut.setattr("bench.training.classifier.train_classifier", stopped)
        with pytest.raises(KeyboardInterrupt):
            predictor(text).predict(train.texts, train, None, seed=0)
    assert [name for name, _, _ in stages] == ["dae", "cl"]
    learnt: list[Any] = []
    monkeypatch.setattr(
        "bench.training.trainer.train", lambda *given, **named: learnt.append(given)
    )
    found = predictor(text).predict(train.texts, train, None, seed=0)
    assert (len(found), learnt) == (40, [])
    assert list(folders())


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
    given = load_classifier(folder).probabilities(rows.dev.texts).values
    loss = -np.log(given[range(len(rows.dev)), rows.dev.classes]).mean()
    assert loss == pytest.approx(min(dev.values()), rel=1e-3)


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
        predictor(spec("three-phase", base)).predict(
            texts, LabelledTexts(texts, labels), None, seed=0
        )


def test_hierarchical_labels_are_half_alike(base: Path) -> None:
    rows = make_rows(made(100), None, seed=0)
    levels = ThreePhase(ThreePhase.Config())
    assert Counter(levels.pairs(rows, 0).cosines).keys() == {0.0, 0.5, 1.0}
    flat = ThreePhase(ThreePhase.Config(separator=""))
    assert Counter(flat.pairs(rows, 0).cosines).keys() == {0.0, 1.0}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("max_ratio=1", "min_ratio is above max_ratio"),
        ("phases=dae+ft,keep_encoder=true", "dae\\+ft has no pairs"),
        ("phases=ft", "phases: input should be"),
        ("del_ratio=1.5", "del_ratio"),
    ],
)
def test_settings_that_make_no_sense(options: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_method(f"three-phase[{options}]")


def test_the_majority() -> None:
    train = LabelledTexts([("a",), ("b", "c"), ("",)], ["x", "y", "y"])
    majority = MajorityPredictor("majority")
    assert majority.predict([("q",), ("",)], train, None, seed=0) == ["y", "y"]
    given = majority.predict_proba([("q",)], train, None, seed=0)
    assert (given.labels, given.values.tolist()) == (["x", "y"], [[1 / 3, 2 / 3]])
    alone = LabelledTexts([("a",)], [7])
    assert majority.predict([("q",)], alone, None, seed=0) == [7]


@pytest.mark.parametrize("name", ["three-phase", "ft", "majority"])
def test_there_are_no_vectors(bench: Bench, base: Path, small_suite: Path, name: str) -> None:
    text = name if name == "majority" else spec(name, base)
    code, _, err = bench("run", "--suite", small_suite, "--methods", text)
    assert code == 3
    assert f"{name} learns from the labelled rows of a task and has no vectors" in err
    assert "--track supervised" in err
    assert "Traceback" not in err


@pytest.fixture
def small_suite(tmp_path: Path) -> Path:
    """Thirty pairs to score by cosine."""
    return write_suite(tmp_path)
