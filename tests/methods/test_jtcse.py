"""JTCSE: what each switch does, its outputs, and resuming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from bench.api import build_method
from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec
from bench.data.access import DataAccess
from bench.data.needs import Needs
from bench.method import Built, lineage, named_method, resolve
from bench.methods.jtcse import JTCSE
from bench.methods.losses.twin import TwinLoss, distillation_loss
from bench.methods.parts.twin import join_towers
from bench.methods.simcse import SimCSE
from bench.training import trainer
from bench.training.watching import DevEvaluator
from tests.support.given import OF_EVERY_TRAINING
from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.support.specs import acting
from tests.support.stopping import frequent_checkpoints, stopped_and_run_again
from tests.training.test_trainer import context

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


def method(options: str = "", profile: str = "paper") -> Any:
    return named_method(f"jtcse[{options}]" if options else "jtcse", profile)


def test_the_published_settings_of_bert_base() -> None:
    # The authors' train_jtcse_bert.py; stage 1 and the distillations are of TNCSE's supplement.
    config = method().config
    assert (config.lr, config.batch_size, config.epochs, config.max_seq_length) == (
        1.3e-6,
        64,
        1,
        64,
    )
    assert (config.dev, config.dev_every, config.temperature) == (True, 100, 0.05)
    assert (config.cross_attention, config.cross_layers, config.pooling) == (True, 6, "cls")
    assert (config.interaction, config.modulus, config.joint) == (True, True, True)
    assert (config.base, config.corpus, config.sentences) == (
        "bert-base-uncased",
        "wiki1m+sick",
        None,
    )
    first, second = (named_method(stage, "paper") for stage in method()._stages)
    assert isinstance(first.config, SimCSE.Config) and isinstance(second.config, SimCSE.Config)
    assert (first.config.lr, second.config.lr) == (1.5e-5, 2e-5)
    for stage in (first.config, second.config):
        assert (stage.base, stage.corpus, stage.batch_size) == (config.base, config.corpus, 64)
    # No scheduler of the rate and no clipping, and the decay of torch's AdamW.
    settings = method().train_settings(640)
    assert (settings.schedule, settings.shuffle) == ("constant", True)
    assert (settings.weight_decay, settings.max_grad_norm) == (0.01, 0.0)
    assert (settings.warmup_ratio, settings.warmup_steps, settings.patience) == (0.0, 0, 0)
    for output, lr in (("distilled", 1e-5), ("uc-distilled", 1.5e-5)):
        settings = method(f"output={output}").train_settings(640)
        assert (settings.lr, settings.batch_size, settings.weight_decay) == (lr, 64, 0.01)
    # The authors' ensemble_UC.py.
    config = method("output=uc").config
    assert (config.uc, config.uc_weight) == ("ffgcc/InfoCSE-bert-base", 0.7)


def test_the_second_tower_is_as_the_first_where_the_first_alone_is_named() -> None:
    stages = method("stage1=sct")._stages
    assert stages[0] == stages[1] == "sct[base=bert-base-uncased]"
    assert method("stage1_b=sct")._stages[0].startswith("simcse")
    local = method(profile="local")
    assert len(set(local._stages)) == 1
    assert (local.config.cross_layers, local.train_settings(640).schedule) == (1, "linear")


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        *OF_EVERY_TRAINING,
        ("schedule=linear", "schedule", "linear"),
        ("output=distilled,distill_lr=0.02", "lr", 0.02),
        ("output=uc-distilled,distill_lr=0.02", "lr", 0.02),
    ],
)
def test_settings_reach_the_trainer(option: str, name: str, value: Any) -> None:
    usual, changed = (method(given).train_settings(640) for given in ("", option))
    assert getattr(changed, name) == value != getattr(usual, name)


@pytest.mark.parametrize(
    ("option", "arguments"),
    [
        ("temperature=0.2", {"temperature": 0.2}),
        ("cross_layers=1", {"cross_layers": 1}),
        ("cross_attention=false", {"cross_layers": 0}),
        ("interaction=false", {"interaction": False}),
        ("modulus=false", {"modulus": False}),
    ],
)
def test_settings_reach_the_loss(option: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    first, second = (
        SentenceTransformer(str(tiny_bert(tmp_path / str(n), layers=6)), device="cpu")
        for n in range(2)
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in (*first.parameters(), *second.parameters()):
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    twin = join_towers(first, second).eval()
    views = [twin.preprocess(TEXTS), twin.preprocess([f"{text} {text}" for text in TEXTS])]
    ctx = replace(context(tmp_path), seed=5)
    usual, changed = (method(given).loss(twin, [], ctx)(views, None) for given in ("", option))
    published = {"temperature": 0.05, "cross_layers": 6, "interaction": True, "modulus": True}
    torch.testing.assert_close(usual, TwinLoss(twin, seed=5, **published)(views, None))
    by_hand = TwinLoss(twin, seed=5, **{**published, **arguments})(views, None)
    torch.testing.assert_close(changed, by_hand)
    assert not torch.allclose(usual, changed, atol=1e-4)


def test_the_temperature_reaches_the_distillation(tmp_path: Path) -> None:
    student = tiny_sentence_transformer(tmp_path / "tiny").eval()
    teacher = np.random.default_rng(0).normal(size=(3, 16)).astype(np.float32)
    asked: list[str] = []

    class Models:
        def vectors(self, name: str, texts: list[str]) -> Any:
            asked.append(name)
            return teacher

    ctx = replace(context(tmp_path), models=Models())  # type: ignore[arg-type]
    features, numbers = [student.preprocess(TEXTS)], torch.arange(3.0)
    for temperature in (0.05, 0.5):
        made = method(f"output=uc-distilled,temperature={temperature}")
        found = made.loss(student, [(text,) for text in TEXTS], ctx)(features, numbers)
        vectors = student(dict(features[0]))["sentence_embedding"]
        expected = distillation_loss(vectors, torch.from_numpy(teacher), temperature)
        torch.testing.assert_close(found, expected)
    named = named_method(asked[0], "paper")
    assert isinstance(named, JTCSE)
    assert (named.config.output, named.config.temperature) == ("uc", 0.05)


def test_a_further_checkpoint_beside_the_twin(
    options: dict[str, Any], trainings: list[int], tmp_path: Path
) -> None:
    further = tiny_sentence_transformer(tmp_path / "further")
    with torch.no_grad():
        further[0].auto_model.embeddings.word_embeddings.weight.mul_(2)
    further.save_pretrained(str(tmp_path / "further"))
    beside = {"uc": tmp_path / "further", "uc_weight": 0.25}
    whole = vectors(options, output="uc", **beside)
    assert trainings == [2, 2, 2]
    np.testing.assert_allclose(
        whole, 0.75 * vectors(options) + 0.25 * further.encode(TEXTS), rtol=0, atol=1e-5
    )
    assert len(trainings) == 3
    assert (
        build(options, output="uc", **beside).fingerprint
        != build(options, output="uc", uc=beside["uc"], uc_weight=0.5).fingerprint
    )
    distilled = build(options, output="uc-distilled", distill_lr=1e-2, **beside)
    assert trainings[3:] == [1]
    assert isinstance(distilled.encoder, SentenceTransformer)
    first = vectors(options, output="tower-a")
    found = [np.abs(one - whole).mean() for one in (first, distilled.encoder.encode(TEXTS))]
    assert found[1] < found[0]
    large = tiny_bert(tmp_path / "large", hidden=32)
    with pytest.raises(UsageError, match="16 dimensions and the model beside it 32"):
        build(options, output="uc", uc=large)


def test_more_cross_layers_than_the_base_has(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cross_layers=6 does not divide the 1 layers of a tower"):
        build(options, cross_layers=6)


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
    assert datasets("jtcse[output=uc-distilled,uc=simcse[corpus=stsb]]") == {*plain, "sts/stsb"}
    assert datasets("jtcse@folder") == set()
    data = DataAccess(None, tmp_path, None, offline=True)  # type: ignore[arg-type]
    corpus = options["corpus"]
    for output, joint in (
        ("twin", True),
        ("twin", False),
        ("tower-b", True),
        ("distilled", True),
        ("uc", True),
    ):
        given = {"corpus": corpus, "stage1": options["stage1"], "output": output, "joint": joint}
        given["uc"] = options["base"]
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


@pytest.mark.nightly
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
