"""Drop probabilities of a training: where they act, and that they are put back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import nn
from transformers import ModernBertConfig, ModernBertModel

from bench.core.errors import UsageError
from bench.methods.parts.dropout import append_adaptive, require_dropout
from bench.methods.parts.dropout_rates import TrainingDropout, dropout_sites
from bench.training.lora import add_lora
from bench.training.trainer import train
from tests.support.dropout import (
    PAIRS,
    SETTINGS,
    SITES,
    P,
    applied_rates,
    bert,
    in_batch,
    step,
)
from tests.support.models import tiny_decoder, tiny_sentence_transformer
from tests.training.test_trainer import Killed, assert_equal_states, context

NOTHING: Any = None


def decoder(folder: Path, kind: str, attention: str = "sdpa") -> SentenceTransformer:
    """A random decoder of two layers, in training mode."""
    transformer = Transformer(str(tiny_decoder(folder, kind)))
    transformer.tokenizer.pad_token = transformer.tokenizer.eos_token
    transformer.model.set_attn_implementation(attention)
    return SentenceTransformer(modules=[transformer, Pooling(16, "mean")], device="cpu").train()


def begin(model: SentenceTransformer, rate: float | None) -> TrainingDropout:
    dropout = TrainingDropout(model, rate)
    dropout.on_train_begin(NOTHING, NOTHING, NOTHING)
    return dropout


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_all_dropout_of_bert_has_the_rate(tmp_path: Path, attention: str, rate: float) -> None:
    model = bert(tmp_path, attention)
    dropout = begin(model, rate)
    with applied_rates() as rates:
        step(in_batch(model), model)
    assert rates == [rate] * (2 * SITES)
    dropout.on_train_end(NOTHING, NOTHING, NOTHING)
    with applied_rates() as rates:
        step(in_batch(model), model)
    assert rates == [P] * (2 * SITES)


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "gemma", "gpt2", "opt", "gpt_neox"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_all_dropout_of_decoders_has_the_rate(tmp_path: Path, kind: str, attention: str) -> None:
    model = decoder(tmp_path, kind, attention)
    own = [site.rate for site in dropout_sites(model)]
    dropout = begin(model, 0.3)
    with applied_rates() as rates:
        step(in_batch(model), model)
    # Two layers with attention at least, twice each.
    assert set(rates) == {0.3} and len(rates) >= 4
    dropout.on_train_end(NOTHING, NOTHING, NOTHING)
    assert [site.rate for site in dropout_sites(model)] == own


def test_the_number_of_an_attention_is_a_site() -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = ModernBertConfig(vocab_size=9, num_hidden_layers=2, **sizes)
    config.pad_token_id = 0
    model = ModernBertModel(config)
    numbers = [site for site in dropout_sites(model) if not isinstance(site.module, nn.Dropout)]
    assert [site.name for site in numbers] == ["attention_dropout"] * 2


def test_adapters_drop_at_the_rate_too(tmp_path: Path) -> None:
    model = decoder(tmp_path, "llama")
    add_lora(model, 2, seed=0)
    begin(model, 0.0)
    with applied_rates() as rates:
        step(in_batch(model), model)
    assert set(rates) == {0.0}
    assert sum(isinstance(site.module, nn.Dropout) for site in dropout_sites(model)) > 0


def trained(folder: Path, rate: float | None, die_at: int | None = None) -> SentenceTransformer:
    folder.mkdir(exist_ok=True)
    model = tiny_sentence_transformer(folder / "tiny")
    callbacks = [] if rate is None else [TrainingDropout(model, rate)]
    ctx = context(folder, die_at)
    return train(model, in_batch(model), PAIRS, SETTINGS, ctx, callbacks=callbacks)


def test_a_training_has_the_rate_and_its_model_does_not(tmp_path: Path) -> None:
    usual, same, other = (trained(tmp_path / str(rate), rate) for rate in (None, P, 0.5))
    assert_equal_states(usual, same)
    words = [m[0].model.embeddings.word_embeddings.weight for m in (usual, other)]
    assert not torch.equal(*words)
    assert {site.rate for site in dropout_sites(other)} == {P}
    other.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert config["hidden_dropout_prob"] == config["attention_probs_dropout_prob"] == P


# Step 7 is between checkpoints; from the last one no step is made.
@pytest.mark.nightly
@pytest.mark.parametrize("die_at", [7, pytest.param(10, marks=pytest.mark.nightly)])
def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path, die_at: int) -> None:
    whole = trained(tmp_path / "whole", 0.5)
    with pytest.raises(Killed):
        trained(tmp_path / "killed", 0.5, die_at)
    resumed = trained(tmp_path / "killed", 0.5)
    assert_equal_states(whole, resumed)
    assert {site.rate for site in dropout_sites(resumed)} == {P}


def test_views_need_dropout(tmp_path: Path) -> None:
    require_dropout(bert(tmp_path / "bert"), "do so")
    model = decoder(tmp_path / "llama", "llama")
    with pytest.raises(UsageError, match=r"no dropout, so that both views.*; do so"):
        require_dropout(model, "do so")
    append_adaptive(model, 0)
    require_dropout(model, "do so")
    model = decoder(tmp_path / "llama", "llama")
    add_lora(model, 2, seed=0)
    require_dropout(model, "do so")


def test_a_model_without_dropout_has_no_rate() -> None:
    model: Any = nn.Sequential(nn.Linear(2, 2))
    TrainingDropout(model, 0.0)
    with pytest.raises(UsageError, match=r"nothing that drops units; leave out the rate 0\.3"):
        TrainingDropout(model, 0.3)
