"""CoDiEmb: instructions, one task alone, fusion, and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling

from bench.api import build_method
from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec
from bench.method import lineage, resolve
from bench.methods import codiemb
from bench.methods.codiemb import CoDiEmb
from bench.methods.parts import fusion
from bench.metrics.pearson import pearson
from bench.training import trainer
from tests.support.codiemb import (
    DEV_ROWS,
    PAIRS,
    SCORES,
    SETS,
    TEXTS,
    Context,
    make_up,
    method,
    mixture,
    set_of,
    small,
    spec,
    train,
    vectors,
)
from tests.support.stopping import frequent_checkpoints, stopped_and_run_again


@pytest.fixture(autouse=True)
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_up(tmp_path, monkeypatch)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """A small training of eleven steps an epoch."""
    return small(tmp_path)


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
