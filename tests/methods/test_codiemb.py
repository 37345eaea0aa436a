"""CoDiEmb: a set a batch, what is drawn, the baseline, fusion, and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling

from bench.api import build_method
from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec
from bench.data.access import DataAccess
from bench.data.graded import Graded, GradedPairs
from bench.data.needs import Needs
from bench.data.retrieval import Queries, Query
from bench.method import Built, lineage, resolve
from bench.methods import codiemb
from bench.methods.codiemb import CoDiEmb
from bench.methods.parts import fusion
from bench.methods.parts.epochs import shares
from bench.methods.parts.mixture import Mixture
from bench.metrics.pearson import pearson
from bench.training import trainer
from tests.support.models import tiny_bert
from tests.support.specs import acting
from tests.support.stopping import frequent_checkpoints, stopped_and_run_again

TEXTS = ["a red kettle", "two dogs run", "rain"]
LETTERS = "abcde"
NUMBERS = [f"{i}{i}" for i in range(14)]
SETS = {
    "one": [Query(f"who {n}", (f"me {n}", f"you {n}"), (f"not {n}",)) for n in NUMBERS],
    "two": [Query(f"how {n}", (f"so {n}",), ()) for n in NUMBERS[:9]],
}
PAIRS = [(f"{a} {a}{a}", f"{b}{b} {b}") for a in LETTERS for b in LETTERS]
SCORES = [1 - abs(i - j) / 4 for i in range(5) for j in range(5)]
GRADED = [Graded(PAIRS, SCORES), Graded([(f"x {a}", a) for a in LETTERS], [1.0] * 5)]
DEV_ROWS = [{"sentence1": a, "sentence2": b, "score": i} for i, (a, b) in enumerate(PAIRS)]


def made_up_queries(self: Queries, data: Any) -> dict[str, list[Query]]:
    return {name: SETS[name][: self.each] for name in self.name.split("+")}


def made_up_pairs(self: GradedPairs, data: Any) -> list[Graded]:
    sets = [zip(one.pairs, one.scores, strict=True) for one in GRADED]
    kept = [[graded for graded in one if graded[1] >= self.least] for one in sets]
    return [Graded([pair for pair, _ in one], [score for _, score in one]) for one in kept]


@pytest.fixture(autouse=True)
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Queries, "load_sets", made_up_queries)
    monkeypatch.setattr(Queries, "fingerprint", lambda self, data: self.name)
    monkeypatch.setattr(GradedPairs, "load_sets", made_up_pairs)
    monkeypatch.setattr(GradedPairs, "fingerprint", lambda self, data: "made up")
    monkeypatch.setattr(DataAccess, "rows", lambda self, ref: DEV_ROWS)
    for access in (DataAccess, Needs):
        monkeypatch.setattr(access, "sha256", lambda self, ref: "made up")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """A small training of eleven steps an epoch."""
    return {
        "base": tiny_bert(tmp_path / "tiny", layers=2),
        "retrieval": "one+two",
        "batch_size": 4,
        "sts_batch_size": 5,
        "epochs": 2,
        "updates": 0,
        "lr": 1e-2,
        "checkpoints": 3,
    }


def spec(options: dict[str, Any], **more: Any) -> str:
    return acting("codiemb", {**options, **more})


def method(options: dict[str, Any], **more: Any) -> CoDiEmb:
    found = resolve(CoDiEmb, parse_method_spec(spec(options, **more)), "local")
    assert isinstance(found, CoDiEmb)
    return found


def train(options: dict[str, Any], **more: Any) -> Built:
    return build_method(spec(options, **more))[0]


def vectors(options: dict[str, Any], **more: Any) -> NDArray[np.float32]:
    return np.asarray(train(options, **more).encoder.encode(TEXTS))


class Context:
    """What the rows need of a build."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.data = None


def mixture(options: dict[str, Any], seed: int = 0, **more: Any) -> Mixture:
    ctx: Any = Context(seed)
    return method(options, **more)._mixture(ctx)


def set_of(texts: tuple[str, ...]) -> str:
    """The made-up set that a row is of."""
    head = texts[0].split()[0]
    return head if head in {"who", "how", "x"} else "letters"


def test_batches_are_of_one_set_and_disjoint(options: dict[str, Any]) -> None:
    mixed = mixture(options)
    # 25 and 5 pairs in fives, 14 and 9 queries in fours.
    expected = {"letters": 5, "x": 1, "who": 3, "how": 2}
    for epoch in (0, 1):
        batches = mixed.batches(7, epoch)
        assert len(batches) == sum(expected.values())
        found = [{set_of(mixed.rows[i]) for i in batch} for batch in batches]
        assert all(len(names) == 1 for names in found)
        names = [names.pop() for names in found]
        assert {name: names.count(name) for name in names} == expected
        sizes = {name: len(batch) for name, batch in zip(names, batches, strict=True)}
        assert sizes == {"letters": 5, "x": 5, "who": 4, "how": 4}
        used = [i for batch in batches for i in batch]
        assert len(set(used)) == len(used)
        for batch in batches:
            of_retrieval = {mixed.labels[i] == -1 for i in batch}
            assert of_retrieval == {set_of(mixed.rows[batch[0]]) in {"who", "how"}}


def test_order_is_by_seed_and_epoch_alone(options: dict[str, Any]) -> None:
    mixed = mixture(options)
    orders = [mixed.batches(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert orders == [mixed.batches(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(one != other for i, one in enumerate(orders) for other in orders[i + 1 :])
    # The sets alternate, and within a set the rows are shuffled.
    first = [set_of(mixed.rows[batch[0]]) for batch in orders[0]]
    assert first != sorted(first)
    pairs = [batch for batch in orders[0] if set_of(mixed.rows[batch[0]]) == "letters"]
    assert any(max(batch) - min(batch) >= len(batch) for batch in pairs)
    # Every epoch has the rows of retrieval that were drawn for it, and the same pairs.
    used = [{i for batch in order for i in batch} for order in orders[:2]]
    assert {mixed.labels[i] for i in used[0] & used[1]} == set(SCORES)


def test_rows_are_drawn_anew_for_every_epoch(options: dict[str, Any]) -> None:
    mixed = mixture(options, positives=2, negatives=3)
    by_query: dict[str, list[tuple[str, ...]]] = {}
    for row, label in zip(mixed.rows, mixed.labels, strict=True):
        assert len(row) == 6
        if label == -1:
            by_query.setdefault(row[0], []).append(row[1:])
        else:
            assert row[2:] == ("",) * 4
            assert row[1] and 0 <= label <= 1
    assert len(by_query) == 23
    for query in SETS["one"]:
        drawn = by_query[query.text]
        assert len(drawn) == 2
        for texts in drawn:
            assert set(texts[:2]) == set(query.positives)
            assert texts[2:] == query.negatives * 3
    for query in SETS["two"]:
        # One positive is repeated; without any negative the places stay empty.
        assert by_query[query.text] == [(*query.positives * 2, "", "", "")] * 2
    assert any(first != second for first, second in by_query.values())
    assert mixture(options, positives=2, negatives=3) == mixed
    assert mixture(options, seed=1, positives=2, negatives=3).rows != mixed.rows


def test_the_contrast_of_all_has_similar_pairs(options: dict[str, Any]) -> None:
    mixed = mixture(options, loss="infonce", negatives=2)
    assert set(mixed.labels) == {-1, -2}
    rows = zip(mixed.rows, mixed.labels, strict=True)
    pairs = [row for row, label in rows if label == -2]
    similar = {pair for pair, score in zip(PAIRS, SCORES, strict=True) if score >= 0.8}
    assert {row[:2] for row in pairs} == similar | set(GRADED[1].pairs)
    # The second text is each of the two positives, and there are no hard negatives.
    assert all(row[1] == row[2] and row[3:] == ("", "") for row in pairs)
    assert not np.allclose(vectors(options, loss="infonce"), vectors(options), atol=1e-4)


def test_the_mixed_sampler_has_the_same_rows_in_as_many_batches(options: dict[str, Any]) -> None:
    for change in ({}, {"updates": 8}, {"loss": "infonce"}):
        dynamic, mixed = (
            mixture(options, sampler=sampler, **change) for sampler in ("dynamic", "mixed")
        )
        assert mixed.rows == dynamic.rows
        for epoch in (0, 1):
            ours, theirs = (one.batches(7, epoch) for one in (mixed, dynamic))
            assert len(ours) == len(theirs)
            flat = [sorted(i for batch in batches for i in batch) for batches in (ours, theirs)]
            assert flat[0] == flat[1]
            sizes = [len(batch) for batch in ours]
            assert max(sizes) - min(sizes) <= 1
            kinds = [{set_of(mixed.rows[i]) for i in batch} for batch in ours]
            assert max(map(len, kinds)) > 2


@pytest.mark.parametrize("loss", ["own", "cosent", "infonce"])
@pytest.mark.parametrize("tasks", ["both", "retrieval", "sts"])
def test_each_task_has_the_updates_that_are_asked_for(
    options: dict[str, Any], tasks: str, loss: str
) -> None:
    made = mixture(options, tasks=tasks, loss=loss, updates=8)
    seen: dict[str, list[int]] = {}
    for epoch in (0, 1):
        batches = made.batches(7, epoch)
        found = [{made.task_of(i) for i in batch} for batch in batches]
        assert all(len(names) == 1 for names in found)
        counts = [sum(name in names for names in found) for name in ("retrieval", "sts")]
        assert counts == [8 * (tasks != "sts"), 8 * (tasks != "retrieval")]
        for batch in batches:
            seen.setdefault(set_of(made.rows[batch[0]]), []).extend(batch)
            assert len({made.rows[i][0] for i in batch}) == len(batch) or tasks != "retrieval"
    if loss == "own" and tasks != "sts":
        # 3 and 2 batches of a pass; those of sets are by their sizes, 5 and 3 in eight.
        assert {name: len(seen[name]) for name in ("who", "how")} == {"who": 40, "how": 24}
        # The rows of a pass are not used again in another.
        assert len(set(seen["who"])) == 40


@pytest.mark.parametrize(
    ("sizes", "total", "expected"),
    [
        ([3, 2], 8, [5, 3]),
        ([27, 2, 7, 62], 150, [41, 3, 11, 95]),
        ([1000, 1, 1], 3, [1, 1, 1]),
        ([1000, 1, 1], 4, [2, 1, 1]),
        ([5], 7, [7]),
    ],
)
def test_shares_add_up(sizes: list[int], total: int, expected: list[int]) -> None:
    assert shares(sizes, total) == expected


@pytest.mark.parametrize(
    ("change", "steps", "retrieval", "sts"),
    [
        ({}, 22, (10, 40), (12, 60)),
        ({"updates": 6}, 24, (12, 48), (12, 60)),
        ({"updates": 6, "tasks": "sts"}, 12, None, (12, 60)),
        ({"updates": 6, "loss": "infonce"}, 24, (12, 48), (12, 60)),
        ({"updates": 6, "sampler": "mixed"}, 24, (24, 48), (24, 60)),
        ({"updates": 6, "max_steps": 24, "epochs": 9}, 24, (12, 48), (12, 60)),
    ],
)
def test_the_record_tells_the_updates(
    options: dict[str, Any],
    change: dict[str, Any],
    steps: int,
    retrieval: tuple[int, int] | None,
    sts: tuple[int, int],
) -> None:
    """A merged model too, and what it says is of all steps."""
    told = train(options, fusion="soup", **change).training
    assert told is not None and told["steps"] == steps
    found = {name: (one["steps"], one["rows"]) for name, one in told["updates"].items()}
    if change.get("sampler") == "mixed":
        # Few rows of a task may leave a batch without it.
        assert all(22 <= found[name][0] <= 24 for name in found)
        found = {name: (24, rows) for name, (_, rows) in found.items()}
    assert found == {"sts": sts, **({"retrieval": retrieval} if retrieval else {})}


def test_baselines_are_models_of_their_own(options: dict[str, Any]) -> None:
    changes: list[dict[str, Any]] = [{}, {"loss": "cosent"}, {"loss": "infonce"}]
    changes += [{**change, "sampler": "mixed"} for change in changes]
    some = {"fusion": "none", "max_steps": 6, "lr": 1e-3}
    found = [vectors(options, **some, **change) for change in changes]
    for i, one in enumerate(found):
        assert all(not np.allclose(one, other, atol=1e-5) for other in found[i + 1 :])


def test_instructions_stand_before_what_they_are_for(options: dict[str, Any]) -> None:
    plain, told = mixture(options), mixture(options, instructions=True)
    before = codiemb.INSTRUCTIONS
    for row, other, label in zip(plain.rows, told.rows, told.labels, strict=True):
        if label == -1:
            assert other == (before.query + row[0], *row[1:])
        else:
            assert other == (before.pair + row[0], before.pair + row[1], *row[2:])
    contrasted = mixture(options, instructions=True, loss="infonce", positives=2, negatives=1)
    pairs = [
        row for row, label in zip(contrasted.rows, contrasted.labels, strict=True) if label < -1
    ]
    assert all(text.startswith(before.pair) for row in pairs for text in row[:3])
    assert all(row[3] == "" for row in pairs)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_model_with_instructions_encodes_with_them(
    options: dict[str, Any], pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    original = trainer.train

    def noted(model: Any, loss: Any, rows: Any, settings: Any, *more: Any, **kwargs: Any) -> Any:
        lengths.append(settings.max_seq_length)
        return original(model, loss, rows, settings, *more, **kwargs)

    monkeypatch.setattr(trainer, "train", noted)
    some = {**options, "pooling": pooling, "max_steps": 2, "checkpoints": 1}
    model, plain = (train(some, instructions=told).encoder for told in (True, False))
    assert isinstance(model, SentenceTransformer) and isinstance(plain, SentenceTransformer)
    before = codiemb.INSTRUCTIONS
    asked = model.encode_query(TEXTS)
    np.testing.assert_allclose(asked, model.encode(TEXTS, prompt=before.query), atol=1e-6)
    np.testing.assert_allclose(model.encode_document(TEXTS), model.encode(TEXTS, prompt=""))
    np.testing.assert_allclose(model.encode(TEXTS), model.encode(TEXTS, prompt=before.pair))
    assert not np.allclose(asked, model.encode_document(TEXTS), atol=1e-3)
    assert not plain.prompts.get("query") and plain.default_prompt_name is None
    # As many tokens of the texts themselves.
    tokens = len(model.tokenizer(before.query)["input_ids"]) - 2
    assert lengths == [lengths[1] + tokens, lengths[1]]
    poolings = [module.include_prompt for module in model if isinstance(module, Pooling)]
    assert poolings == [pooling == "cls"]


@pytest.mark.parametrize(
    ("tasks", "sets", "datasets", "inputs"),
    [
        ("retrieval", {"who", "how"}, {"reranking/wikiqa"}, {"retrieval"}),
        ("sts", {"letters", "x"}, {"sts/stsb", "sts/sick"}, {"graded"}),
    ],
)
def test_one_task_alone_reads_nothing_of_the_other(
    options: dict[str, Any], tasks: str, sets: set[str], datasets: set[str], inputs: set[str]
) -> None:
    alone = mixture(options, tasks=tasks)
    assert {set_of(row) for row in alone.rows} == sets
    ctx: Any = Context()
    learns = method(options, tasks=tasks, fusion="none")
    texts = {text for row in alone.rows for text in row if text}
    assert set(learns.training_texts(ctx.data)) == texts
    models: Any = type("Models", (), {"fingerprint": lambda self, spec: spec})()
    found = learns.inputs(ctx.data, models)
    assert found.keys() & {"retrieval", "graded"} == inputs
    named = method({**options, "retrieval": "wikiqa"}, tasks=tasks, fusion="none")
    assert set(named.training_datasets()) == datasets


def test_training_learns_both_tasks(options: dict[str, Any]) -> None:
    def scores(model: Any) -> tuple[float, float]:
        first, second = (
            torch.tensor(model.encode(list(texts))) for texts in zip(*PAIRS, strict=True)
        )
        graded = pearson(torch.cosine_similarity(first, second).double().numpy(), np.array(SCORES))
        queries, answers = (
            torch.tensor(model.encode(texts))
            for texts in (
                [query.text for query in SETS["two"]],
                [query.positives[0] for query in SETS["two"]],
            )
        )
        cosines = torch.cosine_similarity(queries[:, None], answers[None], dim=2)
        return graded, float(cosines.diagonal().mean() - cosines.mean())

    none = {"fusion": "none", "epochs": 6}
    before = scores(train(options, **none, lr=1e-30).encoder)
    after = scores(train(options, **none).encoder)
    assert after[0] > before[0] + 0.2, (before, after)
    assert after[1] > before[1] + 0.2, (before, after)


@pytest.mark.nightly
def test_settings_reach_the_training(options: dict[str, Any]) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"temperature": 0.1},
        {"rank_temperature": 0.1},
        {"middle": False},
        {"positives": 1},
        {"negatives": 0},
    ]
    found = [vectors(options, fusion="none", max_steps=6, **change) for change in changes]
    for i, one in enumerate(found):
        assert all(not np.allclose(one, other, atol=1e-5) for other in found[i + 1 :])


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each training that takes place."""
    found: list[int] = []
    original = trainer.train

    def counted(model: Any, loss: Any, rows: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(len(rows))
        return original(model, loss, rows, *args, **kwargs)

    monkeypatch.setattr(trainer, "train", counted)
    return found


def test_fusions_merge_the_checkpoints_of_one_training(
    options: dict[str, Any], trainings: list[int]
) -> None:
    plain = train(options, fusion="none")
    assert plain.folder is not None
    states = fusion.kept_checkpoints(plain.folder / "checkpoints")
    assert len(states) == 3
    weights = plain.encoder
    assert isinstance(weights, SentenceTransformer)
    base = SentenceTransformer(str(options["base"]), device="cpu").state_dict()
    expected = {
        "delta": fusion.delta_fusion(base, states),
        "soup": fusion.uniform_soup(states),
        "delta,power=-1,granularity=layer": fusion.delta_fusion(
            base, states, granularity="layer", power=-1
        ),
    }
    for name, tensor in weights.state_dict().items():
        assert torch.equal(tensor, states[-1][name]), name
    for choice, state in expected.items():
        merged = train(options, fusion=choice).encoder
        assert isinstance(merged, SentenceTransformer)
        for name, tensor in merged.state_dict().items():
            assert torch.equal(tensor, state[name]), (choice, name)
    assert len(trainings) == 1


def test_the_greedy_soup_is_never_worse_on_dev(options: dict[str, Any]) -> None:
    def score(model: Any) -> float:
        first, second = (
            model.encode([row[name] for row in DEV_ROWS]) for name in ("sentence1", "sentence2")
        )
        cosines = torch.cosine_similarity(torch.tensor(first), torch.tensor(second))
        grades = np.argsort(np.argsort([row["score"] for row in DEV_ROWS]))
        return pearson(np.argsort(np.argsort(cosines.numpy())).astype(float), grades.astype(float))

    plain, greedy = train(options, fusion="none"), train(options, fusion="greedy").encoder
    assert plain.folder is not None
    model: Any = plain.encoder
    for state in fusion.kept_checkpoints(plain.folder / "checkpoints"):
        model.load_state_dict(state)
        assert score(greedy) >= score(model) - 1e-6


@pytest.mark.nightly
@pytest.mark.parametrize("choice", ["none", "delta"])
def test_stopped_and_run_again(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    frequent_checkpoints(monkeypatch)
    # The first part ends before the stop, the others after it.
    text = spec(options, fusion=choice, max_steps=6)
    whole, _ = build_method(text)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    again, _ = stopped_and_run_again(lambda: build_method(text), monkeypatch)
    np.testing.assert_array_equal(again.encoder.encode(TEXTS), whole.encoder.encode(TEXTS))


def test_what_it_learns_from_is_told_once(options: dict[str, Any]) -> None:
    named = options | {"retrieval": "wikiqa+quora"}
    expected = {"reranking/wikiqa", "paraphrase/quora", "sts/stsb", "sts/sick"}
    for choice in ("none", "soup"):
        one = method(named, fusion=choice)
        assert bool(one.training_datasets()) == (choice == "none")
        found = {name for each in lineage(one) for name in each.training_datasets()}
        assert found == expected
    data: Any = None
    texts = {text for one in lineage(method(options)) for text in one.training_texts(data)}
    assert {"who 00", "me 11", "not 22", "how 33", "so 44", "x a", "c cc"} <= texts
    alone = method(options, fusion="none")
    assert set(alone.training_texts(data)) == texts
    assert "so 88" not in set(method(options, fusion="none", queries=4).training_texts(data))
    loaded = resolve(CoDiEmb, parse_method_spec("codiemb@x"), "local")
    assert (loaded.training_datasets(), list(loaded.training_texts(data))) == ((), [])
    assert loaded.parents == ()


def test_bad_settings(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="granularity and power need fusion=delta"):
        method(options, fusion="soup", power=2)
    with pytest.raises(UsageError, match="9 queries of two do not fill a batch of 12"):
        train(options, batch_size=12)
    with pytest.raises(UsageError, match=r"updates=1 leaves a set without a batch; .* the 2 sets"):
        train(options, updates=1)
    with pytest.raises(UsageError, match=r"5 graded pairs .*; lower sts_batch_size or use more"):
        train(options, sts_batch_size=6)
