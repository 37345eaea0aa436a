"""Losses of CoDiEmb: worked examples, what they are blind to, and two processes as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.methods.losses.graded import pearson_loss
from bench.methods.losses.listwise import pro_loss, rank_kl_loss
from bench.methods.losses.multi_positive import (
    CoDiEmbLoss,
    Contrasted,
    Paired,
    multi_positive_loss,
    paraphrase_loss,
)
from bench.models.layers import layer_vectors
from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.support.processes import in_two_processes

ROOT = Path(__file__).parents[3]
X = torch.tensor([0.9, 0.4, 0.6, 0.1], dtype=torch.float64)
Y = torch.tensor([1.0, 0.6, 0.4, 0.0], dtype=torch.float64)
T, TAU, WIDTH = 0.05, 0.5, 6
QUERIES = torch.eye(2)
PASSAGES = torch.tensor([[[1, 0.1], [1, 0.5], [0.2, 1]], [[0.1, 1], [0.5, 1], [1, 0.2]]])
SEEDS = st.integers(0, 10_000)
SIZES = st.integers(2, 12)
ORDERED = pytest.mark.parametrize("criterion", [rank_kl_loss, pro_loss, pearson_loss])

Criterion = Callable[[Tensor, Tensor], Tensor]


def graded(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Scores, and grades of which some are the same."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(n, generator=generator, dtype=torch.float64) * 2 - 1
    return scores, torch.randint(0, 5, (n,), generator=generator).double() / 4


def retrieval(
    queries: Tensor, passages: Tensor, positives: int, temperature: float = TAU
) -> Tensor:
    """The loss of passages that stand together by query, (B, P + N, u)."""
    negatives = passages[:, positives:].flatten(0, 1)
    return multi_positive_loss(queries, passages[:, :positives], negatives, temperature=temperature)


def random_batch(positives: int, negatives: int) -> tuple[Tensor, Tensor]:
    """Vectors of 5 queries and their passages."""
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(5, WIDTH, generator=generator, dtype=torch.float64)
    passages = torch.randn(
        5, positives + negatives, WIDTH, generator=generator, dtype=torch.float64
    )
    return queries, passages


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [(pearson_loss, 0.0962621611), (rank_kl_loss, 0.0013681209), (pro_loss, 0.0432498215)],
)
def test_worked_examples(criterion: Criterion, expected: float) -> None:
    assert criterion(X, Y).item() == pytest.approx(expected, abs=1e-6)
    assert criterion(X.float(), Y.float()).item() == pytest.approx(expected, abs=1e-6)


def test_retrieval_of_the_worked_example() -> None:
    found = retrieval(QUERIES, PASSAGES, 2)
    assert found.item() == pytest.approx(0.9478682431, abs=1e-6)
    turned = PASSAGES.clone()
    turned[0, :2] = PASSAGES[0, [1, 0]]
    # Slots are shared across queries, so this is another loss.
    assert retrieval(QUERIES, turned, 2).item() == pytest.approx(0.9450556807, abs=1e-6)


@settings(deadline=None)
@given(SIZES, SEEDS)
def test_rank_kl_equals_its_formula(n: int, seed: int) -> None:
    scores, labels = graded(n, seed)
    ranks = torch.from_numpy(rankdata(-labels.numpy()) - 1)
    wanted, found = ((values / T).softmax(0) for values in ((n - 1 - ranks) / (n - 1), scores))
    expected = (wanted * (wanted.log() - found.log())).sum() / n
    assert rank_kl_loss(scores, labels).item() == pytest.approx(expected.item(), abs=1e-12)
    assert expected >= -1e-12
    other = rank_kl_loss(scores, labels.exp() * 7 - 3)
    torch.testing.assert_close(other, rank_kl_loss(scores, labels))


def test_rank_kl_is_zero_for_the_ranks_alone() -> None:
    labels = torch.tensor([3.0, 3.0, 9.0, -1.0], dtype=torch.float64)
    targets = torch.tensor([0.5, 0.5, 1.0, 0.0], dtype=torch.float64)
    assert rank_kl_loss(targets - 4, labels).item() == pytest.approx(0, abs=1e-12)
    assert rank_kl_loss(2 * targets, labels).item() > 1e-4
    # Equal grades have the same share of the target.
    scores = torch.tensor([0.2, 0.7, 0.9, 0.1], dtype=torch.float64)
    turned = scores[[1, 0, 2, 3]]
    torch.testing.assert_close(rank_kl_loss(turned, labels), rank_kl_loss(scores, labels))


@settings(deadline=None)
@given(SIZES, SEEDS)
def test_pro_equals_its_formula(n: int, seed: int) -> None:
    scores, labels = graded(n, seed)
    order = labels.argsort(descending=True).tolist()
    losses = []
    for place, k in enumerate(order):
        below = {j: (labels[k] - labels[j]).item() for j in order[place + 1 :]}
        below = {j: gap for j, gap in below.items() if gap > 1e-8}
        if below:
            own = max(below.values()) * scores[k] / T
            rest = [gap * scores[j] / T for j, gap in below.items()]
            losses.append(torch.stack([own, *rest]).logsumexp(0) - own)
    expected = torch.stack(losses).mean().item() if losses else 0.0
    assert pro_loss(scores, labels).item() == pytest.approx(expected, abs=1e-9)


@ORDERED
@pytest.mark.parametrize("n", [1, 2, 9])
def test_order_of_the_batch_is_irrelevant_and_gradients_exact(criterion: Criterion, n: int) -> None:
    scores, labels = graded(n, 4)
    torch.testing.assert_close(criterion(scores.flip(0), labels.flip(0)), criterion(scores, labels))
    assert torch.autograd.gradcheck(criterion, (scores.requires_grad_(True), labels))


@ORDERED
@pytest.mark.parametrize("n", [1, 4])
def test_equal_grades_are_finite_and_stay_in_the_graph(criterion: Criterion, n: int) -> None:
    scores = torch.rand(n, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    loss = criterion(scores, torch.full((n,), 0.7))
    assert loss.requires_grad and torch.isfinite(loss)
    assert torch.isfinite(torch.autograd.grad(loss, scores)[0]).all()
    if criterion is not rank_kl_loss:
        assert loss.item() == 0


@pytest.mark.parametrize("negatives", [0, 1, 3])
@pytest.mark.parametrize("tau", [0.02, 0.5])
def test_one_positive_equals_the_library(negatives: int, tau: float) -> None:
    queries, passages = random_batch(1, negatives)
    no_model: Any = None
    library = MultipleNegativesRankingLoss(no_model, scale=1 / tau)
    columns = [queries, *passages.unbind(dim=1)]
    expected = library.compute_loss_from_embeddings(columns, torch.arange(len(queries)))
    torch.testing.assert_close(retrieval(queries, passages, 1, tau), expected)


def test_retrieval_is_blind_to_what_has_no_order() -> None:
    queries, passages = random_batch(3, 2)
    loss = retrieval(queries, passages, 3)
    same = [
        retrieval(queries.flip(0), passages.flip(0), 3),
        retrieval(queries, passages[:, [0, 1, 2, 4, 3]], 3),
        retrieval(queries, passages[:, [2, 0, 1, 3, 4]], 3),
        retrieval(4 * queries, passages / 3, 3),
    ]
    for other in same:
        torch.testing.assert_close(other, loss)
    per_slot = [retrieval(queries, passages[:, [slot, 3, 4]], 1) for slot in range(3)]
    torch.testing.assert_close(torch.stack(per_slot).mean(), loss)


def test_pairs_of_the_full_grade_are_anchors_among_all_texts() -> None:
    first, second = (column.squeeze(1) for column in random_batch(1, 1)[1].split(1, dim=1))
    grades = torch.tensor([1.0, 0.9, 1.0, 0.0, 0.5])
    logits = torch.cosine_similarity(first[:, None], second[None], dim=2) / TAU
    expected = torch.stack([logits[i].logsumexp(0) - logits[i, i] for i in (0, 2)]).mean()
    torch.testing.assert_close(paraphrase_loss(first, second, grades, temperature=TAU), expected)
    first.requires_grad_(True)
    none = paraphrase_loss(first, second, grades / 2, temperature=TAU)
    assert none.item() == 0
    assert torch.equal(torch.autograd.grad(none, first)[0], torch.zeros_like(first))


def make(model: Any, **options: Any) -> CoDiEmbLoss:
    """A loss for two positives."""
    settings: dict[str, Any] = {
        "positives": 2,
        "temperature": TAU,
        "rank_temperature": T,
        "middle": False,
    }
    return CoDiEmbLoss(model, **settings | options)


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    """A tiny model of three layers without dropout."""
    tiny_bert(tmp_path / "tiny", layers=3)
    return SentenceTransformer(str(tmp_path / "tiny"), device="cpu").eval()


TEXTS = [
    ["a red kettle", "two dogs run", "rain"],
    ["a kettle", "dogs", "it rains"],
    ["one kettle", "some dogs", "wet"],
    ["a cup", "", "sun"],
    ["", "", "the wind blows"],
]


def features(model: SentenceTransformer, columns: list[list[str]]) -> list[dict[str, Any]]:
    """Tokens of columns of texts."""
    return [model.preprocess(texts) for texts in columns]


def encoded(model: SentenceTransformer, texts: list[str]) -> Tensor:
    """Vectors of texts."""
    return torch.from_numpy(model.encode(texts))


def test_retrieval_of_a_model_leaves_empty_texts_out(model: SentenceTransformer) -> None:
    batch = features(model, TEXTS)
    loss = make(model)(batch, torch.full((3,), -1.0))
    queries, *positives = (encoded(model, texts) for texts in TEXTS[:3])
    negatives = encoded(model, ["a cup", "sun", "the wind blows"])
    expected = multi_positive_loss(
        queries, torch.stack(positives, dim=1), negatives, temperature=TAU
    )
    torch.testing.assert_close(loss.detach(), expected, atol=1e-5, rtol=1e-5)
    seen: list[int] = []
    model.register_forward_hook(lambda *call: seen.append(len(call[-1]["sentence_embedding"])))
    make(model)(batch, torch.full((3,), -1.0))
    assert seen == [3, 3, 3, 2, 1]


def test_retrieval_without_any_negative(model: SentenceTransformer) -> None:
    batch = features(model, [*TEXTS[:3], [""] * 3])
    loss = make(model)(batch, torch.full((3,), -1.0))
    torch.testing.assert_close(loss, make(model)(batch[:3], torch.full((3,), -1.0)))
    torch.autograd.backward(loss)


def test_sts_of_a_model_is_the_sum_over_two_texts(model: SentenceTransformer) -> None:
    grades = torch.tensor([1.0, 0.3, 0.6])
    first, second = (encoded(model, texts) for texts in TEXTS[:2])
    cosines = torch.cosine_similarity(first, second)
    order = 5 * rank_kl_loss(cosines, grades) + 0.5 * pro_loss(cosines, grades)
    expected = 2 * pearson_loss(cosines, grades) + order
    padded = [*TEXTS[:2], [""] * 3, ["anything", "at", "all"]]
    loss = make(model)(features(model, padded), grades)
    torch.testing.assert_close(loss.detach(), expected, atol=1e-4, rtol=1e-4)

    batch = features(model, padded)
    # Four states with that of the embeddings, so the middle one is behind the second block.
    middle = [layer_vectors(model, column)[2] for column in batch[:2]]
    added = paraphrase_loss(middle[0], middle[1], grades, temperature=TAU)
    with_middle = make(model, middle=True)(batch, grades)
    torch.testing.assert_close(with_middle - loss, added, atol=1e-5, rtol=1e-5)
    assert added > 1e-3


def test_the_sum_of_the_worked_example(tmp_path: Path) -> None:
    loss = make(tiny_sentence_transformer(tmp_path / "tiny"))
    angles = X.acos()
    first = torch.tensor([[1.0, 0.0]] * 4)
    second = torch.stack([angles.cos(), angles.sin()], dim=1)
    found = loss.sts_loss(Paired([first, second.float()]), Y.float())
    assert found.item() == pytest.approx(0.2209898375, abs=1e-6)


def test_half_precision_stays_exact(model: SentenceTransformer) -> None:
    queries, passages = (values.float() for values in random_batch(2, 1))
    loss, grades = make(model), torch.tensor([1.0, 0.2, 0.4, 0.6, 0.0])

    def both() -> tuple[Tensor, Tensor]:
        ir = loss.retrieval_loss(Contrasted(queries, passages[:, :2], passages[:, 2]))
        pairs = Paired([queries, passages[:, 0]], [queries, passages[:, 1]])
        return ir, loss.sts_loss(pairs, grades)

    exact = both()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(both(), exact)


class Encoder(nn.Module):
    """A linear layer that passes for a sentence transformer; rows of zeros are empty texts."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, 5)
        with torch.no_grad():
            self.linear.weight.normal_(generator=torch.Generator().manual_seed(7))
            self.linear.bias.fill_(0.1)

    def preprocess(self, texts: list[str]) -> dict[str, Tensor]:
        """Tokens of empty texts."""
        return {"attention_mask": torch.ones(len(texts), 1)}

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Vectors (B, 5)."""
        return {"sentence_embedding": self.linear(features["x"])}


BATCH = 6


def shard(rows: slice, negatives: bool) -> list[dict[str, Tensor]]:
    """Rows with two positives and two hard negatives, of which the first rows have none."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(5, BATCH, WIDTH, generator=generator)
    tokens = torch.full((5, BATCH, 1), 2.0)
    tokens[3:, : 4 if negatives else BATCH] = 1
    return [{"x": a[rows], "attention_mask": b[rows]} for a, b in zip(x, tokens, strict=True)]


def outcome(kind: str, encoder: nn.Module, rows: slice) -> dict[str, Tensor]:
    """Loss of a shard and the gradients of the encoder."""
    encoder.zero_grad()
    loss = make(getattr(encoder, "module", encoder))
    loss.model = encoder
    labels = torch.tensor(LABELS.get(kind, [-1.0] * BATCH))[rows]
    if kind == "sts":
        columns = [encoder(column)["sentence_embedding"] for column in shard(rows, True)[:4]]
        found = loss.sts_loss(Paired(columns[:2], columns[2:]), labels)
    else:
        found = loss(shard(rows, kind != "no negatives"), labels)
    torch.autograd.backward(found)
    named = {name.removeprefix("module."): p.grad for name, p in encoder.named_parameters()}
    return {"loss": found.detach(), **{name: g.clone() for name, g in named.items()}}


LABELS = {
    "sts": [0.2, 0.4, 0.4, 1.0, 0.0, 0.6],
    "both": [-1.0, 0.3, -1.0, 1.0, -1.0, 0.6],
    "none in one": [-1.0, -1.0, 0.4, 1.0, -1.0, 0.6],
    "a task each": [0.2, 0.4, -1.0, -1.0, -1.0, -1.0],
}
KINDS = ("retrieval", "no negatives", *LABELS)
SHARDS = (slice(0, 2), slice(2, 6))


def process(rank: int, folder: Path) -> dict[str, Any]:
    """One of two processes: run every loss on its shard."""
    averaged = DistributedDataParallel(Encoder())
    return {kind: outcome(kind, averaged, SHARDS[rank]) for kind in KINDS}


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("ranks")
    return in_two_processes(process, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_equal_one(ranks: list[dict[str, Any]], kind: str) -> None:
    expected = outcome(kind, Encoder(), slice(None))
    for found in ranks:
        torch.testing.assert_close(found[kind], expected, atol=1e-6, rtol=1e-5)
