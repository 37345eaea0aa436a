"""Supervised SimCSE: what it trains on, its head, and its checkpoints."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from bench.api import build_method
from bench.core.errors import DataError, UsageError
from bench.core.spec import parse_method_spec
from bench.method import resolve
from bench.methods.sup_simcse import SupSimCSE
from bench.training import trainer
from bench.training.template import prompt_length
from bench.training.trainer import TrainSettings
from tests.support.models import pooler_outputs, tiny_bert, tiny_llama
from tests.training.test_trainer import Killed, assert_equal_states, context

TEXTS = ["a red kettle", "two dogs run", "rain"]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Forty triplets."""
    path = tmp_path / "triplets.tsv"
    path.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(40)))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def train(tmp_path: Path, corpus: Path, seed: int = 0, **options: Any) -> SentenceTransformer:
    base = tiny_bert(tmp_path / "tiny")
    settings = {"base": base, "corpus": corpus, "dev": "false", "batch_size": 8, **options}
    inner = ",".join(f"{name}={value}" for name, value in settings.items())
    built, _ = build_method(f"sup-simcse[{inner}]", seed=seed)
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder


def test_the_head_is_trained_and_stays(tmp_path: Path, corpus: Path) -> None:
    plain = train(tmp_path, corpus, head="false")
    assert [type(one).__name__ for one in plain] == ["Transformer", "Pooling"]
    untrained = train(tmp_path, corpus, head="true", lr=1e-30)
    trained = train(tmp_path, corpus, head="true", lr=1e-2)
    weights = [model[2].linear.weight.detach() for model in (untrained, trained)]
    assert weights[0].std().item() == pytest.approx(0.02, rel=0.2)
    assert not torch.allclose(*weights, atol=1e-3)
    vectors = trained.encode(TEXTS)
    assert np.abs(vectors).max() < 1
    trained[2].linear.weight.data.zero_()
    assert not np.allclose(trained.encode(TEXTS), vectors)


def test_hard_negatives_change_the_training(tmp_path: Path, corpus: Path) -> None:
    found = [
        train(tmp_path, corpus, lr=1e-2, **options).encode(TEXTS)
        for options in ({}, {"hard_negatives": "false"}, {"hard_negative_weight": 3})
    ]
    assert not np.allclose(found[0], found[1], atol=1e-4)
    assert not np.allclose(found[0], found[2], atol=1e-4)


@pytest.mark.nightly
def test_seeds_repeat(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(tmp_path, corpus, head="true").encode(TEXTS)
    other = train(tmp_path, corpus, head="true", seed=1).encode(TEXTS)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "another"))
    again = train(tmp_path, corpus, head="true").encode(TEXTS)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-4)


def test_a_published_checkpoint_keeps_its_head(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "published")
    built, _ = build_method(f"sup-simcse@{folder}")
    expected = pooler_outputs(folder, TEXTS)
    np.testing.assert_allclose(built.encoder.encode(TEXTS), expected, atol=1e-6)


def test_bases_and_text_that_cannot_be_used(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(UsageError, match="is not a transformer"):
        build_method(f"sup-simcse[base=tfidf[corpus=pydoc],corpus={corpus},dev=false]")
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("a\tb\nc\td\n")
    with pytest.raises(DataError, match="no hard negatives"):
        train(tmp_path, pairs)


def test_a_decoder_learns_with_a_template(tmp_path: Path, corpus: Path) -> None:
    base = tiny_llama(tmp_path / "llama")
    options = {"base": base, "template": "eol", "pooling": "lasttoken", "head": "false"}
    untrained = train(tmp_path, corpus, lr=1e-30, **options)
    for rank in (0, 4):
        trained = train(tmp_path, corpus, lr=1e-2, lora_rank=rank, **options)
        assert [type(one).__name__ for one in trained] == ["Transformer", "Pooling"]
        assert type(trained[0].model) is type(untrained[0].model)
        assert trained.state_dict().keys() == untrained.state_dict().keys()
        assert trained.tokenizer("rain")["input_ids"] == untrained.tokenizer("rain")["input_ids"]
        assert np.abs(trained.encode(TEXTS) - untrained.encode(TEXTS)).max() > 1e-2
        embedding = [m[0].model.embed_tokens.weight for m in (trained, untrained)]
        assert torch.equal(*embedding) == (rank > 0)


def test_the_kept_folder_is_ordinary(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_llama(tmp_path / "llama")
    options = {"base": base, "template": "sum", "pooling": "lasttoken", "head": "false"}
    trained = train(tmp_path, corpus, lora_rank=4, lr=1e-2, **options)
    (folder,) = (tmp_path / "cache/models").iterdir()
    monkeypatch.setitem(sys.modules, "peft", None)
    loaded = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_array_equal(loaded.encode(TEXTS), trained.encode(TEXTS))
    checkpoint, _ = build_method(f"sup-simcse@{folder}")
    np.testing.assert_array_equal(checkpoint.encoder.encode(TEXTS), trained.encode(TEXTS))
    pieces = loaded.tokenizer.convert_ids_to_tokens(loaded.tokenizer("rain")["input_ids"])
    assert "".join(pieces).endswith('▁rain"▁can▁be▁summarized▁as')


@pytest.mark.nightly
def test_a_killed_training_of_adapters_ends_in_the_same_weights(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SupSimCSE.train_settings

    def often(method: SupSimCSE, rows: int) -> TrainSettings:
        return replace(settings(method, rows), checkpoint_every=2)

    monkeypatch.setattr(SupSimCSE, "train_settings", often)
    config = SupSimCSE.Config(
        base=str(tiny_llama(tmp_path / "llama")),
        corpus=str(corpus),
        template="eol",
        pooling="lasttoken",
        head=False,
        lora_rank=4,
        dev=False,
        batch_size=8,
        epochs=2,
    )

    def build(name: str, die_at: int | None = None) -> SentenceTransformer:
        (tmp_path / name).mkdir(exist_ok=True)
        return SupSimCSE(config).build(context(tmp_path / name, die_at))

    with pytest.raises(Killed):
        build("killed", 7)
    assert_equal_states(build("whole"), build("killed"))


def test_the_prompt_does_not_count_as_sentence(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = []

    def train_not(
        model: Any, loss: Any, pairs: Any, settings: TrainSettings, *rest: Any, **options: Any
    ) -> None:
        lengths.append((settings.max_seq_length, prompt_length(model)))
        (rest[0].workdir / "training.json").write_text('{"steps": 0}')

    monkeypatch.setattr(trainer, "train", train_not)
    options = {"base": tiny_llama(tmp_path / "llama"), "pooling": "lasttoken", "head": "false"}
    train(tmp_path, corpus, max_seq_length=20, template="eol", **options)
    train(tmp_path, corpus, max_seq_length=20, pooling="mean", head="false")
    prompt = len('▁This▁sentence▁:▁""▁means▁in▁one▁word:"') + 1
    assert lengths == [(20 + prompt, prompt), (20, 0)]


def test_adapters_and_a_head_on_an_encoder(tmp_path: Path, corpus: Path) -> None:
    trained = train(tmp_path, corpus, head="true", lora_rank=2, lr=1e-2)
    untrained = train(tmp_path, corpus, head="true", lr=1e-30)
    assert trained.state_dict().keys() == untrained.state_dict().keys()
    assert not torch.allclose(trained[2].linear.weight, untrained[2].linear.weight, atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"pooling": "lasttoken"}, {"head": "false"}])
def test_a_template_needs_the_last_token_and_no_head(
    tmp_path: Path, corpus: Path, options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="template=eol needs pooling=lasttoken and head=false"):
        train(tmp_path, corpus, template="eol", **{"pooling": "mean", "head": "true", **options})


def test_an_encoder_has_no_template(tmp_path: Path, corpus: Path) -> None:
    with pytest.raises(UsageError, match="the base is not a causal model"):
        train(tmp_path, corpus, template="eol", pooling="lasttoken", head="false")


def test_the_version_of_peft_counts_only_where_it_is_used(tmp_path: Path, corpus: Path) -> None:
    ctx = context(tmp_path)

    def inputs(**options: Any) -> dict[str, Any]:
        base = str(tiny_bert(tmp_path / "tiny"))
        config = SupSimCSE.Config(base=base, corpus=str(corpus), dev=False, **options)
        return dict(SupSimCSE(config).inputs(ctx.data, ctx.models))

    plain, adapted = inputs(), inputs(lora_rank=4)
    assert adapted.pop("peft") == importlib.metadata.version("peft")
    assert adapted == plain


def test_adapters_without_peft(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UsageError, match=r"pip install 'sentence-bench\[llm\]'"):
        train(tmp_path, corpus, lora_rank=4)
    train(tmp_path, corpus)


def test_warm_up_and_saving_memory_reach_the_trainer() -> None:
    spec = parse_method_spec("sup-simcse[warmup_steps=7,gradient_checkpointing=true]")
    plain, other = (
        resolve(SupSimCSE, one, "paper") for one in (parse_method_spec("sup-simcse"), spec)
    )
    assert isinstance(plain, SupSimCSE) and isinstance(other, SupSimCSE)
    settings = plain.train_settings(100)
    assert (settings.warmup_steps, settings.gradient_checkpointing) == (0, False)
    assert other.train_settings(100) == replace(
        settings, warmup_steps=7, gradient_checkpointing=True
    )


class Asked:
    """Models of which it is noted how they were asked for."""

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}

    def load(self, name: str, **options: Any) -> Any:
        self.options = {"name": name, **options}
        raise InterruptedError


def test_four_bits_are_asked_for_and_need_adapters(tmp_path: Path) -> None:
    options = "lora_rank=4,load_in_4bit=true"
    for spec, expected in ((f"sup-simcse[{options}]", True), ("sup-simcse", False)):
        method = resolve(SupSimCSE, parse_method_spec(spec), "paper")
        models = Asked()
        with pytest.raises(InterruptedError):
            method.start(replace(context(tmp_path, None), models=models))
        assert models.options == {
            "name": "bert-base-uncased",
            "pooling": "cls",
            "load_in_4bit": expected,
        }
    with pytest.raises(UsageError, match="load_in_4bit does nothing here; it needs lora_rank"):
        resolve(SupSimCSE, parse_method_spec("sup-simcse[load_in_4bit=true]"), "paper")
