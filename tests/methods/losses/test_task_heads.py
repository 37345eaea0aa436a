"""Heads for sentiment, paraphrase and similarity: shapes, ranges, and how their losses add up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from torch import Tensor

from bench.methods.losses.task_heads import (
    CosineScore,
    MultiTaskLoss,
    ParaphraseHead,
    SentimentHead,
    SimilarityHead,
    TaskLoss,
    equal_shares,
)
from tests.support.models import tiny_sentence_transformer

WIDTH = 16
COLUMNS = [
    ["red", "green and blue", "no colour"],
    ["a kettle", "two dogs", "rain"],
    ["the kettle", "a cat", "rain again"],
    ["he runs", "she sleeps", "they sing"],
    ["he is running", "a stone", "they sang"],
]
LABELS = [
    torch.tensor([0.0, 4.0, 2.0]),
    torch.tensor([1.0, 0.0, 1.0]),
    torch.tensor([4.5, 0.0, 3.0]),
]
ROWS = torch.arange(3.0)


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    return tiny_sentence_transformer(tmp_path / "tiny")


def heads(dropout: float = 0.0) -> list[Any]:
    return [
        SentimentHead(WIDTH, 5, dropout=dropout, seed=0),
        ParaphraseHead(WIDTH, dropout=dropout, seed=0),
        SimilarityHead(),
    ]


def losses(model: SentenceTransformer, dropout: float = 0.0) -> list[TaskLoss]:
    return [TaskLoss(model, head) for head in heads(dropout)]


def features(model: SentenceTransformer, columns: Sequence[list[str]] = COLUMNS) -> list[Any]:
    return [model.tokenize(texts) for texts in columns]


def gradient(loss: Tensor, model: SentenceTransformer) -> Tensor:
    parameters = [one for name, one in model.named_parameters() if "pooler" not in name]
    found = torch.autograd.grad(loss, parameters)
    return torch.cat([one.flatten() for one in found])


def test_shapes_of_outputs() -> None:
    sentiment, paraphrase, similarity = heads()
    first, second = torch.randn(2, 7, WIDTH)
    assert sentiment(first).shape == (7, 5)
    assert paraphrase(first, second).shape == similarity(first, second).shape == (7,)
    assert [one.columns for one in heads()] == [1, 2, 2]
    half = [one(*[first.bfloat16()] * one.columns) for one in (SimilarityHead(), CosineScore())]
    assert {one.dtype for one in half} == {torch.float32}


def test_a_paraphrase_is_judged_by_both_vectors_and_their_distance() -> None:
    head = ParaphraseHead(WIDTH, dropout=0, seed=0)
    first, second = torch.randn(2, 4, WIDTH)
    with torch.no_grad():
        head.linear.bias.fill_(0.5)
        head.linear.weight.copy_(torch.arange(3.0).repeat_interleave(WIDTH) + 1)
    expected = first.sum(1) + 2 * second.sum(1) + 3 * (first - second).abs().sum(1) + 0.5
    torch.testing.assert_close(head(first, second), expected)


def at_cosine(cosine: float) -> tuple[Tensor, Tensor]:
    angle = math.acos(cosine)
    return torch.tensor([[2.0, 0.0]]), torch.tensor([[3 * math.cos(angle), 3 * math.sin(angle)]])


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 8), st.floats(-4, 4))
def test_scores_lie_between_0_and_5_and_rise_with_the_cosine(
    low: float, high: float, scale: float, shift: float
) -> None:
    low, high = sorted((low, high))
    head = SimilarityHead()
    with torch.no_grad():
        head.scale.fill_(scale)
        head.shift.fill_(shift)
        scores = [head(*at_cosine(cosine)).item() for cosine in (low, high)]
    assert 0 < scores[0] <= scores[1] + 1e-5 < 5 + 1e-5
    if high - low > 0.01:
        assert scores[0] < scores[1]


def test_a_fresh_similarity_head_spans_the_scores() -> None:
    found = [SimilarityHead()(*at_cosine(cosine)).item() for cosine in (0, 0.5, 1)]
    assert found == pytest.approx([0.3793, 2.5, 4.6207], abs=1e-3)
    assert CosineScore()(*at_cosine(0.3)).item() == pytest.approx(1.5)


def test_losses_are_what_they_are_called() -> None:
    sentiment, paraphrase, similarity = heads()
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    expected = -(logits[0].log_softmax(0)[2] + logits[1].log_softmax(0)[0]) / 2
    torch.testing.assert_close(sentiment.loss(logits, torch.tensor([2.0, 0.0])), expected)
    expected = -(torch.tensor(0.3).log() + torch.tensor(0.8).log()) / 2
    outputs = torch.logit(torch.tensor([0.3, 0.2]))
    torch.testing.assert_close(paraphrase.loss(outputs, torch.tensor([1.0, 0.0])), expected)
    scores = similarity.loss(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]))
    assert scores.item() == pytest.approx(5.0)


def test_heads_drop_in_training_only() -> None:
    vectors = torch.randn(4, WIDTH)
    for head in heads(0.5)[:2]:
        inputs = [vectors] * head.columns
        assert not torch.equal(head(*inputs), head(*inputs))
        head.eval()
        torch.testing.assert_close(head(*inputs), head(*inputs))


def test_the_encoder_follows_the_sum_of_the_gradients(model: SentenceTransformer) -> None:
    model.eval()
    tasks, columns = losses(model), features(model)
    parts = [columns[:1], columns[1:3], columns[3:]]
    alone = [
        gradient(task(part, labels), model)
        for task, part, labels in zip(tasks, parts, LABELS, strict=True)
    ]
    together = gradient(MultiTaskLoss(tasks, LABELS)(columns, ROWS), model)
    torch.testing.assert_close(together, torch.stack(alone).sum(0), rtol=1e-5, atol=1e-4)
    weighted = MultiTaskLoss(tasks, LABELS, [2, 0.5, 3])(columns, ROWS)
    expected = 2 * alone[0] + 0.5 * alone[1] + 3 * alone[2]
    torch.testing.assert_close(gradient(weighted, model), expected, rtol=1e-5, atol=1e-4)


def stepped(tmp_path: Path, kept: Sequence[int], weights: Sequence[float]) -> list[Tensor]:
    """Weights of encoder and of the heads after three steps with dropout on some tasks."""
    model = tiny_sentence_transformer(tmp_path / "tiny").train()
    tasks, columns = losses(model, dropout=0.3), features(model)
    parts = [columns[:1], columns[1:3], columns[3:]]
    loss = MultiTaskLoss([tasks[i] for i in kept], [LABELS[i] for i in kept], weights)
    optimizer = torch.optim.AdamW(loss.parameters(), lr=1e-2, weight_decay=0)
    torch.manual_seed(0)
    for _ in range(3):
        optimizer.zero_grad()
        loss([column for i in kept for column in parts[i]], ROWS).backward()
        optimizer.step()
    return [
        torch.cat([one.detach().flatten() for one in module.parameters()])
        for module in (model, *(task.head for task in tasks))
    ]


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_a_task_of_weight_zero_changes_nothing(tmp_path: Path, left_out: int) -> None:
    weights = [float(i != left_out) for i in range(3)]
    found = stepped(tmp_path, [0, 1, 2], weights)
    expected = stepped(tmp_path, [i for i in range(3) if i != left_out], [1, 1])
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(found[0], stepped(tmp_path, [0, 1, 2], [1, 1, 1])[0])


def test_rows_choose_the_labels(model: SentenceTransformer) -> None:
    model.eval()
    loss = MultiTaskLoss(losses(model), LABELS)
    order = [2, 0]
    batch = features(model, [[texts[i] for i in order] for texts in COLUMNS])
    permuted = MultiTaskLoss(losses(model), [labels[order] for labels in LABELS])
    found = loss(batch, torch.tensor([2.0, 0.0]))
    torch.testing.assert_close(found, permuted(batch, torch.tensor([0.0, 1.0])))
    assert not torch.isclose(found, loss(batch, torch.tensor([0.0, 2.0])))
    assert not any("labels" in name for name in loss.state_dict())


def test_what_does_not_fit_is_refused(model: SentenceTransformer) -> None:
    with pytest.raises(ValueError, match="3 tasks have 2 sets of labels and 3 weights"):
        MultiTaskLoss(losses(model), LABELS[:2])
    with pytest.raises(ValueError, match="the tasks have 5 columns, but there are 4"):
        MultiTaskLoss(losses(model), LABELS)(features(model)[:4], ROWS)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(1, 50), st.integers(0, 99))
def test_all_sets_are_drawn_equally_often(sizes: list[int], length: int, seed: int) -> None:
    shares = equal_shares(sizes, length, seed)
    for size, share in zip(sizes, shares, strict=True):
        counts = Counter(share)
        assert len(share) == length
        assert set(counts) <= set(range(size))
        assert max(counts.values()) - (min(counts.values()) if len(counts) == size else 0) <= 1
    assert shares == equal_shares(sizes, length, seed)


def test_every_round_has_an_order_of_its_own() -> None:
    (share,) = equal_shares([40], 80, 0)
    assert sorted(share[:40]) == sorted(share[40:]) == list(range(40))
    assert share[:40] != share[40:]
    first, second = equal_shares([40, 40], 40, 0)
    assert first != second
    assert equal_shares([40], 80, 1) != [share]
