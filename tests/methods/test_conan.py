"""Conan: its batches, and whole trainings."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bench.api import build_method
from bench.core.errors import BenchError, DataError, UsageError
from bench.core.spec import parse_method_spec
from bench.data.graded import Graded, GradedPairs
from bench.data.retrieval import Queries
from bench.method import Built, resolve
from bench.methods.conan import Conan, task_batches
from tests.support.models import tiny_bert
from tests.support.rows import PAIRS, QUERIES, SCORES
from tests.support.specs import acting
from tests.support.stopping import frequent_checkpoints, stopped_and_run_again

TEXTS = ["a red kettle", "two dogs run", "rain"]
# Stands for a build whose data is made up.
CONTEXT: Any = SimpleNamespace(data=None)


def drawn(retrieval: int, graded: int, balance: bool) -> list[list[int]]:
    rows = range(retrieval), range(retrieval, retrieval + graded)
    return task_batches(*rows, (4, 6), np.random.default_rng(0), balance=balance)


@pytest.mark.parametrize("graded", [3, 10, 100])
def test_batches_of_both_tasks(graded: int) -> None:
    joint = drawn(10, graded, balance=True)
    assert [len(batch) for batch in joint] == [10, 10, 8]
    for batch in joint:
        assert sum(row >= 10 for row in batch) == 6
    rows = [row for batch in joint for row in batch]
    assert sorted(row for row in rows if row < 10) == list(range(10))
    counts = [rows.count(row) for row in range(10, 10 + graded)]
    assert sum(counts) == 18 and max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("retrieval", "sizes"), [(8, [8, 12]), (10, [2, 8, 18]), (16, [8, 8, 12, 12]), (5, [5, 12])]
)
def test_batches_of_a_task_are_as_many_and_have_the_same_rows(
    retrieval: int, sizes: list[int]
) -> None:
    joint, alone = (drawn(retrieval, 40, balance) for balance in (True, False))
    assert len(alone) == len(joint) == len(sizes)
    assert sorted(map(len, alone)) == sizes
    assert all(len({row < retrieval for row in batch}) == 1 for batch in alone)
    both = [sorted(row for batch in batches for row in batch) for batches in (joint, alone)]
    assert both[0] == both[1]


def test_a_single_batch_is_of_both_tasks() -> None:
    assert len(drawn(4, 40, balance=True)) == 1
    with pytest.raises(UsageError, match="two steps an epoch"):
        drawn(4, 40, balance=False)


def test_batches_follow_from_seed_and_epoch(options: dict[str, Any]) -> None:
    drawn = settings_of(options).batches([("", "")] * 52, CONTEXT)
    assert drawn(0, 1) == drawn(0, 1)
    for other in ((0, 2), (1, 1)):
        assert drawn(*other) != drawn(0, 1)
        assert len(drawn(*other)) == len(drawn(0, 1)) == 3


def test_sets_have_equal_parts_of_an_epoch(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # 6, 10 and 4 rows.
    sets = {"one": QUERIES[:3], "two": QUERIES[3:8], "three": QUERIES[8:10]}
    monkeypatch.setattr(Queries, "load_sets", lambda self, data: sets)
    method = settings_of({**options, "balanced_sets": "true", "batch_size": 3})
    rows = method.rows(CONTEXT)
    batches = method.batches(rows, CONTEXT)
    bounds = {"one": range(6), "two": range(6, 16), "three": range(16, 20)}
    seen: dict[str, list[int]] = {name: [] for name in bounds}
    for epoch in range(5):
        used = [row for batch in batches(7, epoch) for row in batch if row < 20]
        for name, numbers in bounds.items():
            own = [row for row in used if row in numbers]
            assert len(own) == 4
            seen[name] += own
    # Every row of a set comes before one comes again.
    for name, numbers in bounds.items():
        counts = [seen[name].count(row) for row in numbers]
        assert max(counts) - min(counts) <= 1
    whole = settings_of({**options, "balanced_sets": "false"}).batches(rows, CONTEXT)
    used = sorted(row for batch in whole(7, 3) for row in batch if row < 20)
    assert used == list(range(20))


@pytest.fixture(autouse=True)
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Queries, "load_sets", lambda self, data: {"made up": QUERIES[: self.each]})
    monkeypatch.setattr(GradedPairs, "load", lambda self, data: Graded(PAIRS, SCORES))
    for read in (Queries, GradedPairs):
        monkeypatch.setattr(read, "fingerprint", lambda self, data: "made up")


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """A short training in which negatives are replaced at every check that they can be."""
    return {
        "base": tiny_bert(tmp_path / "base"),
        "stage1": "",
        "queries": 6,
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
    return acting("conan", options)


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
    assert [entry["replaced"] for entry in checks(capped)] == [[]] * 3
    assert {entry["capped"] - entry["checked"] for entry in checks(capped)} == {0}


def test_the_log_of_a_training(options: dict[str, Any]) -> None:
    built = train(options, queries=11)
    found = checks(built)
    # 22 rows of retrieval make 6 steps an epoch; a query has 42 candidates, enough for 10 checks.
    assert [entry["step"] for entry in found] == [0, 2, 4, 6, 8, 10]
    assert found[0]["checked"] == 11
    assert all(len(entry["replaced"]) == entry["checked"] <= 8 for entry in found[1:])
    pairs = [pair for entry in found[1:] for pair in entry["replaced"]]
    assert all(-1 <= cosine <= 1 for pair in pairs for cosine in pair)
    assert built.training is not None and built.training["steps"] == 12


@pytest.mark.parametrize("balance", [True, False])
def test_the_record_tells_updates_and_gains(options: dict[str, Any], balance: bool) -> None:
    built = train(options, balance=str(balance).lower())
    told = built.training
    assert told is not None and told["steps"] == 6
    # 12 rows of retrieval in fours and 18 of graded pairs, twice; alone the first make two of the
    # three steps of an epoch.
    steps = {True: (6, 6), False: (4, 2)}[balance]
    assert told["updates"] == {
        "retrieval": {"steps": steps[0], "rows": 24},
        "sts": {"steps": steps[1], "rows": 36},
    }
    entries = checks(built)
    pairs = [pair for entry in entries for pair in entry["replaced"]]
    mined = told["mining"]
    assert mined["replaced"] == len(pairs) > 0
    assert mined["harder"] == sum(new > old for old, new in pairs)
    gains = [new - old for old, new in pairs]
    assert mined["gain"]["mean"] == pytest.approx(np.mean(gains))
    assert mined["gain"]["50%"] == pytest.approx(np.median(gains))
    assert [entry["step"] for entry in mined["checks"]] == [entry["step"] for entry in entries]


def test_a_new_ranking_finds_harder_negatives(options: dict[str, Any]) -> None:
    """The model in training ranks the texts, not the one that it started from."""
    choice = {"queries": 11, "epochs": 4, "factor": 1.0, "negatives": 1}
    listed, ranked = (
        train(options, rerank=rerank, **choice).training for rerank in ("false", "true")
    )
    assert listed is not None and ranked is not None
    assert ranked["mining"]["replaced"] > 0
    assert ranked["mining"]["gain"]["mean"] > listed["mining"]["gain"]["mean"]
    assert ranked["mining"]["without_candidates"] == 0


@pytest.mark.nightly
@pytest.mark.parametrize(
    "choice", [{"balance": "true"}, {"balance": "false", "queries": 9}, {"rerank": "true"}]
)
def test_stopped_and_run_again(
    options: dict[str, Any], choice: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frequent_checkpoints(monkeypatch)
    choice = {"check_every": 1, **choice}
    whole = train(options, **choice)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    again = stopped_and_run_again(lambda: train(options, **choice), monkeypatch)
    np.testing.assert_array_equal(encoded(again), encoded(whole))
    assert checks(again) == checks(whole)
    assert sum(len(entry["replaced"]) for entry in checks(whole)) > 10
    assert again.training is not None and whole.training is not None
    assert again.training["mining"] == whole.training["mining"]


def test_one_task_a_step_has_as_many_steps(options: dict[str, Any]) -> None:
    joint, alone = train(options), train(options, balance="false")
    assert joint.training is not None and alone.training is not None
    assert alone.training["steps"] == joint.training["steps"] == 6
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
        ({"queries": 2}, DataError, r"a query has 6 candidates .* raise queries"),
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
    assert "quora" not in local.config.retrieval and local.config.balanced_sets
    assert not local.config.dev
