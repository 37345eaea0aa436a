"""CoDiEmb's batches: what is drawn, of which sets, and how many updates each task has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.methods.parts.epochs import shares
from tests.support.codiemb import (
    GRADED,
    PAIRS,
    SCORES,
    SETS,
    make_up,
    mixture,
    set_of,
    small,
    train,
    vectors,
)


@pytest.fixture(autouse=True)
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_up(tmp_path, monkeypatch)


@pytest.fixture
def options(tmp_path: Path) -> dict[str, Any]:
    """A small training of eleven steps an epoch."""
    return small(tmp_path)


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


@pytest.mark.nightly
def test_baselines_are_models_of_their_own(options: dict[str, Any]) -> None:
    changes: list[dict[str, Any]] = [{}, {"loss": "cosent"}, {"loss": "infonce"}]
    changes += [{**change, "sampler": "mixed"} for change in changes]
    some = {"fusion": "none", "max_steps": 6, "lr": 1e-3}
    found = [vectors(options, **some, **change) for change in changes]
    for i, one in enumerate(found):
        assert all(not np.allclose(one, other, atol=1e-5) for other in found[i + 1 :])
