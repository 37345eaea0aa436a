"""Losses of batches that are encoded in parts: those of whole batches, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from bench.core.errors import UsageError
from bench.methods.losses.cross_view import CrossViewLoss, CrossViewSettings
from bench.methods.losses.definitions import EntryLoss
from bench.methods.losses.distilled_view import DistilledViewLoss
from bench.methods.losses.graded import GradedLoss, cosent_loss, pearson_loss
from bench.methods.losses.in_batch import InBatchLoss
from bench.methods.losses.matryoshka import MatryoshkaLoss
from bench.methods.losses.multi_positive import CoDiEmbLoss
from bench.methods.losses.task_heads import SimilarityHead, TaskLoss
from bench.methods.losses.twin import TwinDistillation, TwinLoss
from bench.methods.parts.dropout import CurriculumDropout
from bench.methods.parts.mixture import RETRIEVAL_LABEL
from bench.methods.parts.twin import join_towers
from bench.training.heads import fresh_linear
from bench.training.micro_batches import encoding_in_parts
from bench.training.ranks import average_gradients
from tests.support.models import tiny_sentence_transformer
from tests.support.processes import in_two_processes

B, U, TAU = 8, 16, 0.05
TEXTS = [f"{'word ' * (i % 5)}number {i}" for i in range(3 * B)]
TEACHER = torch.randn(2, B, U, generator=torch.Generator().manual_seed(1))
GRADES = torch.arange(B) % 3 / 2
SIZES = [1, 3]
Make = Callable[[SentenceTransformer], nn.Module]


def in_batch(model: SentenceTransformer, **options: Any) -> InBatchLoss:
    """The loss of SimCSE."""
    return InBatchLoss(model, **{"temperature": TAU, "head": False, "seed": 0, **options})


VIEWS = CrossViewSettings(queue_size=12, tau_ref=0.1, tau_on=0.2)


def cross_view(model: SentenceTransformer, **options: Any) -> CrossViewLoss:
    """The loss of SCT."""
    return CrossViewLoss(model, VIEWS, seed=0, **options)


def distilled(model: SentenceTransformer) -> DistilledViewLoss:
    """The loss of SCT's distillation, and that of SCT."""
    first, second = TEACHER
    return DistilledViewLoss(model, (first, second), VIEWS, seed=0, joint=cross_view(model))


def codiemb(model: SentenceTransformer) -> CoDiEmbLoss:
    """The loss of CoDiEmb without that of the middle layer."""
    taus = {"temperature": TAU, "rank_temperature": TAU}
    return CoDiEmbLoss(model, positives=1, **taus, middle=False)


# Loss, number of columns, and labels.
LOSSES: dict[str, tuple[Make, int, Tensor]] = {
    "simcse": (lambda model: in_batch(model, head=True), 2, GRADES),
    "sup-simcse": (lambda model: in_batch(model, hard_negative_weight=2.0), 3, GRADES),
    "sct": (cross_view, 2, GRADES),
    "sct momentum": (lambda model: cross_view(model, momentum=0.5), 2, GRADES),
    "sct-distill": (distilled, 2, torch.arange(B)),
    "two-tier-simcse": (lambda model: CurriculumDropout(model, in_batch(model), 9), 2, GRADES),
    "matryoshka": (
        lambda model: MatryoshkaLoss(
            model, in_batch(model).from_vectors, [4, U], dims_per_step=1, seed=0
        ),
        2,
        GRADES,
    ),
    "pcc-tuning": (lambda model: GradedLoss(model, pearson_loss), 2, GRADES),
    "cosent": (lambda model: GradedLoss(model, cosent_loss), 2, GRADES),
    "codiemb sts": (codiemb, 2, GRADES),
    "codiemb retrieval": (codiemb, 3, torch.full((B,), float(RETRIEVAL_LABEL))),
    "codiemb both": (codiemb, 3, GRADES.where(GRADES < 0.5, torch.tensor(RETRIEVAL_LABEL))),
    "jtcse distill": (lambda m: TwinDistillation(m, TEACHER[0], TAU), 1, torch.arange(B)),
    "defsent-plus": (
        lambda model: EntryLoss(model, TEACHER[0].numpy(), fresh_linear(U, U, 0)),
        1,
        torch.arange(B),
    ),
    "minbert": (lambda model: TaskLoss(model, SimilarityHead()), 2, GRADES),
}


def outcome(
    model: SentenceTransformer, name: str, rows: int | None, own: slice = slice(None)
) -> dict[str, Any]:
    """Loss and gradients, and the loss's buffers afterwards, with the columns in parts or whole."""
    make, count, labels = LOSSES[name]
    for module in model.modules():
        # Its masks would differ with the size of the parts.
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model.zero_grad()
    loss = make(model.train())
    columns = [model.preprocess(TEXTS[i * B : (i + 1) * B]) for i in range(count)]
    features = [
        {name: value[own] if torch.is_tensor(value) else value for name, value in column.items()}
        for column in columns
    ]
    with encoding_in_parts(model, rows) if rows else nullcontext():
        value = loss(features, labels[own])
    value.backward()
    average_gradients(loss.parameters())
    return {
        "loss": value.detach(),
        "grads": {key: p.grad for key, p in loss.named_parameters() if p.grad is not None},
        "buffers": dict(loss.named_buffers()),
    }


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare outcomes to 1e-5, of gradients that of the largest."""
    largest = max(float(gradient.abs().max()) for gradient in expected["grads"].values())
    assert largest > 1e-4
    for name in ("loss", "buffers"):
        torch.testing.assert_close(found[name], expected[name], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["grads"], expected["grads"], rtol=1e-5, atol=1e-5 * largest)


@pytest.mark.parametrize("rows", SIZES)
@pytest.mark.parametrize("name", LOSSES)
def test_parts_give_the_loss_and_gradients_of_the_whole(
    tmp_path: Path, name: str, rows: int
) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny")
    expected = outcome(model, name, None)
    assert_close(outcome(model, name, rows), expected)


def test_a_twin_is_refused(tmp_path: Path) -> None:
    towers = [tiny_sentence_transformer(tmp_path / name) for name in "ab"]
    twin = join_towers(*towers)
    loss = TwinLoss(twin, temperature=TAU, seed=0)
    with pytest.raises(UsageError, match="listens to layers"), encoding_in_parts(twin, 2):
        loss([twin.preprocess(TEXTS[:B]), twin.preprocess(TEXTS[:B])], None)


def process(rank: int, folder: Path) -> dict[str, Any]:
    """What a process has of its share of the rows: 3 of 8, or the other 5."""
    # The library saves in the first process only, so that they cannot make one each.
    model = SentenceTransformer(str(folder / "tiny"), device="cpu")
    own = slice(0, 3) if rank == 0 else slice(3, B)
    return {name: outcome(model, name, 2, own) for name in ("simcse", "sup-simcse", "pcc-tuning")}


@pytest.mark.nightly
def test_two_processes_with_parts_equal_one_without(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny")
    for found in in_two_processes(process, tmp_path):
        for name, of_process in found.items():
            expected = outcome(model, name, None)
            assert_close(of_process, expected)
