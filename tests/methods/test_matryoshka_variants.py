"""The three trainings of matryoshka-2d: what each learns from, its own options, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.api import build_method
from bench.core.errors import UsageError
from bench.data.retrieval import Queries, Query
from bench.method import named_method
from tests.support.models import tiny_bert
from tests.support.stopping import frequent_checkpoints, stopped_and_run_again

TEXTS = ["a red kettle", "two dogs run", "rain"]
QUERIES = [
    Query(f"query {i}", (f"answer {i}", f"reply {i}"), (f"other {i}", "none")[: i % 3])
    for i in range(24)
]
# With the variant; values that the options have, and other ones.
OF_ESE = {
    "size": ("4", "8"),
    "embedding_layer": ("true", "false"),
    "layers_per_step": ("-1", "0"),
    "angle_weight": ("1", "0"),
    "in_batch_weight": ("30", "0"),
    "angle_scale": ("20", "1"),
    "temperature": ("0.05", "0.5"),
    "divergence_temperature": ("1", "0.1"),
    "pooling": ("cls", "mean"),
}
OF_RETRIEVAL = {
    "retrieval": ("quora", "wikiqa"),
    "queries": ("24", "16"),
    "negatives": ("1", "0"),
    "similarity": ("dot", "cosine"),
    "temperature": ("1", "0.1"),
    "dims": ("(8,4)", "(8)"),
    "layers_per_step": ("-1", "0"),
    "score_align": ("false", "true"),
    "sub_layer_full_dim": ("false", "true"),
    "passage_to_last_layer": ("false", "true"),
    "warmup_steps": ("0", "2"),
}


def load_sets(self: Queries, data: Any) -> dict[str, list[Query]]:
    """The made-up queries, in another order in any set but one."""
    return {self.name: QUERIES[: self.each] if self.name == "quora" else QUERIES[::-1]}


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Queries, "load_sets", load_sets)
    monkeypatch.setattr(Queries, "fingerprint", lambda self, data: f"made up {self.name}")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "base", layers=3)


def spec(base: Path, variant: str, **options: str) -> str:
    usual = {"batch_size": "8", "lr": "0.01", "epochs": "1", "grid": "(16)", "max_steps": "3"}
    if variant == "ese":
        rows = "".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(40))
        corpus = base.parent / "triplets.tsv"
        corpus.write_text(rows)
        usual |= {"corpus": str(corpus), "size": "4"}
    else:
        usual |= {"retrieval": "quora", "dims": "(8,4)", "negatives": "1"}
    given = {"base": str(base), "variant": variant, **usual, **options}
    return f"matryoshka-2d[{','.join(f'{key}={value}' for key, value in given.items())}]"


def vectors(text: str) -> NDArray[np.float32]:
    built, _ = build_method(text, profile="paper")
    return np.asarray(built.encoder.encode(TEXTS))


CASES = [("ese", name) for name in OF_ESE] + [("retrieval", name) for name in OF_RETRIEVAL]


@pytest.mark.nightly
@pytest.mark.parametrize(("variant", "option"), CASES)
def test_another_value_makes_another_model(base: Path, variant: str, option: str) -> None:
    options = OF_ESE if variant == "ese" else OF_RETRIEVAL
    models = [vectors(spec(base, variant, **{option: value})) for value in options[option]]
    assert not np.array_equal(*models)


@pytest.mark.nightly
def test_what_scores_are_compared_with_makes_another_model(base: Path) -> None:
    aligned = {"score_align": "true", "temperature": "0.1"}
    models = [
        vectors(spec(base, "retrieval", **aligned, compare_to_last_layer=value))
        for value in ("false", "true")
    ]
    assert not np.array_equal(*models)


def test_queries_are_learnt_in_place_of_the_corpus(base: Path, tmp_path: Path) -> None:
    method: Any = named_method(spec(base, "retrieval"), "paper")
    assert set(method.reads()) == {"retrieval"}
    assert method.training_datasets() == ("paraphrase/quora",)
    assert method.stand_ins == {"passages of MS MARCO": "quora"}
    before = vectors(f"sbert@{base}")
    assert not np.allclose(vectors(spec(base, "retrieval")), before, atol=1e-3)
    other: Any = named_method(spec(base, "ese"), "paper")
    assert set(other.reads()) == {"corpus"}
    assert other.stand_ins == {}
    loaded: Any = named_method(spec(base, "retrieval").replace("2d[", f"2d@{base}["), "paper")
    assert (loaded.reads(), loaded.stand_ins) == ({}, {})


@pytest.mark.nightly
def test_a_training_on_queries_goes_on_where_it_was_stopped(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frequent_checkpoints(monkeypatch)
    training = spec(base, "retrieval", layers_per_step="1", epochs="2", max_steps="-1")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "whole"))
    whole, _ = build_method(training, profile="paper")
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    again, _ = stopped_and_run_again(lambda: build_method(training, profile="paper"), monkeypatch)
    np.testing.assert_array_equal(again.encoder.encode(TEXTS), whole.encoder.encode(TEXTS))


def test_every_epoch_draws_passages_of_its_own(base: Path, tmp_path: Path) -> None:
    from tests.training.test_trainer import context

    method: Any = named_method(spec(base, "retrieval", epochs="2"), "paper")
    ctx = context(tmp_path)
    rows, batches = method.rows(ctx), method.batches([], ctx)
    seen = [{rows[i] for batch in batches(3, epoch) for i in batch} for epoch in (0, 1)]
    assert seen[0] != seen[1]
    assert {row[0] for row in seen[0]} == {row[0] for row in seen[1]} == {q.text for q in QUERIES}
    for query, positive, negative in rows:
        asked = next(one for one in QUERIES if one.text == query)
        assert positive in asked.positives
        assert negative in (asked.negatives or ("",))


@pytest.mark.parametrize(
    ("variant", "options", "message"),
    [
        ("ese", {"dims": "(8)"}, "dims does nothing here; it needs variant=st or"),
        ("ese", {"score_align": "true"}, "it needs variant=retrieval"),
        ("ese", {"angle_weight": "0", "angle_scale": "3"}, "it needs an angle_weight above 0"),
        ("ese", {"in_batch_weight": "0", "temperature": "1"}, "it needs an in_batch_weight"),
        ("ese", {"in_batch_weight": "0", "angle_weight": "0"}, "cannot both be 0"),
        ("ese", {"layers_per_step": "0", "embedding_layer": "false"}, "it needs layers_per_step"),
        ("retrieval", {"corpus": "nli"}, "corpus does nothing here; it needs variant=st or"),
        ("retrieval", {"size": "3"}, "it needs variant=ese"),
        ("retrieval", {"detached": "true"}, "it needs variant=st"),
        ("retrieval", {"compare_to_last_layer": "true"}, "needs score_align=true"),
        (
            "retrieval",
            {"layers_per_step": "0", "sub_layer_full_dim": "true"},
            "sub_layer_full_dim does nothing here; it needs layers_per_step",
        ),
        ("retrieval", {"dims": "(16,4)"}, "leave 16 out"),
        ("retrieval", {"dims": "(99)"}, "dims: 99 is out of range"),
    ],
)
def test_what_would_do_nothing_is_refused(
    base: Path, variant: str, options: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build_method(spec(base, variant, **options), profile="paper")


def test_too_few_queries_for_a_batch_are_refused(base: Path) -> None:
    with pytest.raises(UsageError, match="24 queries of all sets do not fill a batch of 64"):
        build_method(spec(base, "retrieval", batch_size="64"), profile="paper")


def test_whole_vectors_alone_are_plain_training(base: Path) -> None:
    plain = spec(base, "retrieval", dims="(16)", layers_per_step="0", similarity="cosine")
    assert not np.allclose(vectors(plain), vectors(f"sbert@{base}"), atol=1e-3)


def test_the_variants_of_profile_local() -> None:
    for variant, expected in (
        ("st", {"dims": (384, 192, 96, 48), "max_seq_length": 32, "dev": True, "epochs": 1}),
        ("ese", {"size": 96, "layers_per_step": -1, "embedding_layer": True, "dev": True}),
        ("retrieval", {"dims": (96,), "similarity": "cosine", "dev": False, "layers_per_step": -1}),
    ):
        method: Any = named_method(f"matryoshka-2d[variant={variant}]", "local")
        assert {name: getattr(method.config, name) for name in expected} == expected
        assert (method.config.pooling, method.config.base) == ("mean", "minilm")
    given: Any = named_method("matryoshka-2d[variant=retrieval,dims=48]", "local")
    assert given.config.dims == (48,)
    assert given.cuts.every_layer
    flat: Any = named_method("matryoshka-2d[variant=retrieval,layers_per_step=0]", "local")
    assert not flat.cuts.every_layer
    with pytest.raises(UsageError, match="no option 'presets'"):
        named_method("matryoshka-2d[presets=1]", "local")
