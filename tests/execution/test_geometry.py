"""What a record says of the vectors of a task: the same texts for all, None where undefined."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import bench
from bench.core.progress import Silent
from bench.execution import geometry
from bench.execution.geometry import measure
from bench.metrics.alignment import alignment
from bench.metrics.isotropy import isoscore, mean_cosine
from bench.metrics.singular_values import effective_rank
from bench.models.checkpoints import load_folder, with_pooling
from bench.records.entries import GeometryEntry, Record
from bench.records.files import read_record
from bench.suite import (
    ClassificationSpec,
    DimensionSpec,
    NliSpec,
    PairClassificationSpec,
    RelatednessSpec,
    RerankingSpec,
    RetrievalSpec,
    StsSpec,
)
from bench.tasks.base import Task
from bench.tasks.kinds import KINDS, task_class
from bench.tasks.supervised import SupervisedTask
from tests.support.models import tiny_bert
from tests.support.suites import write_suite

STS = StsSpec(name="T", kind="sts", data="x")


def hashed(text: str) -> NDArray[np.float32]:
    return np.random.default_rng(list(text.encode())).normal(size=6).astype(np.float32)


def vectors_of(
    task: Task[Any], vector: Callable[[str], NDArray[np.float32]] = hashed
) -> Mapping[str, NDArray[np.float32]]:
    return {
        name: np.stack([vector(text) for text in column.texts])
        for name, column in task.texts().items()
    }


def sts(n: int, scores: Sequence[float] = (0.0, 3.9, 4.0, 5.0)) -> Task[Any]:
    rows = [
        {"sentence1": f"a{i}", "sentence2": f"b{i}", "score": scores[i % len(scores)]}
        for i in range(n)
    ]
    return KINDS["sts"](STS, {"test": rows}, "senteval")


def singles(texts: Sequence[str]) -> Task[Any]:
    spec = ClassificationSpec(name="T", kind="classification", data="x")
    rows = [{"text": text, "label": i % 2} for i, text in enumerate(texts)]
    return KINDS["classification"](spec, {"test": rows}, "senteval")


def drawn(task: Task[Any], most: int = 2000, seed: int = 0) -> Sequence[str]:
    rng = np.random.default_rng(seed)
    return geometry._drawn(task.texts(), task.together() or {}, most, rng).texts


def measured(task: Task[Any], vector: Callable[[str], NDArray[np.float32]]) -> GeometryEntry:
    entry = measure(task, vectors_of(task, vector), 0)
    assert entry is not None
    return entry


def test_measures_are_those_of_the_texts_that_are_drawn() -> None:
    task = sts(40)
    entry = measured(task, hashed)
    vectors = np.stack([hashed(text) for text in drawn(task)])
    assert (entry.texts, entry.vectors, entry.apart) == (40, 40, True)
    assert entry.isoscore == pytest.approx(isoscore(vectors))
    assert entry.mean_cosine == pytest.approx(mean_cosine(vectors))
    assert entry.mean_cosine_centred == pytest.approx(
        mean_cosine(vectors - vectors.mean(axis=0)), abs=1e-6
    )
    assert entry.participation_ratio == pytest.approx(1 + 5 * isoscore(vectors))
    assert (entry.rank, entry.condition_number) == (6, pytest.approx(np.linalg.cond(vectors)))
    assert entry.singular_entropy == pytest.approx(np.log(effective_rank(vectors)))
    numbers = entry.model_dump(exclude={"token_similarity"}).values()
    assert all(value is not None and math.isfinite(value) for value in numbers)


def test_no_two_texts_of_a_pair_are_drawn() -> None:
    pairs = [{f"a{i}", f"b{i}"} for i in range(40)]
    texts = drawn(sts(40))
    assert [len(pair & set(texts)) for pair in pairs] == [1] * 40
    # Either side, and in the order of the columns.
    assert {text[0] for text in texts} == {"a", "b"}
    assert list(texts) == sorted(texts, key=lambda text: (text[0], int(text[1:])))
    few = drawn(sts(40), most=15)
    assert len(few) == 15 and max(len(pair & set(few)) for pair in pairs) == 1


def test_a_query_and_its_positives_give_one_text() -> None:
    rows = [
        {
            "query": f"q{i}",
            "positive": [f"p{i}", f"r{i}", "of all"],
            "negative": [f"n{i}", f"m{i}"],
        }
        for i in range(20)
    ]
    for spec in (
        RerankingSpec(name="T", kind="reranking", data="x"),
        RetrievalSpec(name="T", kind="retrieval", data="x"),
    ):
        texts = set(drawn(KINDS[spec.kind](spec, {"test": rows}, "senteval")))
        assert all(len({f"q{i}", f"p{i}", f"r{i}"} & texts) <= 1 for i in range(20))
        assert {row["negative"][0] for row in rows} <= texts
        assert len(texts & {f"m{i}" for i in range(20)}) == 20
        # Their common answer links them all.
        assert len(texts) == 41


def test_sides_of_pairs_of_every_part_are_apart() -> None:
    def rows(part: str) -> list[dict[str, Any]]:
        return [
            {"sentence1": f"{part} a{i}", "sentence2": f"{part} b{i}", "score": 1 + i % 4}
            for i in range(8)
        ]

    spec = RelatednessSpec(name="T", kind="relatedness", data="x", train="y", dev="z")
    parts = {part: rows(part) for part in ("test", "train", "dev")}
    assert len(drawn(KINDS["relatedness"](spec, parts, "senteval"))) == 24
    nli = NliSpec(name="T", kind="nli", data="x")
    labelled = [
        {"premise": f"a{i}", "hypothesis": f"b{i}", "label": ("x", "y")[i % 2]} for i in range(30)
    ]
    assert len(drawn(KINDS["nli"](nli, {"test": labelled}, "senteval"))) == 30


def test_spellings_of_one_text_are_apart() -> None:
    texts = [spelt for i in range(30) for spelt in (f"Text {i}.", f"text {i}!", f"TEXT  {i}")]
    assert len(drawn(singles([*texts, "?!", "..."]))) == 32


@pytest.mark.parametrize("near", [0.0, 1e-7, 0.02])
def test_paraphrases_do_not_make_the_dimension(near: float) -> None:
    def vector(text: str) -> NDArray[np.float32]:
        return hashed(text[1:]) + near * hashed(text)

    # Measured on all texts, a neighbour would be the other side of a pair.
    paired, alone = sts(600), singles([f"a{i}" for i in range(600)])
    both = singles([f"{side}{i}" for side in "ab" for i in range(600)])
    expected = measured(alone, vector)
    found = measured(paired, vector)
    assert expected.twonn is not None and expected.twonn > 5
    for name in ("twonn", "mle", "isoscore"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=0.05)
    if near == 0.02:
        wrong = measured(both, vector).twonn
        assert wrong is not None and wrong < 1


def test_equal_vectors_and_zeros_are_left_out() -> None:
    def vector(text: str) -> NDArray[np.float32]:
        if text == "a0":
            return np.zeros(6, np.float32)
        same = text.replace("b", "a") if text.endswith("1") else text
        # Another batch rounds otherwise.
        return hashed(same) * np.float32(1 + 1e-6 * (text < "b"))

    task = singles([f"{side}{i}" for side in "ab" for i in range(30)])
    entry = measured(task, vector)
    assert (entry.texts, entry.vectors) == (60, 60 - 1 - 3)
    plain = measured(task, hashed)
    assert entry.twonn == pytest.approx(plain.twonn, rel=0.15)


def test_what_is_undefined_is_none() -> None:
    alone = measured(sts(9), lambda text: np.ones(6, np.float32))
    numbers = alone.model_dump(exclude={"texts", "vectors", "pairs", "alignment", "apart"})
    assert set(numbers.values()) == {None}
    assert (alone.vectors, alone.alignment) == (1, 0)
    nothing = measured(sts(9), lambda text: np.zeros(6, np.float32))
    assert (nothing.vectors, nothing.pairs, nothing.alignment) == (0, 0, None)
    few = measured(sts(8), hashed)
    assert (few.twonn is None, few.mle is None) == (False, True)
    line = measured(sts(30), lambda text: hashed(text)[:1])
    assert (line.isoscore, line.pca_dimension) == (None, 1)


def test_draws_follow_from_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geometry, "TEXTS", 20)
    monkeypatch.setattr(geometry, "PAIRS", 5)
    seen: list[set[tuple[float, ...]]] = []
    spy = geometry.different_neighbours

    def different(vectors: NDArray[np.float32], neighbours: int) -> Any:
        seen.append({tuple(row) for row in vectors.tolist()})
        return spy(vectors, neighbours)

    monkeypatch.setattr(geometry, "different_neighbours", different)
    task = sts(60)
    vectors = vectors_of(task)
    first, again, other = (measure(task, vectors, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first is not None
    assert (first.texts, first.pairs) == (20, 5)
    twice = {name: 2 * array for name, array in vectors.items()}
    measure(task, twice, 1)
    assert {tuple(2 * x for x in row) for row in seen[0]} == seen[-1]


def test_one_pair_has_an_alignment() -> None:
    entry = measured(sts(2, (1.0, 5.0)), hashed)
    assert entry.pairs == 1
    assert entry.alignment == pytest.approx(float(np.sum((unit("a1") - unit("b1")) ** 2)), abs=1e-6)


def unit(text: str) -> NDArray[np.float32]:
    return hashed(text) / np.linalg.norm(hashed(text))


def test_a_text_of_two_columns_counts_once() -> None:
    rows = [{"sentence1": f"a{i}", "sentence2": f"a{i + 1}", "score": i} for i in range(30)]
    chain = KINDS["sts"](STS, {"test": rows}, "senteval")
    assert len(geometry._drawn(chain.texts(), {}, 99, np.random.default_rng(0)).texts) == 31
    # What two pairs share a side of is alike too.
    assert len(drawn(chain)) == 1
    apart = [*rows[:10], *rows[20:]]
    assert len(drawn(KINDS["sts"](STS, {"test": apart}, "senteval"))) == 2


def test_positive_pairs_of_sts_are_those_of_four_of_five() -> None:
    task = sts(8)
    u, v = vectors_of(task).values()
    close = [2, 3, 6, 7]
    assert measured(task, hashed).pairs == 4
    assert measured(task, hashed).alignment == pytest.approx(alignment(u[close], v[close]))


def positive_texts(task: Any) -> list[tuple[str, ...]]:
    columns = task.texts()
    sides = [
        [columns[name].texts[row] for row in rows] for name, rows in task.positive_pairs().items()
    ]
    return list(zip(*sides, strict=True))


def test_positive_pairs_by_kind() -> None:
    assert positive_texts(sts(5)) == [("a2", "b2"), ("a3", "b3")]
    assert positive_texts(sts(4, (-1.0, 0.0))) == []
    assert positive_texts(sts(4, (0.1, 0.79, 0.8, 1.0))) == [("a2", "b2"), ("a3", "b3")]
    pairs = [{"sentence1": f"a{i}", "sentence2": f"b{i}", "label": i % 2} for i in range(4)]
    spec = PairClassificationSpec(name="T", kind="pair_classification", data="x")
    found = positive_texts(KINDS[spec.kind](spec, {"test": pairs}, "senteval"))
    assert found == [("a1", "b1"), ("a3", "b3")]
    queries = [
        {"query": "q0", "positive": ["p0", "p1"], "negative": ["n0"]},
        {"query": "left out", "positive": [], "negative": ["n1"]},
        {"query": "q2", "positive": ["p2"], "negative": ["n2", "n3"]},
    ]
    reranking = RerankingSpec(name="T", kind="reranking", data="x")
    found = positive_texts(KINDS["reranking"](reranking, {"test": queries}, "senteval"))
    assert sorted(found) == [("q0", "p0"), ("q0", "p1"), ("q2", "p2")]


def test_other_kinds_have_no_pairs() -> None:
    entry = measured(singles([f"t{i}" for i in range(40)]), hashed)
    assert (entry.pairs, entry.alignment) == (0, None)
    assert entry.uniformity is not None


def test_the_supervised_track_has_no_vectors() -> None:
    spec = ClassificationSpec(
        name="T", kind="classification", data="x", train="y", track="supervised"
    )
    rows = [{"text": f"t{i}", "label": i % 2} for i in range(10)]
    task = task_class(spec)(spec, {"test": rows, "train": rows}, "senteval")
    assert isinstance(task, SupervisedTask)
    assert measure(task, {"predicted": np.zeros(10)}, 0) is None


def test_records_hold_it_and_old_ones_load(tmp_path: Path) -> None:
    result = bench.run(str(write_suite(tmp_path)), ["random"], output=tmp_path / "out")
    (path,) = result.paths
    record = read_record(path)
    entry = record.geometry["pairs"]
    assert (entry.texts, entry.vectors) == (30, 30)
    assert entry.isoscore is not None
    old = record.model_dump(mode="json", exclude={"geometry"})
    assert Record.model_validate(old).geometry == {}


def test_a_fixed_sample_is_measured_whole_and_by_its_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geometry, "TEXTS", 20)
    monkeypatch.setattr(geometry, "TOKENS_OF", 16)
    spec = DimensionSpec(name="T", kind="dimension", data="x")
    rows = [{"text": f"text {'abcdefgh'[i % 8]} of {i}"} for i in range(40)]
    task = KINDS["dimension"](spec, {"test": rows}, "senteval")
    model = with_pooling(load_folder(tiny_bert(tmp_path / "bert"), "cpu", None, Silent()), "mean")
    asked: list[int] = []
    encode = model.encode

    def counted(texts: Sequence[str], **options: Any) -> Any:
        asked.append(len(texts))
        return encode(texts, **options)

    monkeypatch.setattr(model, "encode", counted)
    entry = measure(task, vectors_of(task), 0, model)
    assert entry is not None
    assert (entry.texts, sum(asked)) == (40, 14)
    chosen = [row["text"] for row in rows][::3]
    states = [np.asarray(one) for one in encode(chosen, output_value="token_embeddings")]
    assert entry.token_similarity == pytest.approx(np.mean([mean_cosine(one) for one in states]))
    score = task.score(vectors_of(task), 0)
    assert entry.twonn == pytest.approx(100 * score.main)
    # Others have no further pass of the model.
    other = measure(sts(40), vectors_of(sts(40)), 0, model)
    assert other is not None
    assert (other.texts, other.token_similarity, sum(asked)) == (20, None, 14)
    mapped = measure(task, vectors_of(task), 0, None)
    assert mapped is not None and mapped.token_similarity is None
