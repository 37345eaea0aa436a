"""Templates and adapters, in the methods that share them."""

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
from bench.core.errors import UsageError
from bench.method import named_method
from bench.methods.sct import SCT
from bench.training.trainer import TrainSettings
from tests.support.models import tiny_bert, tiny_llama
from tests.training.test_trainer import Killed, assert_equal_states, context

TEXTS = ["a red kettle", "two dogs run", "rain"]
# With what else a template goes.
BESIDE = {
    "simcse": {"pooling": "lasttoken", "head": "false", "dropout": 0.05},
    "sct": {"pooling": "lasttoken", "queue_size": 8},
}
METHODS = pytest.mark.parametrize("name", BESIDE)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Forty pairs."""
    path = tmp_path / "pairs.tsv"
    path.write_text("".join(f"text {i}\tthe text {i}\n" for i in range(40)))
    return path


def spec(name: str, corpus: Path, **options: Any) -> str:
    usual = {"base": tiny_llama(corpus.parent / "llama"), "corpus": corpus, "dev": "false"}
    inner = {**usual, "batch_size": 8, "max_steps": 3, "lr": 1e-2, **options}
    return f"{name}[{','.join(f'{key}={value}' for key, value in inner.items())}]"


def train(name: str, corpus: Path, **options: Any) -> SentenceTransformer:
    encoder = build_method(spec(name, corpus, **options), profile="paper")[0].encoder
    assert isinstance(encoder, SentenceTransformer)
    return encoder


@METHODS
def test_a_decoder_learns_by_template_and_adapters(
    name: str, tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {**BESIDE[name], "template": "eol"}
    base = SentenceTransformer(str(tiny_llama(tmp_path / "llama")), device="cpu")
    for rank in (0, 4):
        trained = train(name, corpus, lora_rank=rank, **options)
        assert trained[0].model.state_dict().keys() == base[0].model.state_dict().keys()
        pieces = trained.tokenizer.convert_ids_to_tokens(trained.tokenizer("rain")["input_ids"])
        assert "".join(pieces).endswith('▁rain"▁means▁in▁one▁word:"')
        same = {
            part: torch.equal(weights, base[0].model.state_dict()[part])
            for part, weights in trained[0].model.state_dict().items()
        }
        assert same["embed_tokens.weight"] is (rank > 0)
        assert not same["layers.0.self_attn.q_proj.weight"]
    (folder,) = (
        path for path in (tmp_path / "cache/models").iterdir() if same_weights(path, trained)
    )
    monkeypatch.setitem(sys.modules, "peft", None)
    loaded = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_array_equal(loaded.encode(TEXTS), trained.encode(TEXTS))


def same_weights(folder: Path, model: SentenceTransformer) -> bool:
    kept = SentenceTransformer(str(folder), device="cpu").state_dict()
    return all(torch.equal(kept[part], weights) for part, weights in model.state_dict().items())


@METHODS
def test_an_encoder_learns_by_adapters(name: str, tmp_path: Path, corpus: Path) -> None:
    options: dict[str, Any] = {"base": tiny_bert(tmp_path / "bert"), "lora_rank": 2}
    options |= {"queue_size": 8} if name == "sct" else {}
    trained, untrained = (train(name, corpus, **options, lr=lr) for lr in (1e-2, 1e-30))
    words = [m[0].model.embeddings.word_embeddings.weight for m in (trained, untrained)]
    assert torch.equal(*words)
    assert np.abs(trained.encode(TEXTS) - untrained.encode(TEXTS)).max() > 1e-3


@METHODS
def test_a_template_needs_the_last_token(name: str, corpus: Path) -> None:
    needed = "pooling=lasttoken and head=false" if name == "simcse" else "pooling=lasttoken"
    for wrong in ({"pooling": "mean"}, {"head": "true"} if name == "simcse" else {}):
        options = {**BESIDE[name], "pooling": "mean", **wrong}
        with pytest.raises(UsageError, match=f"template=eol needs {needed}$"):
            named_method(spec(name, corpus, template="eol", **options), "paper")


@METHODS
def test_the_version_of_peft_counts_only_where_it_is_used(
    name: str, tmp_path: Path, corpus: Path
) -> None:
    ctx = context(tmp_path)

    def inputs(rank: int) -> dict[str, Any]:
        method = named_method(spec(name, corpus, lora_rank=rank, **BESIDE[name]), "paper")
        return dict(method.inputs(ctx.data, ctx.models))

    plain, adapted = inputs(0), inputs(4)
    assert adapted.pop("peft") == importlib.metadata.version("peft")
    assert adapted == plain


def test_moving_references_have_adapters_of_their_own(tmp_path: Path, corpus: Path) -> None:
    options = {**BESIDE["sct"], "template": "eol", "lora_rank": 2, "momentum": 0.9}
    method = named_method(spec("sct", corpus, **options), "paper")
    assert isinstance(method, SCT)
    ctx = context(tmp_path)
    model = method.start(ctx).train()
    loss: Any = method.loss(model, method.rows(ctx), ctx)
    own = dict(loss.reference.named_parameters())
    before = {part: weights.clone() for part, weights in own.items()}
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(weights.requires_grad)
    loss([model.preprocess(TEXTS), model.preprocess(TEXTS[::-1])], None)
    for part, weights in model.named_parameters():
        assert (own[part] is weights) is ("lora" not in part)
        moved = before[part].lerp(weights, 0.1) if "lora" in part else before[part]
        torch.testing.assert_close(own[part].detach(), moved)


@pytest.mark.nightly
def test_a_killed_training_with_moving_references_ends_in_the_same_weights(
    tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SCT.train_settings

    def often(method: SCT, rows: int) -> TrainSettings:
        return replace(settings(method, rows), checkpoint_every=2)

    monkeypatch.setattr(SCT, "train_settings", often)
    options = {**BESIDE["sct"], "template": "eol", "lora_rank": 2, "momentum": 0.5}
    method = named_method(spec("sct", corpus, **options, max_steps=8, epochs=2), "paper")

    def build(name: str, die_at: int | None = None) -> SentenceTransformer:
        (tmp_path / name).mkdir(exist_ok=True)
        model = method.build(context(tmp_path / name, die_at))
        assert isinstance(model, SentenceTransformer)
        return model

    with pytest.raises(Killed):
        build("killed", 7)
    assert_equal_states(build("whole"), build("killed"))


def test_a_student_gets_template_and_adapters_too(tmp_path: Path, corpus: Path) -> None:
    options = {**BESIDE["sct"], "template": "sth", "lora_rank": 2, "teacher": "random"}
    student = (
        f"sct[corpus={corpus},dev=false,batch_size=8,max_steps=2,queue_size=8,epochs=1,lr=1e-2]"
    )
    taught = train("sct-distill", corpus, student=student, **options)
    pieces = taught.tokenizer.convert_ids_to_tokens(taught.tokenizer("rain")["input_ids"])
    assert "".join(pieces).endswith('▁rain"▁means▁something')
    method: Any = named_method(spec("sct-distill", corpus, student=student, **options), "paper")
    assert "pooling=lasttoken" in method._student and "template=sth" in method._student
    usual: Any = named_method(spec("sct-distill", corpus, queue_size=8, teacher="random"), "paper")
    assert "pooling=" not in usual._student and "template=" not in usual._student
