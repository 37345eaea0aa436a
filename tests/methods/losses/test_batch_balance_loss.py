"""The loss of Conan: by its formula, and over processes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.methods.losses.batch_balance import BatchBalanceLoss, BatchNumbers, retrieval_loss
from bench.methods.losses.graded import cosent_loss
from bench.methods.parts.mining import HardNegatives, NegativeCandidates, Rule, mine
from tests.support.models import tiny_sentence_transformer
from tests.support.processes import in_two_processes
from tests.support.rows import PAIRS, QUERIES, SCORES

TAU, BETA, D = 0.1, 0.8, 6
B, PER_QUERY, M = 5, 2, 4


def random_vectors(texts: list[str]) -> Any:
    """Random vectors of texts."""
    return np.random.default_rng(0).normal(size=(len(texts), 8)).astype("f4")


def candidates(known: list[list[int]] | None = None) -> NegativeCandidates:
    """Five queries with the candidates 0 to 99, and texts of which none answers one."""
    numbers = np.arange(B)
    return NegativeCandidates(
        queries=[f"query {i}" for i in numbers],
        texts=[f"text {i}" for i in range(100)],
        ranked=np.tile(np.arange(100), (B, 1)),
        known=np.array(known if known is not None else [[-1]] * B),
        pairs=np.stack([numbers, 90 + numbers], axis=1),
    )


def make(
    model: Any = None, known: list[list[int]] | None = None, **options: Any
) -> BatchBalanceLoss:
    """A loss of five rows of retrieval and four graded pairs, with static negatives."""
    mined = candidates(known)
    negatives = HardNegatives(mined, count=PER_QUERY, rule=None, check_every=1)
    return BatchBalanceLoss(
        model,
        negatives,
        torch.from_numpy(mined.pairs),
        [0.9, 0.0, 0.7, 0.2],
        **{"temperature": TAU, "beta": BETA, **options},
    )


def columns(seed: int = 0, size: int = D) -> list[Tensor]:
    """Random vectors of each kind."""
    generator = torch.Generator().manual_seed(seed)
    rows = (B, B, B * PER_QUERY, M, M)
    return [torch.randn(count, size, generator=generator) for count in rows]


def numbers() -> BatchNumbers:
    """Each query once; the texts 0 to 9 are negatives, 90 to 94 positives."""
    return BatchNumbers(
        torch.arange(B),
        90 + torch.arange(B),
        torch.arange(B * PER_QUERY),
        torch.tensor([0.9, 0.0, 0.7, 0.2]),
    )


def with_cosines(cosines: list[float]) -> Tensor:
    """Vectors with these cosines to the first axis, each in a plane of its own."""
    rows = torch.zeros(len(cosines), len(cosines) + 1, dtype=torch.float64)
    for i, cosine in enumerate(cosines):
        rows[i, 0], rows[i, i + 1] = cosine, math.sqrt(1 - cosine**2)
    return rows


def ranking(positive: float, negatives: list[float], tau: float = TAU) -> float:
    """The loss of one query by the cosines of its texts."""
    texts = with_cosines([positive, *negatives])
    query = torch.zeros(1, texts.shape[1], dtype=torch.float64)
    query[0, 0] = 3.0
    return retrieval_loss(query, texts[:1], texts[1:], temperature=tau).item()


def by_hand(vectors: list[Tensor], left_out: set[tuple[int, int]], in_batch: bool = False) -> float:
    """Equation 3 with loops; ``left_out`` are pairs of query and negative."""
    queries, positives, negatives = (
        (v / v.norm(dim=1, keepdim=True)).double().numpy() for v in vectors[:3]
    )
    losses = []
    for i, query in enumerate(queries):
        own = np.exp(query @ positives[i] / TAU)
        total = own + sum(
            np.exp(query @ negative / TAU)
            for j, negative in enumerate(negatives)
            if (i, j) not in left_out
        )
        if in_batch:
            total += sum(np.exp(query @ positives[k] / TAU) for k in range(B) if k != i)
        losses.append(-np.log(own / total))
    return float(np.mean(losses))


def test_the_worked_example() -> None:
    assert ranking(0.8, [0.5, 0.3, 0.6, 0.2]) == pytest.approx(0.1775929368, abs=1e-10)


def test_a_negative_far_away_and_one_that_is_the_positive() -> None:
    plain = ranking(0.8, [0.5, 0.3])
    assert ranking(0.8, [0.5, 0.3, -1.0]) == pytest.approx(plain, abs=1e-6)
    copied = ranking(0.8, [0.5, 0.3, 0.8])
    assert plain + 0.5 < copied <= plain + math.log(2)
    assert ranking(0.8, [0.8]) == pytest.approx(math.log(2))
    assert ranking(0.8, []) == 0


def test_every_query_meets_the_negatives_of_all_but_no_other_positive() -> None:
    vectors = columns()
    found = make(beta=0.0).from_vectors(vectors, numbers()).item()
    assert found == pytest.approx(by_hand(vectors, set()), abs=1e-5)
    # The own positive is among the candidates only once the batch knows that it answers.
    known = [[90 + i] for i in range(B)]
    option = make(known=known, beta=0.0, in_batch_positives=True).from_vectors(vectors, numbers())
    assert option.item() == pytest.approx(by_hand(vectors, set(), in_batch=True), abs=1e-5)
    assert option.item() > found


def test_known_answers_are_left_out() -> None:
    vectors = columns()
    known = [[90, 3, 4], [91, -1, -1], [92, 0, -1], [93, 77, -1], [94, -1, -1]]
    found = make(known=known, beta=0.0).from_vectors(vectors, numbers()).item()
    assert found == pytest.approx(by_hand(vectors, {(0, 3), (0, 4), (2, 0)}), abs=1e-5)
    assert found < by_hand(vectors, set())


def test_the_graded_pairs_weigh_beta() -> None:
    vectors, batch = columns(), numbers()
    cosines = torch.cosine_similarity(vectors[3], vectors[4])
    graded = cosent_loss(cosines, batch.grades)
    for beta in (0.3, 1.0):
        found = make(beta=beta).from_vectors(vectors, batch)
        alone = make(beta=0.0).from_vectors(vectors, batch)
        torch.testing.assert_close(found, alone + beta * graded)
    leaves = [vector.clone().requires_grad_(True) for vector in vectors]
    torch.autograd.backward(make(beta=0.0).from_vectors(leaves, batch))
    sizes = [float(leaf.grad.abs().max()) for leaf in leaves if leaf.grad is not None]
    assert [size > 0 for size in sizes] == [True, True, True, False, False]


def test_equal_grades_cost_nothing() -> None:
    batch, vectors = numbers(), columns()
    same = BatchNumbers(batch.queries, batch.positives, batch.negatives, torch.full((M,), 0.4))
    alone = make(beta=0.0).from_vectors(vectors, batch)
    torch.testing.assert_close(make(beta=5.0).from_vectors(vectors, same), alone)


@pytest.mark.parametrize("missing", ["retrieval", "graded"])
def test_a_batch_of_one_task(missing: str) -> None:
    vectors, batch = columns(), numbers()
    if missing == "retrieval":
        none = batch.queries[:0]
        batch = BatchNumbers(none, none, none, batch.grades)
        vectors = [*(column[:0] for column in vectors[:3]), *vectors[3:]]
        cosines = torch.cosine_similarity(vectors[3], vectors[4])
        expected = BETA * cosent_loss(cosines, batch.grades).item()
    else:
        expected = by_hand(vectors, set())
        batch = BatchNumbers(batch.queries, batch.positives, batch.negatives, batch.grades[:0])
        vectors = [*vectors[:3], *(column[:0] for column in vectors[3:])]
    leaves = [vector.clone().requires_grad_(True) for vector in vectors]
    loss = make().from_vectors(leaves, batch)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    assert all(leaf.grad is not None and torch.isfinite(leaf.grad).all() for leaf in leaves)


def test_prefixes_are_averaged() -> None:
    vectors, batch = columns(), numbers()
    plain = make().from_vectors(vectors, batch)
    assert torch.equal(make(dims=(D,)).from_vectors(vectors, batch), plain)
    short = make().from_vectors([column[:, :3] for column in vectors], batch)
    both = make(dims=(3, D)).from_vectors(vectors, batch)
    torch.testing.assert_close(both, (plain + short) / 2)


def test_half_precision_stays_exact() -> None:
    vectors, batch = columns(), numbers()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = make().from_vectors(vectors, batch)
    torch.testing.assert_close(found, make().from_vectors(vectors, batch))


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    """A tiny model in training mode."""
    return tiny_sentence_transformer(tmp_path / "tiny").train()


def mined_loss(model: SentenceTransformer, rule: Rule | None) -> BatchBalanceLoss:
    """The loss of real texts."""
    mined = mine(QUERIES, random_vectors)
    negatives = HardNegatives(mined, count=3, rule=rule, check_every=1)
    pairs = torch.from_numpy(mined.pairs)
    return BatchBalanceLoss(model, negatives, pairs, SCORES, temperature=TAU, beta=BETA)


def test_rows_are_told_apart_and_negatives_looked_up(model: SentenceTransformer) -> None:
    model.eval()
    loss = mined_loss(model, None)
    loss.negatives.chosen[3] = loss.negatives.ranked[3, 13:16]
    # Query 3 with its second positive, query 0 with its first, and the graded pairs 1 and 6.
    rows = [7, 24 + 1, 0, 24 + 6]
    texts = [("what is 3", "3 it is"), PAIRS[1], ("what is 0", "it is 0"), PAIRS[6]]
    features = [model.preprocess(list(column)) for column in zip(*texts, strict=True)]
    found = loss(features, torch.tensor(rows, dtype=torch.float32))
    ranked = loss.negatives.ranked
    chosen = torch.cat([ranked[3, 13:16], ranked[0, 7:10]])
    asked = [["what is 3", "what is 0"], ["3 it is", "it is 0"]]
    asked.append([loss.negatives.texts[i] for i in chosen.tolist()])
    asked += [[PAIRS[1][0], PAIRS[6][0]], [PAIRS[1][1], PAIRS[6][1]]]
    encoded = [torch.from_numpy(model.encode(column)) for column in asked]
    queries, positives = loss.pairs[[7, 0]].unbind(dim=1)
    batch = BatchNumbers(queries, positives, chosen, torch.tensor([SCORES[1], SCORES[6]]))
    torch.testing.assert_close(found, loss.from_vectors(encoded, batch), atol=1e-4, rtol=1e-4)
    assert int(loss.negatives.step) == 0


def test_negatives_are_measured_without_dropout(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.methods.losses.batch_balance._QUERIES_AT_ONCE", 5)
    monkeypatch.setattr("bench.methods.losses.batch_balance._TEXTS_AT_ONCE", 7)
    loss = mined_loss(model, Rule())
    state = torch.get_rng_state()
    everyone = torch.arange(len(QUERIES))
    found = loss._hardness(everyone)
    assert model.training and torch.equal(torch.get_rng_state(), state)
    texts = [[loss.negatives.texts[i] for i in row] for row in loss.negatives.current(everyone)]
    for query, negatives, value in zip(QUERIES, texts, found, strict=True):
        vector, *others = model.encode([query.text, *negatives], normalize_embeddings=True)
        assert value.item() == pytest.approx(float(np.mean(others @ vector)), abs=1e-5)


def test_texts_are_ranked_by_the_model_as_it_is(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.methods.losses.batch_balance._TEXTS_AT_ONCE", 7)
    loss = mined_loss(model, Rule())
    texts, asked = loss.negatives.texts, torch.tensor([7, 2])
    found = loss._ranked(asked, 9)
    assert model.training and found.shape == (2, 9)
    pool = model.encode(texts, normalize_embeddings=True)
    for number, row in zip(asked.tolist(), found.tolist(), strict=True):
        query = QUERIES[number]
        cosines = pool @ model.encode(query.text, normalize_embeddings=True)
        open_ones = [i for i, text in enumerate(texts) if text not in query.positives]
        open_ones.sort(key=lambda i: -cosines[i])
        np.testing.assert_allclose(cosines[row], cosines[open_ones[:9]], atol=1e-6)
        assert not {texts[i] for i in row} & set(query.positives)
    # Texts beyond those that there are come as none.
    assert loss._ranked(asked, 99).tolist()[0][-2:] == [-1, -1]


def test_negatives_are_cut_to_the_length_of_training(model: SentenceTransformer) -> None:
    model.eval().max_seq_length = 4
    loss = mined_loss(model, None)
    seen: list[int] = []
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0]["input_ids"].shape[1]))
    loss([model.preprocess(["what is 0"]), model.preprocess(["it is 0"])], torch.tensor([0]))
    loss._hardness(torch.tensor([0]))
    assert seen == [4] * 4


class Encoder(nn.Module):
    """A linear layer that passes for a sentence transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(D, 5)
        with torch.no_grad():
            self.linear.weight.normal_(generator=torch.Generator().manual_seed(7))
            self.linear.bias.fill_(0.1)

    def forward(self, given: Tensor) -> Tensor:
        """Vectors (B, 5)."""
        out: Tensor = self.linear(given)
        return out


KNOWN = [[90, 3], [91, -1], [92, 0], [93, -1], [94, 1]]
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "positives": {"in_batch_positives": True},
    "prefixes": {"dims": (2, 5)},
}
# Rows of retrieval and graded pairs of each of two processes.
SHARDS = {
    "halves": ((slice(0, 3), slice(0, 2)), (slice(3, 5), slice(2, 4))),
    "uneven": ((slice(0, 1), slice(0, 3)), (slice(1, 5), slice(3, 4))),
    "a task each": ((slice(0, 5), slice(0, 0)), (slice(5, 5), slice(0, 4))),
}
WHOLE = (slice(0, 5), slice(0, 4))


def outcome(kind: str, encoder: nn.Module, shard: tuple[slice, slice]) -> dict[str, Tensor]:
    """Loss of a shard and the gradients of the encoder."""
    encoder.zero_grad()
    rows, pairs = shard
    of_rows = slice(rows.start * PER_QUERY, rows.stop * PER_QUERY)
    slices, batch = (rows, rows, of_rows, pairs, pairs), numbers()
    encoded: list[Tensor] = list(
        encoder(torch.cat([c[s] for c, s in zip(columns(), slices, strict=True)])).split(
            [len(c[s]) for c, s in zip(columns(), slices, strict=True)]
        )
    )
    own = BatchNumbers(
        batch.queries[rows], batch.positives[rows], batch.negatives[of_rows], batch.grades[pairs]
    )
    loss = make(known=KNOWN, **OPTIONS[kind]).from_vectors(encoded, own)
    torch.autograd.backward(loss)
    named = {name.removeprefix("module."): p.grad for name, p in encoder.named_parameters()}
    return {
        "loss": loss.detach(),
        **{name: g.clone() for name, g in named.items() if g is not None},
    }


def process(rank: int, folder: Path) -> dict[Any, Any]:
    """One of two processes: run the losses and a check on its shards."""
    averaged = DistributedDataParallel(Encoder())
    found: dict[Any, Any] = {
        (kind, name): outcome(kind, averaged, shards[rank])
        for name, shards in SHARDS.items()
        for kind in OPTIONS
    }
    model = SentenceTransformer(f"{folder}/saved", device="cpu")
    found["hardness"] = mined_loss(model, Rule())._hardness(torch.arange(5))
    found["one"] = mined_loss(model, Rule())._hardness(torch.tensor([4]))
    found["ranked"] = mined_loss(model, Rule())._ranked(torch.arange(5), 8)
    return found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("ranks")
    tiny_sentence_transformer(folder / "tiny").save_pretrained(str(folder / "saved"))
    return in_two_processes(process, folder)


@pytest.mark.nightly
@pytest.mark.parametrize("name", SHARDS)
@pytest.mark.parametrize("kind", OPTIONS)
def test_two_processes_equal_one(ranks: list[dict[Any, Any]], kind: str, name: str) -> None:
    expected = outcome(kind, Encoder(), WHOLE)
    assert expected["linear.weight"].abs().max() > 0
    for found in ranks:
        torch.testing.assert_close(found[kind, name], expected, atol=1e-6, rtol=1e-5)


def test_processes_share_the_measuring(
    ranks: list[dict[Any, Any]], model: SentenceTransformer
) -> None:
    loss = mined_loss(model, Rule())
    for found in ranks:
        torch.testing.assert_close(found["hardness"], loss._hardness(torch.arange(5)))
        torch.testing.assert_close(found["one"], loss._hardness(torch.tensor([4])))
        assert torch.equal(found["ranked"], loss._ranked(torch.arange(5), 8))
