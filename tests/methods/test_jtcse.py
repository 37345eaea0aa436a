"""JTCSE: what each switch does, its outputs, and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bench.api import build_method
from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec
from bench.data.access import DataAccess
from bench.data.needs import Needs
from bench.method import Built, lineage, resolve
from bench.methods.jtcse import JTCSE
from bench.training import trainer
from bench.training.watching import DevEvaluator
from tests.support.models import tiny_bert
from tests.support.specs import acting
from tests.support.stopping import frequent_checkpoints, stopped_and_run_again

TEXTS = ["a red kettle", "two dogs run", "rain"]


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A training of tiny towers."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("".join(f"text number {i} is {i * i}\n" for i in range(40)))
    common = f"corpus={corpus},dev=false,lr=2e-3"
    return {
        "base": tiny_bert(tmp_path / "tiny"),
        "stage1": f"simcse[{common},batch_size=20,max_steps=2,epochs=1]",
        "corpus": corpus,
        "lr": 1e-2,
        "batch_size": 8,
        "dev": "false",
    }


def build(options: dict[str, Any], **more: Any) -> Built:
    seed = more.pop("seed", 0)
    return build_method(acting("jtcse", {**options, **more}), seed=seed)[0]


def vectors(options: dict[str, Any], **more: Any) -> Any:
    return build(options, **more).encoder.encode(TEXTS)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Columns of each training that takes place."""
    found: list[int] = []
    train = trainer.train

    def counting(model: Any, loss: Any, pairs: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(len(pairs[0]))
        return train(model, loss, pairs, *args, **kwargs)

    monkeypatch.setattr(trainer, "train", counting)
    return found


def test_outputs_are_made_of_one_twin(options: dict[str, Any], trainings: list[int]) -> None:
    whole = vectors(options)
    assert trainings == [2, 2, 2]
    first, second = (vectors(options, output=f"tower-{name}") for name in "ab")
    np.testing.assert_allclose(first + second, whole, rtol=0, atol=1e-5)
    assert not np.allclose(first, second, atol=1e-2)
    assert len(trainings) == 3
    single = build(options, output="distilled", distill_lr=1e-2)
    assert isinstance(single.encoder, SentenceTransformer)
    assert [len(trainings), trainings[-1], len(single.encoder)] == [4, 1, 2]
    distances = [np.abs(one - whole).mean() for one in (first, single.encoder.encode(TEXTS))]
    assert distances[1] < distances[0]
    build(options, output="distilled", distill_lr=2e-2, distill_sentences=16)
    assert len(trainings) == 5


def test_without_stage_two_it_is_the_sum_of_two_seeds(
    options: dict[str, Any], trainings: list[int]
) -> None:
    ensemble = vectors(options, joint="false", seed=5)
    assert trainings == [2, 2]
    stage1 = f"{options['stage1'][:-1]},base={options['base']}]"
    first, second = (build_method(stage1, seed=seed)[0] for seed in (5, 1005))
    assert len(trainings) == 2
    summed = first.encoder.encode(TEXTS) + second.encoder.encode(TEXTS)
    np.testing.assert_allclose(ensemble, summed, rtol=0, atol=1e-5)
    assert not np.allclose(vectors(options, seed=5), ensemble, atol=1e-3)


@pytest.mark.nightly
def test_switches_and_pooling_change_the_model(options: dict[str, Any]) -> None:
    choices: list[dict[str, Any]] = [
        {},
        {"cross_attention": "false"},
        {"interaction": "false"},
        {"modulus": "false"},
        {"pooling": "cls"},
        {"stage1_b": options["stage1"].replace("max_steps=2", "max_steps=1")},
    ]
    found = [vectors(options, max_steps=1, **choice) for choice in choices]
    for i, one in enumerate(found):
        assert all(not np.allclose(one, other, atol=1e-5) for other in found[i + 1 :])


def test_bases_of_different_sizes(options: dict[str, Any], tmp_path: Path) -> None:
    large = tiny_bert(tmp_path / "large", hidden=32)
    stage1_b = f"{options['stage1'][:-1]},base={large}]"
    with pytest.raises(UsageError, match="give them bases of one size"):
        build(options, stage1_b=stage1_b)


def test_what_it_learns_from_is_known(options: dict[str, Any], tmp_path: Path) -> None:
    def method(text: str) -> JTCSE:
        found = resolve(JTCSE, parse_method_spec(text), "local")
        assert isinstance(found, JTCSE)
        return found

    def datasets(text: str) -> set[str]:
        return {name for one in lineage(method(text)) for name in one.training_datasets()}

    plain = datasets("jtcse")
    assert "paraphrase/quora" in plain
    assert "sts/stsb" in datasets("jtcse[stage1=simcse[corpus=stsb]]")
    assert datasets("jtcse[output=tower-a]") == plain
    assert datasets("jtcse@folder") == set()
    data = DataAccess(None, tmp_path, None, offline=True)  # type: ignore[arg-type]
    corpus = options["corpus"]
    for output, joint in (("twin", True), ("twin", False), ("tower-b", True), ("distilled", True)):
        given = {"corpus": corpus, "stage1": options["stage1"], "output": output, "joint": joint}
        text = acting("jtcse", given)
        texts = {text for one in lineage(method(text)) for text in one.training_texts(data)}
        assert len(texts) == 40
        learns = output == "distilled" or (output == "twin" and joint)
        assert bool(list(method(text).training_texts(data))) == learns


def test_the_best_towers_are_kept(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    dev = [
        {"sentence1": f"text {i}", "sentence2": f"number {i * i}", "score": float(i % 7)}
        for i in range(30)
    ]
    monkeypatch.setattr(DataAccess, "rows", lambda self, ref: dev)
    for access in (DataAccess, Needs):
        monkeypatch.setattr(access, "sha256", lambda self, ref: "made up")
    built = build(options, dev="true", dev_every=1, epochs=2, pooling="cls")
    assert built.training is not None
    scores = [entry["spearman"] for entry in built.training["dev"]]
    assert scores[-1] < max(scores)
    encoder = built.encoder
    assert isinstance(encoder, SentenceTransformer)
    again = DevEvaluator(dev, 8, encoder.max_seq_length)(encoder)
    assert again["spearman_cosine"] == pytest.approx(max(scores), abs=1e-6), scores


@pytest.mark.parametrize("output", ["twin", "distilled"])
def test_stopped_and_run_again(
    output: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frequent_checkpoints(monkeypatch)
    options = {**options, "distill_lr": 1e-2, "joint": str(output == "twin")}
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "whole"))
    whole = vectors(options, output=output)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    if output == "distilled":
        build(options)
    again = stopped_and_run_again(lambda: vectors(options, output=output), monkeypatch)
    np.testing.assert_array_equal(again, whole)
