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
from bench.execution import geometry
from bench.execution.geometry import measure
from bench.metrics.alignment import alignment
from bench.metrics.isotropy import isoscore, mean_cosine
from bench.records.entries import GeometryEntry, Record
from bench.records.files import read_record
from bench.suite import (
    ClassificationSpec,
    PairClassificationSpec,
    RerankingSpec,
    StsSpec,
)
from bench.tasks.base import Task
from bench.tasks.kinds import KINDS, task_class
from bench.tasks.supervised import SupervisedTask
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


def measured(task: Task[Any], vector: Callable[[str], NDArray[np.float32]]) -> GeometryEntry:
    entry = measure(task, vectors_of(task, vector), 0)
    assert entry is not None
    return entry


def test_measures_are_those_of_the_distinct_texts() -> None:
    task = sts(40)
    entry = measured(task, hashed)
    texts = [text for column in task.texts().values() for text in column.texts]
    vectors = np.stack([hashed(text) for text in texts])
    assert (entry.texts, entry.vectors) == (80, 80)
    assert entry.isoscore == pytest.approx(isoscore(vectors))
    assert entry.mean_cosine == pytest.approx(mean_cosine(vectors))
    assert entry.mean_cosine_centred == pytest.approx(
        mean_cosine(vectors - vectors.mean(axis=0)), abs=1e-6
    )
    assert entry.participation_ratio == pytest.approx(1 + 5 * isoscore(vectors))
    numbers = entry.model_dump().values()
    assert all(value is not None and math.isfinite(value) for value in numbers)


def test_equal_vectors_and_zeros_are_left_out() -> None:
    def vector(text: str) -> NDArray[np.float32]:
        if text == "a0":
            return np.zeros(6, np.float32)
        same = text.replace("b", "a") if text.endswith("1") else text
        # Another batch rounds otherwise.
        return hashed(same) * np.float32(1 + 1e-6 * (text < "b"))

    entry = measured(sts(30), vector)
    assert (entry.texts, entry.vectors) == (60, 60 - 1 - 3)
    plain = measured(sts(30), hashed)
    assert entry.twonn == pytest.approx(plain.twonn, rel=0.15)
    assert None not in entry.model_dump().values()


def test_what_is_undefined_is_none() -> None:
    alone = measured(sts(9), lambda text: np.ones(6, np.float32))
    numbers = alone.model_dump(exclude={"texts", "vectors", "pairs", "alignment"})
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
    spy = geometry._different

    def different(vectors: NDArray[np.float32]) -> Any:
        seen.append({tuple(row) for row in vectors.tolist()})
        return spy(vectors)

    monkeypatch.setattr(geometry, "_different", different)
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
    task = KINDS["sts"](STS, {"test": rows}, "senteval")
    assert measured(task, hashed).texts == 31


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
    spec = ClassificationSpec(name="T", kind="classification", data="x")
    rows = [{"text": f"t{i}", "label": i % 2} for i in range(40)]
    entry = measured(KINDS["classification"](spec, {"test": rows}, "senteval"), hashed)
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
    assert (entry.texts, entry.vectors) == (60, 60)
    assert entry.isoscore is not None
    old = record.model_dump(mode="json", exclude={"geometry"})
    assert Record.model_validate(old).geometry == {}
