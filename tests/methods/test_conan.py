"""Conan: its batches, and whole trainings."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
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
    monkeypatch.setattr(Queries, "load", lambda self, data: QUERIES[: self.limit])
    monkeypatch.setattr(GradedPairs, "load", lambda self, data: Graded(PAIRS, SCORES))
    for read in (Queries, GradedPairs):
        monkeypatch.setattr(read, "fingerprint", lambda self, data: "made up")


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


@pytest.mark.nightly
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
