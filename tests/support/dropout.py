"""Tiny models whose dropout is looked at, and trainings of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.losses.in_batch import InBatchLoss
from bench.methods.parts.dropout import (
    append_adaptive,
)
from bench.training.trainer import TrainSettings, train
from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.training.test_trainer import context

LAYERS, WIDTH, P = 2, 16, 0.1
SITES = 1 + 3 * LAYERS
TEXTS = ["a red kettle", "two dogs run", "rain", "the old farm"]
LABELS = torch.arange(len(TEXTS))
PAIRS = [(f"the number {i}", f"{i} is a number with {i % 3}") for i in range(20)]
DEV = [
    {"sentence1": one, "sentence2": PAIRS[(i * 7) % 20][1], "score": float(i % 5)}
    for i, (one, _) in enumerate(PAIRS)
]
SETTINGS = TrainSettings(lr=1e-2, epochs=2, batch_size=4, max_seq_length=16, checkpoint_every=3)
WITH_DEV = TrainSettings(lr=1e-2, epochs=2, batch_size=4, max_seq_length=16, dev_every=3)
STEPS = SETTINGS.total_steps(len(PAIRS))
Wrap = Callable[[SentenceTransformer, nn.Module], nn.Module]


def bert(folder: Path, attention: str = "sdpa") -> SentenceTransformer:
    """A random BERT of two layers, in training mode."""
    transformer = Transformer(str(tiny_bert(folder, layers=LAYERS)))
    transformer.model.set_attn_implementation(attention)
    model = SentenceTransformer(modules=[transformer, Pooling(WIDTH, "mean")], device="cpu")
    return model.train()


def in_batch(model: SentenceTransformer) -> InBatchLoss:
    """The loss of SimCSE."""
    return InBatchLoss(model, temperature=0.05, head=False, seed=0)


def step(loss: nn.Module, model: SentenceTransformer) -> Tensor:
    """One forward with two copies of each text."""
    tokens = model.preprocess(TEXTS)
    value: Tensor = loss([tokens, tokens], LABELS)
    return value


def trained(
    folder: Path,
    wrap: Wrap,
    *,
    settings: TrainSettings = SETTINGS,
    die_at: int | None = None,
    adaptive: bool = False,
) -> tuple[SentenceTransformer, nn.Module]:
    """Train a random BERT; returns it and its loss."""
    folder.mkdir(exist_ok=True)
    model = tiny_sentence_transformer(folder / "tiny")
    if adaptive:
        append_adaptive(model, 5)
    loss = wrap(model, in_batch(model))
    train(model, loss, PAIRS, settings, context(folder, die_at), DEV)
    return model, loss


def plain(model: SentenceTransformer, loss: nn.Module) -> nn.Module:
    """The loss without any scheme."""
    return loss


@contextmanager
def applied_rates() -> Iterator[list[float]]:
    """Collect the probabilities that torch is told to drop with."""
    rates: list[float] = []
    dropout, attention = functional.dropout, functional.scaled_dot_product_attention

    def count_dropout(x: Tensor, p: float = 0.5, training: bool = True, *rest: Any) -> Tensor:
        if training:
            rates.append(p)
        return dropout(x, p, training, *rest)

    def count_attention(*args: Any, dropout_p: float = 0.0, **kwargs: Any) -> Tensor:
        rates.append(dropout_p)
        return attention(*args, dropout_p=dropout_p, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functional, "dropout", count_dropout)
        patch.setattr(functional, "scaled_dot_product_attention", count_attention)
        yield rates
