"""The SimCSE loss against plain NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from bench.methods.losses.in_batch import InBatchLoss
from tests.support.models import tiny_sentence_transformer

B, U, TAU = 6, 16, 0.05
LABELS = torch.arange(B)
TEXTS = ["a red kettle", "two dogs run", "rain", "the old farm", "dust", "iron"]


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    """A tiny model in training mode."""
    return tiny_sentence_transformer(tmp_path / "tiny").train()


@pytest.fixture
def loss(model: SentenceTransformer) -> InBatchLoss:
    """The loss without head."""
    return make(model)


def make(model: SentenceTransformer, **options: Any) -> InBatchLoss:
    """A loss with temperature 0.05."""
    return InBatchLoss(model, **{"temperature": TAU, "head": False, "seed": 0, **options})


def columns(count: int) -> list[Tensor]:
    """Random columns of vectors."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(B, U, generator=generator) for _ in range(count)]


def expected(vectors: list[Tensor], tau: float = TAU) -> float:
    """Equation 1, or 5 with a third column, written with loops."""
    anchors, positives, *negatives = (
        (v / v.norm(dim=1, keepdim=True)).detach().double().numpy() for v in vectors
    )
    losses = []
    for i, anchor in enumerate(anchors):
        powers = [
            np.exp(anchor @ other / tau) for rows in (positives, *negatives) for other in rows
        ]
        losses.append(-np.log(powers[i] / sum(powers)))
    return float(np.mean(losses))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("tau", [0.05, 0.1, 1.0])
def test_equals_numpy(model: SentenceTransformer, count: int, tau: float) -> None:
    value = make(model, temperature=tau).from_vectors(columns(count), LABELS)
    assert value.item() == pytest.approx(expected(columns(count), tau), abs=1e-4)
    assert value.item() >= 0


@pytest.mark.parametrize("tau", [0.05, 1.0])
def test_equal_vectors_give_the_log_of_the_candidates(
    model: SentenceTransformer, tau: float
) -> None:
    same, loss = torch.ones(B, U), make(model, temperature=tau)
    assert loss.from_vectors([same] * 2, LABELS).item() == pytest.approx(np.log(B), abs=1e-5)
    assert loss.from_vectors([same] * 3, LABELS).item() == pytest.approx(np.log(2 * B), abs=1e-5)


@pytest.mark.parametrize("tau", [0.05, 0.5])
def test_orthonormal_vectors(model: SentenceTransformer, tau: float) -> None:
    rows = torch.eye(B, U)
    value = make(model, temperature=tau).from_vectors([rows, rows], LABELS).item()
    assert value == pytest.approx(np.log1p((B - 1) * np.exp(-1 / tau)), abs=1e-6)


def test_scale_of_a_vector_is_irrelevant(loss: InBatchLoss) -> None:
    first, second, third = columns(3)
    value = loss.from_vectors([first, second, third], LABELS)
    factors = torch.linspace(0.1, 9, B)[:, None]
    scaled = loss.from_vectors([first * factors, second * 5, third / factors], LABELS)
    torch.testing.assert_close(scaled, value)


def test_order_of_the_batch_is_irrelevant(loss: InBatchLoss) -> None:
    value = loss.from_vectors(columns(3), LABELS)
    shuffled = loss.from_vectors([column.flip(0) for column in columns(3)], LABELS)
    torch.testing.assert_close(shuffled, value)


def test_one_pair_alone_costs_nothing(loss: InBatchLoss) -> None:
    pair = [column[:1] for column in columns(2)]
    assert loss.from_vectors(pair, LABELS[:1]).item() == 0


def test_gradient_reaches_both_copies(loss: InBatchLoss) -> None:
    vectors = [column.requires_grad_(True) for column in columns(2)]
    torch.autograd.backward(loss.from_vectors(vectors, LABELS))
    assert all(v.grad is not None and v.grad.abs().max() > 0 for v in vectors)


def test_half_precision_stays_exact(loss: InBatchLoss) -> None:
    value = loss.from_vectors(columns(2), LABELS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss.from_vectors(columns(2), LABELS), value)


def test_copies_differ_by_dropout_only(model: SentenceTransformer, loss: InBatchLoss) -> None:
    seen: list[Tensor] = []
    model.register_forward_hook(lambda *call: seen.append(call[-1]["sentence_embedding"]))
    tokens = model.preprocess(TEXTS)
    loss([tokens, tokens], LABELS)
    assert not torch.allclose(seen[0], seen[1])
    model.eval()
    loss([tokens, tokens], LABELS)
    torch.testing.assert_close(seen[2], seen[3])


def test_forward_equals_numpy_with_head(model: SentenceTransformer) -> None:
    model.eval()
    loss = make(model, head=True)
    weight, bias = (value.detach().numpy() for value in loss.head.parameters())
    tokens = [model.preprocess(TEXTS), model.preprocess(TEXTS[::-1])]
    encoded = [model.encode(TEXTS), model.encode(TEXTS[::-1])]
    heads = [torch.from_numpy(np.tanh(vectors @ weight.T + bias)) for vectors in encoded]
    assert loss(tokens, LABELS).item() == pytest.approx(expected(heads), abs=1e-4)


def test_head_is_fresh_and_by_seed(model: SentenceTransformer) -> None:
    weight, bias = make(model, head=True).head.parameters()
    again, _ = make(model, head=True).head.parameters()
    other, _ = make(model, head=True, seed=1).head.parameters()
    assert weight.shape == (U, U) and bias.abs().max() == 0
    assert weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert torch.equal(weight, again) and not torch.equal(weight, other)
    assert not torch.allclose(
        weight,
        model.get_parameter(
            next(
                name for name, _ in model.named_parameters() if name.endswith("pooler.dense.weight")
            )
        ),
    )


def test_head_is_trained_but_not_exported(model: SentenceTransformer, tmp_path: Path) -> None:
    before = model.encode(TEXTS)
    loss = make(model, head=True)
    torch.autograd.backward(loss([model.preprocess(TEXTS)] * 2, LABELS))
    assert all(parameter.grad is not None for parameter in loss.head.parameters())
    with torch.no_grad():
        for parameter in loss.head.parameters():
            parameter.fill_(3)
    model.save(str(tmp_path / "saved"))
    saved = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert len(saved) == 2
    np.testing.assert_allclose(saved.encode(TEXTS), before, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 1e-12])
def test_a_weight_counts_only_the_own_hard_negative(
    model: SentenceTransformer, alpha: float
) -> None:
    vectors = columns(3)
    anchors, positives, negatives = (
        (v / v.norm(dim=1, keepdim=True)).double().numpy() for v in vectors
    )
    powers = np.exp(anchors @ np.concatenate([positives, negatives]).T / TAU)
    powers[np.arange(B), B + np.arange(B)] *= alpha
    by_hand = -np.log(np.diag(powers) / powers.sum(axis=1)).mean()
    value = make(model, hard_negative_weight=alpha).from_vectors(vectors, LABELS)
    assert value.item() == pytest.approx(by_hand, abs=1e-4)


def test_a_weight_means_nothing_without_hard_negatives(model: SentenceTransformer) -> None:
    pairs = columns(2)
    weighted = make(model, hard_negative_weight=5.0).from_vectors(pairs, LABELS)
    torch.testing.assert_close(weighted, make(model).from_vectors(pairs, LABELS))


def gradients(loss: InBatchLoss) -> list[Tensor]:
    return [p.grad.clone() for p in loss.parameters() if p.grad is not None]


def test_a_fixed_mask_is_one_for_both_views(model: SentenceTransformer) -> None:
    """One encoding of a text counts as two whose draws are the same."""
    tokens = model.preprocess(TEXTS)
    fixed = make(model, head=True, fixed_mask=True)
    torch.manual_seed(4)
    value = fixed([tokens, tokens], LABELS)
    value.backward()
    found = gradients(fixed)
    model.zero_grad()
    drawn = make(model, head=True)
    vectors = []
    for _ in range(2):
        torch.manual_seed(4)
        vectors.append(drawn.head(model(dict(tokens))["sentence_embedding"]))
    assert torch.equal(*vectors)
    twice = drawn.from_vectors(vectors, LABELS)
    twice.backward()
    torch.testing.assert_close(value, twice)
    for one, two in zip(found, gradients(drawn), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    assert drawn([tokens, tokens], LABELS).item() > value.item()
