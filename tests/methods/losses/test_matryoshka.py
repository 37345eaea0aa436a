"""Matryoshka losses against the library's own, and formulas written out in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses as library
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from torch import Tensor

from bench.methods.losses.in_batch import InBatchLoss
from bench.methods.losses.matryoshka import (
    Draws,
    EspressoLoss,
    LayerWeighting,
    Matryoshka2dLoss,
    MatryoshkaLoss,
    align,
    compressed,
    divergence,
    layer_weight,
)
from bench.models.layers import layer_vectors
from tests.support.models import tiny_bert

LAYERS, WIDTH = 4, 16
DIMS = (16, 8, 4)
TEXTS = [
    ["a cat sits", "two dogs run", "it rains today"],
    ["the cat is sitting", "dogs are running", "rain falls"],
]
LABELS = torch.zeros(3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SentenceTransformer:
    folder = tiny_bert(tmp_path_factory.mktemp("model"), hidden=WIDTH, layers=LAYERS)
    pooling = Pooling(WIDTH, "mean")
    return SentenceTransformer(modules=[Transformer(str(folder)), pooling], device="cpu").eval()


@pytest.fixture
def features(model: SentenceTransformer) -> list[dict[str, Any]]:
    return [dict(model.tokenizer(column, padding=True, return_tensors="pt")) for column in TEXTS]


def base(model: SentenceTransformer) -> InBatchLoss:
    return InBatchLoss(model, temperature=0.05, head=False, seed=0)


def gradients(model: SentenceTransformer, loss: Tensor) -> list[Tensor]:
    model.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def same(model: SentenceTransformer, ours: Tensor, theirs: Tensor) -> None:
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    pairs = zip(gradients(model, ours), gradients(model, theirs), strict=True)
    for mine, other in pairs:
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-6)


def test_full_size_alone_is_the_base_loss(
    model: SentenceTransformer, features: list[dict[str, Any]]
) -> None:
    loss = MatryoshkaLoss(model, base(model).from_vectors, [WIDTH], dims_per_step=-1, seed=0)
    assert loss(features, LABELS).item() == base(model)(features, LABELS).item()


def test_prefixes_equal_the_library(
    model: SentenceTransformer, features: list[dict[str, Any]]
) -> None:
    ours = MatryoshkaLoss(model, base(model).from_vectors, DIMS, dims_per_step=-1, seed=0)
    theirs = library.MatryoshkaLoss(model, base(model), list(DIMS))
    same(model, ours(features, LABELS), theirs(features, LABELS))


def test_sum_of_the_losses_of_normalised_prefixes(
    model: SentenceTransformer, features: list[dict[str, Any]]
) -> None:
    loss = MatryoshkaLoss(model, base(model).from_vectors, DIMS, dims_per_step=-1, seed=0)
    columns = [model(dict(view))["sentence_embedding"].detach().numpy() for view in features]
    expected = 0.0
    for dim in DIMS:
        first, second = (c[:, :dim] / np.linalg.norm(c[:, :dim], axis=1)[:, None] for c in columns)
        logits = first @ second.T / 0.05
        expected += float(np.mean(np.log(np.exp(logits).sum(1)) - np.diag(logits)))
    assert loss(features, LABELS).item() == pytest.approx(expected, rel=1e-5)


class _LayersAlone(library.Matryoshka2dLoss):  # type: ignore[misc, unused-ignore]
    """The library's loss without the embedding output, which it has counted since 5.2.0."""

    def forward(self, sentence_features: Any, labels: Tensor) -> Tensor:
        first: Any = self.model[0]
        original = first.forward

        def layers_alone(*args: Any, **kwargs: Any) -> Any:
            out = original(*args, **kwargs)
            out["all_layer_embeddings"] = out["all_layer_embeddings"][1:]
            return out

        first.forward = layers_alone
        try:
            found: Tensor = super().forward(sentence_features, labels)
        finally:
            first.forward = original
        return found


def two_d(
    model: SentenceTransformer, weighting: LayerWeighting, *, detached: bool
) -> Matryoshka2dLoss:
    return Matryoshka2dLoss(
        model,
        base(model).from_vectors,
        DIMS,
        dims_per_step=-1,
        layers_per_step=-1,
        layer_weighting=weighting,
        temperature=0.3,
        detached=detached,
        seed=0,
    )


def the_librarys(model: SentenceTransformer, weighting: LayerWeighting) -> _LayersAlone:
    return _LayersAlone(
        model,
        library.MultipleNegativesRankingLoss(model, scale=20),
        list(DIMS),
        n_layers_per_step=-1,
        n_dims_per_step=-1,
        layer_weighting=weighting,
    )


@pytest.mark.parametrize("weighting", ["uniform", "log", "linear"])
def test_2d_equals_the_library_since_5_7(
    model: SentenceTransformer, features: list[dict[str, Any]], weighting: LayerWeighting
) -> None:
    ours = two_d(model, weighting, detached=True)
    same(model, ours(features, LABELS), the_librarys(model, weighting)(features, LABELS))


def test_2d_equals_the_library_up_to_5_1(
    model: SentenceTransformer, features: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = two_d(model, "linear", detached=False)(features, LABELS)
    # All that differed there, beside the default weights: the teacher stayed attached.
    monkeypatch.setattr(Tensor, "detach", lambda tensor: tensor)
    theirs = the_librarys(model, "linear")(features, LABELS)
    monkeypatch.undo()
    same(model, ours, theirs)


def test_the_teacher_learns_from_the_divergence_only_where_it_is_attached(
    model: SentenceTransformer, features: list[dict[str, Any]]
) -> None:
    def gradient(*, detached: bool) -> Tensor:
        loss = Matryoshka2dLoss(
            model,
            lambda columns, labels: columns[0].sum() * 0,
            [WIDTH],
            dims_per_step=-1,
            layers_per_step=-1,
            layer_weighting="uniform",
            temperature=0.3,
            detached=detached,
            seed=0,
        )
        model.zero_grad()
        loss(features, LABELS).backward()
        # Only the last layer's output depends on its own weights.
        first: Any = model[0]
        found: Tensor = first.auto_model.encoder.layer[-1].output.dense.weight.grad
        return found.abs().sum()

    assert gradient(detached=True) == 0
    assert gradient(detached=False) > 0


def test_weights_of_layers() -> None:
    assert [layer_weight("uniform", layer) for layer in (1, 2, 3, 4)] == [1, 1, 1, 1]
    assert [layer_weight("linear", layer) for layer in (1, 2, 3, 4)] == [1, 1 / 2, 1 / 3, 1 / 4]
    log = [layer_weight("log", layer) for layer in (1, 2, 3, 4)]
    assert log == pytest.approx([1, 0.5906, 0.4765, 0.4191], abs=5e-5)


def test_every_step_has_its_layers_and_prefixes(
    model: SentenceTransformer, features: list[dict[str, Any]]
) -> None:
    seen: list[tuple[int, ...]] = []

    def spy(columns: list[Tensor], labels: Tensor) -> Tensor:
        seen.append(tuple(columns[0].shape))
        return columns[0].sum() * 0

    def make(layers: int, dims: int) -> Matryoshka2dLoss:
        return Matryoshka2dLoss(
            model,
            spy,
            DIMS,
            dims_per_step=dims,
            layers_per_step=layers,
            layer_weighting="uniform",
            temperature=0.3,
            detached=True,
            seed=3,
        )

    make(-1, -1)(features, LABELS)
    assert len(seen) == LAYERS * len(DIMS)
    sequences = []
    for _ in range(2):
        seen.clear()
        loss = make(1, 1)
        for _ in range(6):
            loss(features, LABELS)
        assert len(seen) == 12
        sequences.append(list(seen))
    assert sequences[0] == sequences[1]
    assert len(set(sequences[0])) > 1


def test_draws_go_on_from_the_step() -> None:
    whole = Draws(7)
    expected = [whole.next().random() for _ in range(4)]
    resumed = Draws(7)
    resumed.load_state_dict({"step": torch.tensor(2)})
    assert [resumed.next().random() for _ in range(2)] == expected[2:]
    assert Draws(8).next().random() != expected[0]


def test_divergence() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 5, 6, generator=generator)
    assert divergence(student, student, 0.3).item() == pytest.approx(0, abs=1e-6)
    assert divergence(student, teacher, 0.3) > 0
    p, q = (np.exp(v.numpy() / 0.3) for v in (teacher, student))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    expected = (p * np.log(p / q)).sum(1).mean()
    assert divergence(student, teacher, 0.3).item() == pytest.approx(expected, rel=1e-4)


def numpy_softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def numpy_compressed(m: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    left, values, _ = np.linalg.svd(numpy_softmax(m.T @ m / math.sqrt(m.shape[1])))
    left = left[:, :size]
    signs = [np.sign(column[np.abs(column).argmax()]) for column in left.T]
    return np.asarray(m @ (left * signs) @ np.diag(values[:size]))


def numpy_align(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    p, q = numpy_softmax(b), numpy_softmax(a)
    return float(np.mean((a - b) ** 2) + (p * np.log(p / q)).sum(1).mean())


@pytest.mark.parametrize("layers_per_step", [-1, 0])
@pytest.mark.parametrize("embedding_layer", [False, True])
def test_espresso_equals_its_formula(
    model: SentenceTransformer,
    features: list[dict[str, Any]],
    embedding_layer: bool,
    layers_per_step: int,
) -> None:
    size = 4
    loss = EspressoLoss(
        model,
        base(model).from_vectors,
        size=size,
        layers_per_step=layers_per_step,
        temperature=1.0,
        embedding_layer=embedding_layer,
        seed=0,
    )
    layers = [
        [v.detach() for v in column] for column in zip(*_layers(model, features), strict=True)
    ]

    def contrast(layer: int, dim: int) -> float:
        columns = [column[:, :dim] for column in layers[layer]]
        return float(base(model).from_vectors(columns, LABELS))

    def term(layer: int) -> float:
        m = torch.cat(list(layers[layer])).double().numpy()
        return contrast(layer, size) + numpy_align(m[:, :size], numpy_compressed(m, size))

    first = 0 if embedding_layer else 1
    expected = contrast(LAYERS, WIDTH) + term(LAYERS)
    for i in range(first, first + LAYERS - 1) if layers_per_step else ():
        expected += term(i) / (1 + math.log(1 + i)) / (LAYERS - 1)
    assert loss(features, LABELS).item() == pytest.approx(expected, rel=1e-4)


def _layers(model: SentenceTransformer, features: list[dict[str, Any]]) -> list[list[Tensor]]:
    return [layer_vectors(model, view) for view in features]


def test_the_target_of_the_compression() -> None:
    vectors = torch.randn(10, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    target = compressed(vectors, 3)
    assert not target.requires_grad
    assert target.shape == (10, 3)
    assert np.linalg.matrix_rank(compressed(vectors, 3).numpy()) == 3
    assert align(target, target, 1.0).item() == pytest.approx(0, abs=1e-6)


def test_first_token_of_the_embedding_output_is_the_same_for_every_text(
    model: SentenceTransformer, features: list[dict[str, Any]]
) -> None:
    cls = SentenceTransformer(modules=[model[0], Pooling(WIDTH, "cls")], device="cpu")
    layers = layer_vectors(cls, features[0])
    assert torch.allclose(layers[0], layers[0][:1])
    assert not torch.allclose(layers[1], layers[1][:1])
