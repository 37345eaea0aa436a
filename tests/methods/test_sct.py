"""SCT: its published settings, and that each one reaches the loss or the trainer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from bench.api import build_method
from bench.core.errors import UsageError
from bench.method import named_method
from bench.methods.losses.cross_view import CrossViewLoss, Projector, Residual
from tests.support.given import OF_EVERY_TRAINING
from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.training.test_trainer import context

PAIRS = [(f"text {i}", f"the text {i}") for i in range(40)]


def method(options: str = "", profile: str = "paper") -> Any:
    return named_method(f"sct[{options}]" if options else "sct", profile)


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    return tiny_sentence_transformer(tmp_path / "tiny")


def loss_of(options: str, model: SentenceTransformer, folder: Path) -> CrossViewLoss:
    usual = "" if "queue_size" in options else "queue_size=8"
    made = method(",".join(part for part in (usual, options) if part))
    return made.loss(model, PAIRS, replace(context(folder), seed=5))


def test_the_published_settings_of_bert_small() -> None:
    # arXiv 2311.03228, Table 1 and section 4.1; epochs, patience and decay of the authors' scripts.
    config = method().config
    assert (config.lr, config.queue_size, config.tau_ref, config.tau_on) == (
        3e-4,
        65_536,
        0.02,
        0.03,
    )
    assert (config.batch_size, config.max_seq_length, config.epochs) == (128, 128, 20)
    assert (config.views, config.kind, config.half, config.momentum) == ("pairs", "kl", False, None)
    assert (config.queue_start, config.warmup, config.dev_every) == ("random", 0.1, 64)
    assert config.base == "nreimers/BERT-Small-L-4_H-512_A-8"


# arXiv 2311.03228, Table 1.
@pytest.mark.parametrize(
    ("size", "base", "expected"),
    [
        ("tiny", "nreimers/BERT-Tiny_L-2_H-128_A-2", (5e-4, 131_072, 0.03, 0.04)),
        ("mini", "google/bert_uncased_L-4_H-256_A-4", (3e-4, 131_072, 0.01, 0.03)),
        ("small", "nreimers/BERT-Small-L-4_H-512_A-8", (3e-4, 65_536, 0.02, 0.03)),
        ("base", "bert-base-uncased", (5e-4, 65_536, 0.04, 0.05)),
        ("large", "bert-large-uncased", (5e-4, 16_384, 0.04, 0.05)),
    ],
)
def test_the_published_settings_of_every_size(size: str, base: str, expected: Any) -> None:
    config = method(f"size={size}").config
    assert config.base == base
    assert (config.lr, config.queue_size, config.tau_ref, config.tau_on) == expected
    assert config.size is None
    assert method(f"size={size},lr=0.1").config.lr == 0.1
    assert type(config).model_validate(config.model_dump()) == config


def test_a_size_is_no_setting_of_another_base() -> None:
    assert method("size=small").config == method().config
    with pytest.raises(UsageError, match="size=tiny stands for a published base"):
        method("size=tiny,base=minilm")
    with pytest.raises(UsageError, match="or add --profile paper"):
        method("size=tiny", "local")


def test_the_trainer_gets_the_published_schedule() -> None:
    settings = method().train_settings(1280)
    assert (settings.warmup_ratio, settings.weight_decay, settings.adam_epsilon) == (
        0.1,
        0.01,
        1e-6,
    )
    assert (settings.max_grad_norm, settings.dev_every) == (1.0, 64)
    # Seven epochs of ten batches, counted in evaluations of 64 batches.
    assert settings.patience == 2
    assert method("patience=0").train_settings(1280).patience == 0


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        *OF_EVERY_TRAINING,
        ("warmup=0.3", "warmup_ratio", 0.3),
        ("patience=14", "patience", 3),
    ],
)
def test_settings_reach_the_trainer(option: str, name: str, value: Any) -> None:
    usual, changed = (method(given).train_settings(1280) for given in ("", option))
    assert getattr(changed, name) == value != getattr(usual, name)


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("tau_ref=0.5", "tau_ref", 0.5),
        ("tau_on=0.5", "tau_on", 0.5),
        ("kind=ce", "kind", "ce"),
        ("half=true", "half", True),
        ("identical_view=true", "view", "identical"),
    ],
)
def test_settings_reach_the_divergence(
    option: str, name: str, value: Any, model: SentenceTransformer, tmp_path: Path
) -> None:
    usual, changed = (loss_of(given, model, tmp_path)._loss.keywords for given in ("", option))
    assert changed == {**usual, name: value} != usual


def test_settings_reach_queues_and_projector(model: SentenceTransformer, tmp_path: Path) -> None:
    usual = loss_of("", model, tmp_path)
    assert usual.queue1.rows.shape == usual.queue2.rows.shape == (8, 16)
    assert usual.queue2 is not usual.queue1
    assert not usual._frozen_queue
    assert isinstance(usual.projector, Projector)
    assert loss_of("queue_size=3", model, tmp_path).queue1.rows.shape == (3, 16)
    shared = loss_of("shared_queue=true", model, tmp_path)
    assert shared.queue2 is shared.queue1
    assert loss_of("frozen_queue=true", model, tmp_path)._frozen_queue
    assert isinstance(loss_of("projector=residual", model, tmp_path).projector, Residual)
    assert isinstance(loss_of("projector=none", model, tmp_path).projector, nn.Identity)
    assert usual.reference is None
    assert loss_of("momentum=0.9", model, tmp_path)._momentum == 0.9


def test_queues_can_begin_with_the_vectors_of_the_last_rows(
    model: SentenceTransformer, tmp_path: Path
) -> None:
    loss = loss_of("queue_start=vectors", model, tmp_path)
    for view, queue in enumerate((loss.queue1, loss.queue2)):
        rows = model.encode([pair[view] for pair in PAIRS[-8:]], convert_to_tensor=True)
        torch.testing.assert_close(queue.ordered(), nn.functional.normalize(rows))
    with pytest.raises(UsageError, match="queue_start does nothing here; it needs a queue_size"):
        method("queue_start=vectors,queue_size=0")


def train(folder: Path, **options: Any) -> Any:
    corpus = folder / "pairs.tsv"
    corpus.write_text("".join(f"{one}\t{two}\n" for one, two in PAIRS))
    inner = {"base": tiny_bert(folder / "tiny"), "corpus": corpus, "dev": "false", **options}
    inner = {"batch_size": 8, "max_steps": 2, "queue_size": 8, **inner}
    spec = f"sct[{','.join(f'{key}={value}' for key, value in inner.items())}]"
    return build_method(spec, profile="paper")[0].encoder


def test_a_queue_longer_than_the_corpus_is_refused_in_every_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UsageError, match=r"queue_size 41 is more than the 40 rows of corpus"):
        train(tmp_path, queue_size=41)
    train(tmp_path, queue_size=40)


def test_what_is_saved_has_no_projector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    encoder = train(tmp_path)
    assert [type(module).__name__ for module in encoder] == ["Transformer", "Pooling"]
    assert encoder[1].pooling_mode == "mean"


def test_views_by_dropout_need_some(model: SentenceTransformer, tmp_path: Path) -> None:
    loss_of("views=dropout", model, tmp_path)
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    with pytest.raises(UsageError, match="no dropout, so that both views"):
        loss_of("views=dropout", model, tmp_path)
