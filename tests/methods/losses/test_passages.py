"""The loss of 2D Matryoshka on passages against NumPy, option by option."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import Tensor

from bench.methods.losses.in_batch import InBatchLoss
from bench.methods.losses.passages import PassageLoss, score_alignment
from bench.models.layers import layer_vectors
from tests.support.models import tiny_bert

Floats = NDArray[np.float64]
LAYERS, WIDTH = 3, 16
DIMS = (8, 4)
QUERIES = ["a cat sits", "two dogs run", "it rains"]
POSITIVES = ["the cat is sitting", "dogs are running", "rain falls"]
# The second query has no judged passages.
NEGATIVES = [["no cat", "", "the sun"], ["a bird", "", ""], ["", "", ""]]
USUAL: dict[str, Any] = {
    "layers_per_step": -1,
    "similarity": "dot",
    "temperature": 1.0,
    "score_align": False,
    "compare_to_last_layer": False,
    "sub_layer_full_dim": False,
    "passage_to_last_layer": False,
    "seed": 0,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    folder = tiny_bert(tmp_path_factory.mktemp("model"), hidden=WIDTH, layers=LAYERS)
    modules = [Transformer(str(folder)), Pooling(WIDTH, "mean")]
    return SentenceTransformer(modules=modules, device="cpu").eval()


@pytest.fixture
def vectors() -> list[Tensor]:
    """Vectors of every layer: of 3 queries and 7 passages."""
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(count, LAYERS, WIDTH, generator=generator) for count in (3, 7)]


def loss_of(
    model: SentenceTransformer, dims: tuple[int, ...] = DIMS, **options: Any
) -> PassageLoss:
    return PassageLoss(model, dims, **{**USUAL, **options})


def softmax(x: Floats) -> Floats:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def similarities(queries: Floats, passages: Floats, similarity: str) -> Floats:
    if similarity == "cosine":
        queries, passages = (v / np.linalg.norm(v, axis=1)[:, None] for v in (queries, passages))
    return queries @ passages.T


def reference(queries: Floats, passages: Floats, options: dict[str, Any]) -> float:
    """Section 4.4 of the specification, spelled out from layer 1 to the last."""
    temperature = options["temperature"]

    def entropy(scores: Floats) -> float:
        return float(-np.log(np.diag(softmax(scores / temperature)[:, : len(scores)])).mean())

    def aligned(scores: Floats, target: Floats) -> float:
        p, q = softmax(target / temperature), softmax(scores / temperature)
        divergence = (p * np.log(p / q)).sum(axis=1).mean()
        return float((((scores - target) ** 2).mean() + divergence) / scores.size)

    def score(layer: int, dim: int) -> Floats:
        of_passages = LAYERS if options["passage_to_last_layer"] else layer
        return similarities(
            queries[:, layer - 1, :dim],
            passages[:, of_passages - 1, :dim],
            options["similarity"],
        )

    last = score(LAYERS, WIDTH)
    total = entropy(last)
    for layer in range(1, LAYERS + 1):
        weight = 1.0 if layer == LAYERS else 1 / (1 + math.log(layer))
        own = score(layer, WIDTH)
        for dim in DIMS:
            total += weight * entropy(score(layer, dim))
            if options["score_align"]:
                target = last if options["compare_to_last_layer"] else own
                total += weight * aligned(score(layer, dim), target)
        if options["sub_layer_full_dim"] and layer < LAYERS:
            total += weight * entropy(own)
    return total


SWITCHES = ("score_align", "compare_to_last_layer", "sub_layer_full_dim", "passage_to_last_layer")


@pytest.mark.parametrize(("similarity", "temperature"), [("dot", 1.0), ("cosine", 0.05)])
def test_every_combination_equals_its_formula(
    model: SentenceTransformer, vectors: list[Tensor], similarity: str, temperature: float
) -> None:
    arrays = [rows.double().numpy() for rows in vectors]
    found = set()
    for values in product([False, True], repeat=len(SWITCHES)):
        options = {**USUAL, "similarity": similarity, "temperature": temperature}
        options |= dict(zip(SWITCHES, values, strict=True))
        ours = loss_of(model, **options).from_vectors(*vectors).item()
        assert ours == pytest.approx(reference(*arrays, options), rel=1e-5)
        found.add(round(ours, 6))
    # What is compared with counts only where scores are aligned.
    assert len(found) == 12


def features(model: SentenceTransformer, *columns: list[str]) -> list[dict[str, Any]]:
    return [dict(model.preprocess(column)) for column in columns]


def test_texts_are_encoded_and_empty_ones_are_no_passages(model: SentenceTransformer) -> None:
    loss = loss_of(model)(features(model, QUERIES, POSITIVES, *NEGATIVES), None)
    passages = [*POSITIVES, "no cat", "the sun", "a bird"]
    rows = [
        torch.stack(layer_vectors(model, model.preprocess(texts))[1:], dim=1)
        for texts in (QUERIES, passages)
    ]
    assert loss.item() == pytest.approx(loss_of(model).from_vectors(*rows).item(), rel=1e-4)


def test_whole_vectors_of_the_last_layer_alone_are_plain_training(
    model: SentenceTransformer,
) -> None:
    columns = features(model, QUERIES, POSITIVES, ["no cat", "no dog", "the sun"])
    plain = {"similarity": "cosine", "temperature": 0.05, "layers_per_step": 0}
    ours = loss_of(model, (WIDTH,), **plain)(columns, None)
    theirs = InBatchLoss(model, temperature=0.05, head=False, seed=0)(columns, torch.zeros(3))
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)


def test_without_other_layers_it_is_one_dimensional(
    model: SentenceTransformer, vectors: list[Tensor]
) -> None:
    last = [rows[:, -1:] for rows in vectors]
    flat = loss_of(model, layers_per_step=0)
    assert flat.from_vectors(*last).item() < loss_of(model).from_vectors(*vectors).item()
    columns = features(model, QUERIES, POSITIVES)
    model.zero_grad()
    flat(columns, None).backward()
    assert next(model.parameters()).grad is not None


def test_layers_are_drawn_by_seed_and_step(
    model: SentenceTransformer, vectors: list[Tensor]
) -> None:
    def sequence(seed: int) -> list[float]:
        loss = loss_of(model, layers_per_step=1, seed=seed)
        return [loss.from_vectors(*vectors).item() for _ in range(6)]

    assert sequence(0) == sequence(0)
    assert len(set(sequence(0))) == LAYERS - 1
    assert sequence(0) != sequence(1)


def test_the_target_of_the_alignment_learns_nothing() -> None:
    scores, target = (torch.randn(2, 5, requires_grad=True) for _ in range(2))
    score_alignment(scores, target, 1.0).backward()
    assert scores.grad is not None
    assert target.grad is None
    assert score_alignment(target, target, 0.3).item() == pytest.approx(0, abs=1e-7)


def test_passages_of_the_last_layer_teach_no_earlier_one(
    model: SentenceTransformer, vectors: list[Tensor]
) -> None:
    for fixed in (False, True):
        passages = vectors[1].clone().requires_grad_()
        loss_of(model, passage_to_last_layer=fixed).from_vectors(vectors[0], passages).backward()
        assert passages.grad is not None
        assert bool(passages.grad[:, 0].abs().sum() > 0) is not fixed
        assert passages.grad[:, -1].abs().sum() > 0
