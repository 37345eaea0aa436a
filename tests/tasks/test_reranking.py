"""Reranking takes the candidates of a few queries at a time, and comes to the same scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.suite import Convention, RerankingSpec
from bench.tasks import reranking
from bench.tasks.base import TaskScore
from bench.tasks.reranking import RerankingTask, _blocks

SPEC = RerankingSpec(name="T", kind="reranking", data="x")


class Slices:
    """An array of which slices alone can be had, and how long they were."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.taken = array, list[int]()

    def __getitem__(self, rows: slice) -> np.ndarray:
        assert isinstance(rows, slice)
        self.taken.append(len(self._array[rows]))
        return self._array[rows]


def made(convention: Convention) -> tuple[RerankingTask, dict[str, np.ndarray]]:
    """Twenty queries of three to ten candidates, and vectors of which some are equal."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "query": f"q{i}",
            "positive": [f"{i} {j}" for j in range(1 + i % 3)],
            "negative": [f"{i} {j}" for j in range(2 - i % 2, 8 - i % 5)],
        }
        for i in range(20)
    ]
    task = RerankingTask(SPEC, {"test": rows}, convention)
    vectors = {
        name: rng.integers(0, 3, size=(len(column.texts), 4)).astype(np.float32)
        for name, column in task.texts().items()
    }
    return task, vectors


@pytest.mark.parametrize("convention", ["senteval", "mteb", "useb"])
@pytest.mark.parametrize("held", [1, 12, 40])
def test_scores_do_not_depend_on_how_many_candidates_are_held(
    monkeypatch: pytest.MonkeyPatch, convention: Convention, held: int
) -> None:
    task, vectors = made(convention)
    whole = task.score(vectors, 0)
    monkeypatch.setattr(reranking, "CANDIDATES", held)
    slices: Any = Slices(vectors["candidates"])
    streamed = task.score({**vectors, "candidates": slices}, 0)
    assert equal(streamed, whole)
    assert sum(slices.taken) == len(vectors["candidates"])
    assert max(slices.taken) <= max(held, 10)


def equal(a: TaskScore, b: TaskScore) -> bool:
    """Whether two scores are the same to the last bit."""
    assert a.items is not None and b.items is not None
    assert a.replicates is not None and b.replicates is not None
    same = all((a.items[name] == b.items[name]).all() for name in b.items)
    return same and a.metrics == b.metrics and bool((a.replicates == b.replicates).all())


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 20))
def test_blocks_are_all_queries_in_order_and_as_many_as_fit(sizes: list[int], held: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reranking, "CANDIDATES", held)
        blocks = list(_blocks(np.cumsum(sizes)))
    assert [q for first, last in blocks for q in range(first, last + 1)] == [*range(len(sizes))]
    for first, last in blocks:
        assert sum(sizes[first : last + 1]) <= held or first == last
        assert last + 1 == len(sizes) or sum(sizes[first : last + 2]) > held


def test_candidates_may_stay_on_disk_and_queries_need_not() -> None:
    columns = made("senteval")[0].texts()
    assert (columns["query"].streamed, columns["candidates"].streamed) == (False, True)
