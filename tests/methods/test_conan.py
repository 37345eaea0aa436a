"""Conan: the loss against its formula and over processes, the batches, and whole trainings."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.api import build_method
from bench.build import Built
from bench.data.graded import Graded
from bench.data.retrieval import Query
from bench.errors import BenchError, DataError, UsageError
from bench.method import resolve
from bench.methods import conan
from bench.methods.conan import Conan, task_batches
from bench.methods.losses.batch_balance import BatchBalanceLoss, Numbers, retrieval_loss
from bench.methods.losses.graded import cosent_loss
from bench.spec import parse_method_spec
from bench.training.mining import Candidates, HardNegatives, Rule, mine
from tests.stopping import frequent_checkpoints, stopped_and_run_again
from tests.tiny import tiny_bert, tiny_sentence_transformer
from tests.two_processes import in_two_processes

ROOT = Path(__file__).parents[2]
TEXTS = ["a red kettle", "two dogs run", "rain"]
TAU, BETA, D = 0.1, 0.8, 6
B, PER_QUERY, M = 5, 2, 4
QUERIES = [
    Query(f"what is {i}", (f"it is {i}", f"{i} it is"), (f"no {i}", f"never {i}"))
    for i in range(12)
]
PAIRS = [(f"text {i}", f"the text {i}") for i in range(40)]
SCORES = [i % 7 / 6 for i in range(40)]


def random_vectors(texts: list[str]) -> Any:
    """Random vectors of texts."""
    return np.random.default_rng(0).normal(size=(len(texts), 8)).astype("f4")


def candidates(known: list[list[int]] | None = None) -> Candidates:
    """Five queries with the candidates 0 to 99, and texts of which none answers one."""
    numbers = np.arange(B)
    return Candidates(
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


def numbers() -> Numbers:
    """Each query once; the texts 0 to 9 are negatives, 90 to 94 positives."""
    return Numbers(
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
    same = Numbers(batch.queries, batch.positives, batch.negatives, torch.full((M,), 0.4))
    alone = make(beta=0.0).from_vectors(vectors, batch)
    torch.testing.assert_close(make(beta=5.0).from_vectors(vectors, same), alone)


@pytest.mark.parametrize("missing", ["retrieval", "graded"])
def test_a_batch_of_one_task(missing: str) -> None:
    vectors, batch = columns(), numbers()
    if missing == "retrieval":
        none = batch.queries[:0]
        batch = Numbers(none, none, none, batch.grades)
        vectors = [*(column[:0] for column in vectors[:3]), *vectors[3:]]
        cosines = torch.cosine_similarity(vectors[3], vectors[4])
        expected = BETA * cosent_loss(cosines, batch.grades).item()
    else:
        expected = by_hand(vectors, set())
        batch = Numbers(batch.queries, batch.positives, batch.negatives, batch.grades[:0])
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
    loss.negatives.replacements[3] = 2
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
    batch = Numbers(queries, positives, chosen, torch.tensor([SCORES[1], SCORES[6]]))
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
# Stands for a build whose data is made up.
CONTEXT: Any = SimpleNamespace(data=None)
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
    own = Numbers(
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
    return found


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[Any, Any]]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("ranks")
    tiny_sentence_transformer(folder / "tiny").save_pretrained(str(folder / "saved"))
    return in_two_processes(process, folder)


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


@pytest.mark.parametrize("graded", [3, 10, 100])
def test_batches_of_both_tasks(graded: int) -> None:
    joint = task_batches(10, graded, (4, 6), Random(0), balance=True)
    assert [len(batch) for batch in joint] == [10, 10, 8]
    for batch in joint:
        assert sum(row >= 10 for row in batch) == 6
    rows = [row for batch in joint for row in batch]
    assert sorted(row for row in rows if row < 10) == list(range(10))
    counts = [rows.count(row) for row in range(10, 10 + graded)]
    assert sum(counts) == 18 and max(counts) - min(counts) <= 1
    alone = task_batches(10, graded, (4, 6), Random(0), balance=False)
    assert sorted(map(len, alone)) == [2, 4, 4, 6, 6, 6]
    assert all(len({row < 10 for row in batch}) == 1 for batch in alone)
    assert sorted(row for batch in alone for row in batch) == sorted(rows)


def test_batches_follow_from_seed_and_epoch(options: dict[str, Any]) -> None:
    drawn = settings_of(options).batches([("", "")] * 60, CONTEXT)
    assert drawn(0, 1) == drawn(0, 1)
    for other in ((0, 2), (1, 1)):
        assert drawn(*other) != drawn(0, 1)
        assert len(drawn(*other)) == len(drawn(0, 1)) == 5


@pytest.fixture(autouse=True)
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(conan, "load_retrieval", lambda name, data, limit: QUERIES[:limit])
    monkeypatch.setattr(conan, "retrieval_fingerprint", lambda name, data: "made up")
    monkeypatch.setattr(conan, "load_graded", lambda data: Graded(PAIRS, SCORES))
    monkeypatch.setattr(conan, "graded_fingerprint", lambda data: "made up")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """A short training in which negatives are replaced at every check that they can be."""
    return {
        "base": tiny_bert(tmp_path / "base"),
        "stage1": "",
        "limit": 6,
        "batch_size": 4,
        "graded_batch_size": 6,
        "negatives": 3,
        "check_every": 2,
        "factor": 0.5,
        "cap": 2,
        "epochs": 2,
        "lr": 1e-2,
        "dev": "false",
    }


def settings_of(options: dict[str, Any]) -> Conan:
    method = resolve(Conan, parse_method_spec(spec(options)), "local")
    assert isinstance(method, Conan)
    return method


def spec(options: dict[str, Any]) -> str:
    return f"conan[{','.join(f'{name}={value}' for name, value in options.items())}]"


def train(options: dict[str, Any], **more: Any) -> Built:
    built, _ = build_method(spec({**options, **more}))
    return built


def encoded(built: Built) -> Any:
    assert isinstance(built.encoder, SentenceTransformer)
    return built.encoder.encode(TEXTS)


def checks(built: Built) -> list[dict[str, Any]]:
    assert built.folder is not None
    content = json.loads((built.folder / "mining.json").read_text())
    return list(content["checks"])


def test_a_cap_of_zero_is_static_mining_to_the_last_bit(options: dict[str, Any]) -> None:
    static, capped, dynamic = (
        train(options, **choice) for choice in ({"mining": "static"}, {"cap": 0}, {})
    )
    np.testing.assert_array_equal(encoded(static), encoded(capped))
    assert not np.allclose(encoded(static), encoded(dynamic), atol=1e-4)
    assert static.folder is not None and not (static.folder / "mining.json").exists()
    assert [entry["replaced"] for entry in checks(capped)] == [0] * 3
    assert {entry["capped"] - entry["checked"] for entry in checks(capped)} == {0}


def test_the_log_of_a_training(options: dict[str, Any]) -> None:
    built = train(options, limit=11)
    found = checks(built)
    # 22 rows of retrieval make 6 steps an epoch; a query has 42 candidates, enough for 10 checks.
    assert [entry["step"] for entry in found] == [0, 2, 4, 6, 8, 10]
    assert found[0]["checked"] == 11
    assert all(entry["replaced"] == entry["checked"] <= 8 for entry in found[1:])
    assert all(-1 <= entry["mean_new"] <= 1 for entry in found[1:])
    assert built.training is not None and built.training["steps"] == 12


@pytest.mark.parametrize("balance", ["true", "false"])
def test_stopped_and_run_again(
    options: dict[str, Any], balance: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frequent_checkpoints(monkeypatch)
    choice = {"balance": balance, "check_every": 1}
    whole = train(options, **choice)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    again = stopped_and_run_again(lambda: train(options, **choice), monkeypatch)
    np.testing.assert_array_equal(encoded(again), encoded(whole))
    assert checks(again) == checks(whole)
    assert sum(entry["replaced"] for entry in checks(whole)) > 10


def test_one_task_a_step_has_twice_the_steps(options: dict[str, Any]) -> None:
    joint, alone = train(options), train(options, balance="false")
    assert joint.training is not None and alone.training is not None
    assert alone.training["steps"] == 2 * joint.training["steps"] == 12
    assert not np.allclose(encoded(joint), encoded(alone), atol=1e-4)


def test_a_linear_layer_is_kept_at_inference(options: dict[str, Any], tmp_path: Path) -> None:
    built = train(options, dim=24, dims="(8,24)", epochs=1)
    model = built.encoder
    assert isinstance(model, SentenceTransformer) and len(list(model)) == 3
    weight, bias = (value.detach().numpy() for value in model[2].parameters())
    bare = SentenceTransformer(modules=[model[0], model[1]], device="cpu")
    np.testing.assert_allclose(encoded(built), bare.encode(TEXTS) @ weight.T + bias, atol=1e-5)
    model.save_pretrained(str(tmp_path / "saved"))
    again = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(again.encode(TEXTS), encoded(built), atol=1e-6)
    other = train(options, dim=24, epochs=1)
    assert not np.allclose(encoded(built), encoded(other), atol=1e-4)


def test_the_first_stage_is_a_method_on_the_base(options: dict[str, Any], tmp_path: Path) -> None:
    corpus = tmp_path / "pairs.tsv"
    corpus.write_text("".join(f"{one}\t{other}\n" for one, other in PAIRS))
    stage1 = f"simcse[corpus={corpus},positives=pairs,dev=false,batch_size=8,lr=1e-2]"
    named = stage1[:-1] + f",base={options['base']}]"
    trained, _ = build_method(named)
    untouched = train(options, stage1=stage1, lr=1e-30)
    np.testing.assert_allclose(encoded(untouched), encoded(trained), rtol=0, atol=1e-6)
    assert settings_of({**options, "stage1": stage1}).parents == (str(parse_method_spec(named)),)


def test_what_it_learns_from_is_known(options: dict[str, Any]) -> None:
    method = settings_of(options)
    assert method.parents == (str(options["base"]),)
    texts = set(method.training_texts(CONTEXT.data))
    assert {"what is 5", "5 it is", "never 5", "text 39", "the text 0"} <= texts
    assert "what is 6" not in texts
    assert set(method.training_datasets()) == {
        "reranking/wikiqa",
        "reranking/trecqa",
        "reranking/semeval16_qq",
        "paraphrase/quora",
        "sts/stsb",
        "sts/sick",
    }
    loaded = resolve(Conan, parse_method_spec("conan@x"), "local")
    assert loaded.training_datasets() == () and loaded.parents == ()
    assert not list(loaded.training_texts(CONTEXT.data))


def test_all_rows_and_the_first_stage_make_the_model_what_it_is(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    models: Any = SimpleNamespace(fingerprint=lambda name: name)
    found = settings_of(options).inputs(CONTEXT.data, models)
    base = str(options["base"])
    rows = {"retrieval": "made up", "graded": "made up"}
    assert found == {"base": base, "stage1": base, **rows}
    staged = settings_of({**options, "stage1": "simcse"}).inputs(CONTEXT.data, models)
    assert staged["stage1"] == f"simcse[base={base}]"
    loaded = resolve(Conan, parse_method_spec("conan@x"), "local")
    assert loaded.inputs(CONTEXT.data, models) == {"checkpoint": "x"}


@pytest.mark.parametrize(
    ("choice", "error", "message"),
    [
        ({"dims": "(8,24)"}, UsageError, "dims: 24 is out of range: the vectors have 16 dim"),
        ({"negatives": 11}, UsageError, "negatives: input should be less than or equal to 10"),
        ({"limit": 2}, DataError, r"a query has 6 candidates .* raise limit"),
        ({"mining": "often"}, UsageError, "mining: input should be 'dynamic' or 'static'"),
        ({"stage1": "tfidf"}, UsageError, "has no option 'base'"),
    ],
)
def test_settings_that_do_not_fit(
    options: dict[str, Any], choice: dict[str, Any], error: type[BenchError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        train(options, **choice)
    assert "\n" not in str(caught.value)


def test_an_unknown_set(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(DataError, match="unknown retrieval set 'qouro'"):
        settings_of({"retrieval": "qouro"}).training_datasets()


def test_the_profiles(options: dict[str, Any]) -> None:
    paper, local = (resolve(Conan, parse_method_spec("conan"), p) for p in ("paper", "local"))
    assert isinstance(paper, Conan) and isinstance(local, Conan)
    shown = paper.config
    assert (shown.lr, shown.warmup_ratio, shown.weight_decay) == (1e-5, 0.05, 0.001)
    assert (shown.batch_size, shown.graded_batch_size, shown.beta) == (4, 32, 0.8)
    assert (shown.check_every, shown.factor, shown.cap) == (100, 1.15, 0.8)
    assert shown.dim == 1792 and shown.dims is not None and shown.dims[0] == 256
    assert local.config.dim is None and local.config.dims is None
    assert local.config.epochs > 1
