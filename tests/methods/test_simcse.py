"""SimCSE: its published settings, and that each one reaches the loss or the trainer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

from bench.core.errors import UsageError
from bench.method import named_method
from bench.methods.losses.in_batch import InBatchLoss
from bench.methods.parts.dropout_rates import dropout_sites
from tests.support.given import OF_EVERY_TRAINING
from tests.support.models import tiny_llama, tiny_sentence_transformer
from tests.training.test_trainer import context


def method(options: str = "", profile: str = "paper") -> Any:
    return named_method(f"simcse[{options}]" if options else "simcse", profile)


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    return tiny_sentence_transformer(tmp_path / "tiny").eval()


def loss_of(options: str, model: SentenceTransformer, folder: Path) -> InBatchLoss:
    return method(options).loss(model, [], replace(context(folder), seed=5))


def test_the_published_settings_of_bert_base() -> None:
    # Gao et al., EMNLP 2021, appendix A and the authors' script for BERT-base.
    config = method().config
    assert (config.lr, config.batch_size, config.epochs) == (3e-5, 64, 1)
    assert (config.max_seq_length, config.temperature, config.dev_every) == (32, 0.05, 250)
    assert (config.pooling, config.head, config.positives) == ("cls", True, "dropout")
    assert (config.base, config.corpus, config.sentences) == ("bert-base-uncased", "wiki1m", None)
    assert (config.dropout, config.fixed_mask) == (None, False)
    settings = method().train_settings(640)
    assert (settings.warmup_ratio, settings.warmup_steps, settings.weight_decay) == (0.0, 0, 0.0)
    assert (settings.max_grad_norm, settings.adam_epsilon, settings.patience) == (1.0, 1e-8, 0)


@pytest.mark.parametrize(
    ("option", "name", "value"),
    OF_EVERY_TRAINING,
)
def test_settings_reach_the_trainer(option: str, name: str, value: Any) -> None:
    usual, changed = (method(given).train_settings(640) for given in ("", option))
    assert getattr(changed, name) == value != getattr(usual, name)


def test_the_temperature_divides_the_cosines(model: SentenceTransformer, tmp_path: Path) -> None:
    features = [model.preprocess(["one text", "two", "three of them"]) for _ in range(2)]
    labels = torch.arange(3)
    for temperature in (0.05, 0.5):
        loss = loss_of(f"head=false,temperature={temperature}", model, tmp_path)
        vectors = torch.nn.functional.normalize(model(dict(features[0]))["sentence_embedding"])
        logits = vectors @ vectors.T / temperature
        expected = torch.nn.functional.cross_entropy(logits, labels)
        torch.testing.assert_close(loss(features, labels), expected)


def test_the_head_is_of_training_alone(model: SentenceTransformer, tmp_path: Path) -> None:
    with_head, without = (loss_of(f"head={flag}", model, tmp_path) for flag in ("true", "false"))
    assert len(list(with_head.head.parameters())) == 2
    assert not [*without.head.parameters()]
    assert len(list(model)) == 2


def test_pooling_is_that_of_training_and_inference() -> None:
    assert method().pooling == "cls"
    assert method("pooling=mean").pooling == "mean"


def test_positives_are_the_sentence_itself_or_its_paraphrase(tmp_path: Path) -> None:
    corpus = tmp_path / "pairs.tsv"
    corpus.write_text("a text\tthe text\nanother\tone more\n")
    ctx = context(tmp_path)
    assert method(f"corpus={corpus}").rows(ctx) == [("a text", "a text"), ("another", "another")]
    pairs = method(f"corpus={corpus},positives=pairs,sentences=1").rows(ctx)
    assert pairs == [("a text", "the text")]


def test_the_rate_of_dropout_is_that_of_the_training(
    model: SentenceTransformer, tmp_path: Path
) -> None:
    ctx = context(tmp_path)
    assert method().callbacks(model, ctx) == []
    for rate in (0.0, 0.3):
        (dropout,) = method(f"dropout={rate}").callbacks(model, ctx)
        dropout.on_train_begin(None, None, None)
        assert {site.rate for site in dropout_sites(model)} == {rate}
        dropout.on_train_end(None, None, None)
    assert {site.rate for site in dropout_sites(model)} == {0.1}


def test_without_dropout_and_under_a_fixed_mask_positives_are_their_anchors(
    model: SentenceTransformer, tmp_path: Path
) -> None:
    tokens = model.train().preprocess(["one text", "two", "three of them"])
    columns: list[torch.Tensor] = []
    for options in ("fixed_mask=true", "dropout=0", "temperature=0.05"):
        loss = loss_of(options, model, tmp_path)
        loss.from_vectors = lambda both, labels: columns.extend(both)
        callbacks = method(options).callbacks(model, context(tmp_path))
        for dropout in callbacks:
            dropout.on_train_begin(None, None, None)
        loss([tokens, tokens], torch.arange(3))
        for dropout in callbacks:
            dropout.on_train_end(None, None, None)
    same = [torch.equal(one, two) for one, two in zip(columns[::2], columns[1::2], strict=True)]
    assert same == [True, True, False]
    assert not torch.equal(columns[0], columns[2])


def test_a_mask_needs_dropout_and_the_same_text() -> None:
    with pytest.raises(UsageError, match="fixed_mask does nothing here; it needs positives=drop"):
        method("fixed_mask=true,positives=pairs")
    with pytest.raises(UsageError, match="fixed_mask does nothing here; it needs a dropout above"):
        method("fixed_mask=true,dropout=0")


def test_a_base_without_dropout_makes_no_views(tmp_path: Path) -> None:
    transformer = Transformer(str(tiny_llama(tmp_path / "llama")))
    llama = SentenceTransformer(modules=[transformer, Pooling(16, "lasttoken")], device="cpu")
    with pytest.raises(UsageError, match="the base has no dropout"):
        loss_of("", llama, tmp_path)
    for options in ("dropout=0", "dropout=0.1", "positives=pairs"):
        loss_of(options, llama, tmp_path)
