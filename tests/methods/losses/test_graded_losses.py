"""Losses of graded pairs against their formulas, and of two processes against one."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CoSENTLoss, CosineSimilarityLoss
from sentence_transformers.util import pairwise_cos_sim
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from bench.methods.losses.graded import (
    Criterion,
    GradedLoss,
    cosent_loss,
    cosine_mse,
    pearson_loss,
    smooth_k2,
    translated_relu,
)
from bench.methods.losses.in_batch import InBatchLoss
from bench.training.gather import gather_rows
from tests.support.models import tiny_sentence_transformer
from tests.support.processes import in_two_processes

ROOT = Path(__file__).parents[3]
PAIRS, WIDTH, TAU = 8, 6, 0.05
FIRST = ["a red kettle", "two dogs run", "rain", "the old farm"]
SECOND = ["the kettle is red", "it rains", "drizzle", "an iron bridge"]
GRADES = torch.tensor([0.9, 0.0, 0.7, 0.2])
X = torch.tensor([0.9, 0.4, 0.6, 0.1], dtype=torch.float64)
Y = torch.tensor([1.0, 0.6, 0.4, 0.0], dtype=torch.float64)
PREDICTED = torch.tensor([0.1, 1.4, 1.0], dtype=torch.float64)
CLASSES = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
released_loss = partial(pearson_loss, released=True)
CRITERIA: dict[str, Criterion] = {
    "pearson": pearson_loss,
    "released": released_loss,
    "cosent": cosent_loss,
    "mse": cosine_mse,
    "relu": partial(translated_relu, k=2.5, t=0.13),
    "k2": partial(smooth_k2, k=2.0, t=0.13),
}
SIZES, SEEDS = st.integers(2, 70), st.integers(0, 2**32 - 1)
criteria = pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA)


def graded(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Scores like cosines and labels with ties, neither nearly constant; float64."""
    rng = np.random.default_rng(seed)
    scores = rng.permutation(np.append(rng.uniform(-1, 1, n - 2), [-0.5, 0.5]))
    labels = rng.permutation(np.append(rng.integers(0, 6, n - 2), [0, 5]) / 5)
    return torch.from_numpy(scores), torch.from_numpy(labels)


def gradient(criterion: Criterion, scores: Tensor, labels: Tensor) -> Tensor:
    """Gradient of the scores."""
    leaf = scores.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(criterion(leaf, labels), leaf)
    return found


@pytest.mark.parametrize(
    ("criterion", "scores", "labels", "expected"),
    [
        (pearson_loss, X, Y, 1 - 0.9037378388),
        (pearson_loss, X, Y, 0.0962621611),
        (released_loss, X, Y, 0.3221966208),
        (pearson_loss, 2 * Y + 3, Y, 0.0),
        (released_loss, 2 * Y + 3, Y, 0.25),
        (cosent_loss, X, Y, 4.0182407257),
        (partial(translated_relu, k=1, t=0.25), PREDICTED, CLASSES, 0.30),
        (partial(smooth_k2, k=2, t=0.25), PREDICTED, CLASSES, 0.39),
    ],
)
def test_worked_examples(
    criterion: Criterion, scores: Tensor, labels: Tensor, expected: float
) -> None:
    assert criterion(scores, labels).item() == pytest.approx(expected, abs=2e-7)


@settings(deadline=None)
@given(SIZES, SEEDS)
def test_pearson_equals_scipy(n: int, seed: int) -> None:
    scores, labels = graded(n, seed)
    r = pearsonr(scores, labels).statistic
    assert pearson_loss(scores, labels).item() == pytest.approx(1 - r, abs=1e-5)
    assert released_loss(scores, labels).item() == pytest.approx(1 - r * (n - 1) / n, abs=1e-5)
    single = pearson_loss(scores.float(), labels.float())
    assert single.dtype == torch.float32
    assert single.item() == pytest.approx(1 - r, abs=1e-5)


@settings(deadline=None)
@given(SIZES, SEEDS, st.floats(0.5, 9), st.floats(-5, 5))
def test_pearson_is_blind_to_scale_shift_and_order(
    n: int, seed: int, slope: float, shift: float
) -> None:
    scores, labels = graded(n, seed)
    loss = pearson_loss(scores, labels).item()
    assert -1e-6 <= loss <= 2 + 1e-6
    changed = [
        pearson_loss(slope * scores + shift, labels),
        pearson_loss(scores, slope * labels + shift),
        pearson_loss(scores.flip(0), labels.flip(0)),
        pearson_loss(labels, scores),
        2 - pearson_loss(-scores, labels),
    ]
    assert [value.item() for value in changed] == pytest.approx([loss] * 5, abs=1e-5)
    assert pearson_loss(slope * labels + shift, labels).item() == pytest.approx(0, abs=1e-5)
    assert pearson_loss(-slope * labels + shift, labels).item() == pytest.approx(2, abs=1e-5)
    # A constant added to all scores changes nothing, so gradients add up to zero.
    assert gradient(pearson_loss, scores, labels).sum().abs() < 1e-9


def test_the_released_pearson_has_the_same_direction() -> None:
    scores, labels = graded(10, 0)
    ours, theirs = gradient(pearson_loss, scores, labels), gradient(released_loss, scores, labels)
    torch.testing.assert_close(theirs, ours * 9 / 10, atol=1e-6, rtol=1e-6)


@criteria
@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        ([0.3], [0.8]),
        ([0.3, 0.9, -0.2], [0.7, 0.7, 0.7]),
        ([0.3, 0.3, 0.3], [0.1, 0.5, 0.9]),
        ([0.3, 0.3, 0.3], [0.7, 0.7, 0.7]),
    ],
    ids=["one pair", "labels", "scores", "both"],
)
def test_constant_batches_are_finite(
    criterion: Criterion, scores: list[float], labels: list[float]
) -> None:
    given_scores, grades = torch.tensor(scores), torch.tensor(labels)
    assert torch.isfinite(criterion(given_scores, grades))
    assert torch.isfinite(gradient(criterion, given_scores, grades)).all()


@pytest.mark.parametrize("criterion", [pearson_loss, released_loss, cosent_loss])
@pytest.mark.parametrize("n", [1, 3])
def test_equal_labels_cost_nothing_but_stay_in_the_graph(criterion: Criterion, n: int) -> None:
    scores = torch.rand(n, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    loss = criterion(scores, torch.full((n,), 0.7))
    assert loss.requires_grad and loss.item() == 0
    assert torch.equal(torch.autograd.grad(loss, scores)[0], torch.zeros(n))
    assert torch.isnan(criterion(scores * torch.nan, torch.full((n,), 0.7)))


def test_equal_scores_cost_one_and_are_driven_towards_the_labels() -> None:
    scores, labels = torch.full((4,), 0.3), torch.tensor([0.0, 0.2, 0.9, 1.0])
    assert pearson_loss(scores, labels).item() == pytest.approx(1, abs=1e-6)
    found = gradient(pearson_loss, scores, labels)
    direction = (labels.mean() - labels) / (4 * 1e-4 * labels.std(correction=0))
    torch.testing.assert_close(found, direction, rtol=1e-3, atol=1)


@criteria
@pytest.mark.parametrize("n", [2, 9])
def test_gradients_equal_numerical_differences(criterion: Criterion, n: int) -> None:
    scores, labels = graded(n, 4)
    assert torch.autograd.gradcheck(criterion, (scores.requires_grad_(True), labels))


@settings(deadline=None)
@given(SIZES, SEEDS, st.sampled_from([1.0, 20.0]))
def test_cosent_equals_its_formula(n: int, seed: int, scale: float) -> None:
    x, y = (values.numpy() for values in graded(n, seed))
    worse = y[:, None] > y[None, :]
    total = np.exp(scale * (x[None, :] - x[:, None]))[worse].sum()
    found = cosent_loss(torch.from_numpy(x), torch.from_numpy(y), scale=scale)
    assert found.item() == pytest.approx(np.log1p(total), abs=1e-9)


@pytest.mark.parametrize("k", [1.0, 2.5])
@pytest.mark.parametrize("sign", [-1, 1])
def test_differences_below_the_threshold_cost_nothing(k: float, sign: int) -> None:
    labels, t = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64), 0.25
    near = labels + sign * torch.tensor([0.0, 0.2, 0.2499])
    for loss in (translated_relu, smooth_k2):
        criterion = partial(loss, k=k, t=t)
        assert criterion(near, labels).item() == 0
        assert gradient(criterion, near, labels).abs().max() == 0
    far = labels + sign * (t + torch.tensor([1e-6, 0.5, 1.0], dtype=torch.float64))
    slopes = 3 * sign * gradient(partial(translated_relu, k=k, t=t), far, labels)
    torch.testing.assert_close(slopes, torch.full_like(labels, k))
    slopes = 3 * sign * gradient(partial(smooth_k2, k=k, t=t), far, labels)
    torch.testing.assert_close(slopes, 2 * k * torch.tensor([1e-6, 0.5, 1.0]).double())


def test_without_a_threshold_they_are_absolute_and_squared_errors() -> None:
    scores, labels = graded(20, 5)
    absolute, squared = functional.l1_loss(scores, labels), functional.mse_loss(scores, labels)
    torch.testing.assert_close(translated_relu(scores, labels, k=3, t=0), 3 * absolute)
    torch.testing.assert_close(smooth_k2(scores, labels, k=3, t=0), 3 * squared)


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    """A tiny model without dropout."""
    return tiny_sentence_transformer(tmp_path / "tiny").eval()


def tokens(model: SentenceTransformer) -> list[dict[str, Any]]:
    """Features of both columns."""
    return [model.preprocess(texts) for texts in (FIRST, SECOND)]


@criteria
def test_module_scores_the_cosines_of_the_model(
    model: SentenceTransformer, criterion: Criterion
) -> None:
    loss = GradedLoss(model, criterion)(tokens(model), GRADES)
    cosines = pairwise_cos_sim(model.encode(FIRST), model.encode(SECOND))
    torch.testing.assert_close(loss.detach(), criterion(cosines, GRADES), atol=1e-4, rtol=1e-4)
    torch.autograd.backward(loss)
    gradients = [value.grad for value in model.parameters() if value.grad is not None]
    assert gradients and max(float(value.abs().max()) for value in gradients) > 0


@pytest.mark.parametrize(
    ("criterion", "library"), [(cosent_loss, CoSENTLoss), (cosine_mse, CosineSimilarityLoss)]
)
def test_module_equals_the_library(
    model: SentenceTransformer, criterion: Criterion, library: Any
) -> None:
    ours, theirs = GradedLoss(model, criterion), library(model)
    torch.testing.assert_close(ours(tokens(model), GRADES), theirs(tokens(model), GRADES))


@criteria
def test_half_precision_stays_exact(model: SentenceTransformer, criterion: Criterion) -> None:
    columns = [torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    columns = [column.bfloat16().float() for column in columns]
    loss = GradedLoss(model, criterion)
    exact = loss.from_vectors(columns, GRADES)
    assert exact.dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss.from_vectors(columns, GRADES), exact)
        halves = [column.bfloat16() for column in columns]
        torch.testing.assert_close(loss.from_vectors(halves, GRADES), exact)


def test_module_takes_two_columns_and_a_label_each(model: SentenceTransformer) -> None:
    loss, features = GradedLoss(model, pearson_loss), tokens(model)
    grades = torch.tensor([4, 0, 3, 1])
    torch.testing.assert_close(loss(features, grades), loss(features, grades.float()))
    with pytest.raises(ValueError, match="unpack"):
        loss([*features, features[0]], GRADES)
    for wrong in (GRADES[:, None], GRADES[:3]):
        with pytest.raises(RuntimeError, match="equal size"):
            loss(features, wrong)


def test_one_process_gathers_its_own_rows() -> None:
    rows = torch.rand(3, 2)
    assert gather_rows(rows) is rows


class Encoder(nn.Module):
    """A linear layer that passes for a sentence transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, 5)
        with torch.no_grad():
            self.linear.weight.normal_(generator=torch.Generator().manual_seed(7))
            self.linear.bias.fill_(0.1)

    def get_embedding_dimension(self) -> int:
        """Size of the vectors."""
        return 5

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Vectors (B, 5)."""
        return {"sentence_embedding": self.linear(features["x"])}


def batch(rows: slice) -> tuple[list[dict[str, Tensor]], Tensor]:
    """A shard of a batch of 8 pairs; the labels of the first three are the same."""
    generator = torch.Generator().manual_seed(3)
    columns = torch.randn(2, PAIRS, WIDTH, generator=generator)
    labels = torch.tensor([0.4, 0.4, 0.4, 1.0, 0.0, 0.2, 0.6, 0.8])
    return [{"x": column[rows]} for column in columns], labels[rows]


def run(kind: str, encoder: Any, rows: slice) -> Tensor:
    """The loss of a shard of the batch by the criterion or the contrastive loss of that name."""
    features, labels = batch(rows)
    if kind == "equal labels":
        return GradedLoss(encoder, pearson_loss)(features, torch.full_like(labels, 0.4))
    if kind in CRITERIA:
        return GradedLoss(encoder, CRITERIA[kind])(features, labels)
    if kind == "in batch":
        sizes = getattr(encoder, "module", encoder)
        ranking = InBatchLoss(sizes, temperature=TAU, head=False, seed=0)
        ranking.model = encoder
        return ranking(features, labels)
    anchors, positives = (encoder(column)["sentence_embedding"] for column in features)
    logits = functional.normalize(anchors) @ functional.normalize(gather_rows(positives)).T
    return functional.cross_entropy(logits / TAU, torch.arange(PAIRS)[rows])


def outcome(kind: str, encoder: nn.Module, rows: slice) -> dict[str, Tensor]:
    """Loss of a shard and the gradients of the encoder."""
    encoder.zero_grad()
    loss = run(kind, encoder, rows)
    torch.autograd.backward(loss)
    named = {name.removeprefix("module."): p.grad for name, p in encoder.named_parameters()}
    return {"loss": loss.detach(), **{name: g.clone() for name, g in named.items()}}


SHARDS = {
    "halves": (slice(0, 4), slice(4, 8)),
    "three and five": (slice(0, 3), slice(3, 8)),
}
JOINED = [*CRITERIA, "equal labels", "in batch"]
OWN_ANCHORS = "own anchors"


def process(rank: int, folder: Path) -> dict[Any, Any]:
    """One of two processes: run every loss on its shards."""
    averaged = DistributedDataParallel(Encoder())
    found: dict[Any, Any] = {
        (kind, name): outcome(kind, averaged, shards[rank])
        for name, shards in SHARDS.items()
        for kind in JOINED
    }
    found[OWN_ANCHORS] = outcome(OWN_ANCHORS, averaged, SHARDS["halves"][rank])
    found["alone"] = outcome("pearson", Encoder(), SHARDS["halves"][rank])
    rows = torch.full((rank + 1, 2), float(rank), requires_grad=True)
    joined = gather_rows(rows)
    torch.autograd.backward((rank + 1) * (joined * torch.arange(6.0).view(3, 2)).sum())
    found["rows"] = (joined.detach(), rows.grad)
    found["integers"] = gather_rows(torch.arange(3 * rank, 2 + 3 * rank))
    return found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("ranks")
    return in_two_processes(process, folder)


@pytest.mark.nightly
@pytest.mark.parametrize("name", SHARDS)
@pytest.mark.parametrize("kind", JOINED)
def test_two_processes_equal_one(ranks: list[dict[Any, Any]], kind: str, name: str) -> None:
    expected = outcome(kind, Encoder(), slice(None))
    for found in ranks:
        torch.testing.assert_close(found[kind, name], expected, atol=1e-6, rtol=1e-5)
    assert (expected["linear.weight"].abs().max() == 0) == (kind == "equal labels")


@pytest.mark.parametrize("kind", ["pearson", "cosent", "in batch"])
def test_the_joined_loss_is_not_the_mean_of_its_shards(kind: str) -> None:
    joined = run(kind, Encoder(), slice(None))
    mean = (run(kind, Encoder(), slice(0, 4)) + run(kind, Encoder(), slice(4, 8))) / 2
    assert abs(joined.item() - mean.item()) > 0.01


def test_own_anchors_meet_the_candidates_of_all(ranks: list[dict[Any, Any]]) -> None:
    expected = outcome("in batch", Encoder(), slice(None))
    losses = [found[OWN_ANCHORS].pop("loss") for found in ranks]
    torch.testing.assert_close((losses[0] + losses[1]) / 2, expected.pop("loss"))
    assert abs(losses[0].item() - losses[1].item()) > 0.01
    for found in ranks:
        torch.testing.assert_close(found[OWN_ANCHORS], expected, atol=1e-6, rtol=1e-5)


def test_without_averaging_gradients_add_up_to_twice_the_joined_one(
    ranks: list[dict[Any, Any]],
) -> None:
    expected = outcome("pearson", Encoder(), slice(None))
    first, second = (found["alone"] for found in ranks)
    for name in ("linear.weight", "linear.bias"):
        torch.testing.assert_close(first[name] + second[name], 2 * expected[name])
        assert not torch.allclose(first[name], expected[name], atol=1e-3)


def test_rows_keep_their_order_and_get_the_gradients_of_all(ranks: list[dict[Any, Any]]) -> None:
    weights = torch.arange(6.0).view(3, 2)
    for found in ranks:
        assert torch.equal(found["rows"][0], torch.tensor([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]))
        assert found["integers"].tolist() == [0, 1, 3, 4]
    # The losses count once and twice.
    assert torch.equal(torch.cat([found["rows"][1] for found in ranks]), 3 * weights)
