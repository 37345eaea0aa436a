"""Hard negatives: how they are mined, when and by what they are replaced."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from bench.core.errors import DataError
from bench.data.contamination import normalise
from bench.data.retrieval import Query
from bench.methods.parts import mining
from bench.methods.parts.mining import (
    HardNegatives,
    NegativeCandidates,
    Rule,
    ScoreCandidates,
    answered,
    mine,
)
from bench.methods.parts.mining_log import Check, CheckLog, read_checks, summary

FIRES = Rule(factor=0.0, cap=2.0)
LISTED = 30


def vectors(texts: list[str]) -> NDArray[np.float32]:
    """Random vectors that follow from the text alone."""
    seeds = [int.from_bytes(text.encode(), "big") % 2**63 for text in texts]
    return np.stack([np.random.default_rng(s).normal(size=6).astype("f4") for s in seeds])


def queries(count: int = 5, each: int = 4) -> list[Query]:
    """Queries with one positive and some negatives each, in all ``count`` times ``each + 1``."""
    return [
        Query(f"query {i}", (f"answer {i}",), tuple(f"text {i} {k}" for k in range(each)))
        for i in range(count)
    ]


def listed(lengths: tuple[int, ...] = (LISTED, LISTED)) -> NegativeCandidates:
    """Lists of texts 0, 1, 2 … for each query."""
    rank = np.arange(max(lengths))
    ranked = np.stack([np.where(rank < length, rank, -1) for length in lengths])
    owners = np.arange(len(lengths))
    return NegativeCandidates(
        queries=[f"query {i}" for i in owners],
        texts=[f"text {i}" for i in range(max(lengths))],
        ranked=ranked.astype(np.int64),
        known=np.full((len(lengths), 1), -1, np.int64),
        pairs=np.stack([owners, owners], axis=1).astype(np.int64),
    )


def make(
    candidates: NegativeCandidates | None = None,
    rule: Rule | None = FIRES,
    *,
    count: int = 4,
    check_every: int = 1,
    rerank: bool = False,
    log: CheckLog | None = None,
) -> HardNegatives:
    """Hard negatives that are replaced at every chance."""
    return HardNegatives(
        candidates or listed(),
        count=count,
        rule=rule,
        check_every=check_every,
        rerank=rerank,
        log=log,
    )


def advance(negatives: HardNegatives, asked: Tensor, score: ScoreCandidates) -> None:
    """Advance where the first lists are kept."""
    negatives.advance(asked, score, lambda _, count: pytest.fail(f"ranked {count}"))


def half(asked: Tensor) -> Tensor:
    """A mean cosine of 0.5."""
    return torch.full((len(asked),), 0.5)


@pytest.mark.parametrize(
    ("installed", "now", "faithful", "ours"),
    [
        (0.70, 0.65, False, False),
        (0.70, 0.60, True, True),
        (0.95, 0.81, False, False),
        (0.50, 0.43, True, True),
        (-0.10, -0.20, True, True),
        (-0.20, -0.20, True, False),
        (-0.20, -0.90, False, False),
        (0.70, 0.80, False, False),
        (0.10, -0.20, True, True),
        (0.00, 0.00, False, False),
    ],
)
def test_the_rule(installed: float, now: float, faithful: bool, ours: bool) -> None:
    given_now, given_installed = torch.tensor([now]), torch.tensor([installed])
    assert Rule(faithful=True).fires(given_now, given_installed).tolist() == [faithful]
    assert Rule().fires(given_now, given_installed).tolist() == [ours]


@given(st.floats(-1, 1), st.floats(-1, 1), st.booleans())
def test_a_cap_of_zero_replaces_nothing(now: float, installed: float, faithful: bool) -> None:
    rule = Rule(cap=0, faithful=faithful)
    assert not rule.fires(torch.tensor([now]), torch.tensor([installed])).any()


def test_a_large_factor_is_no_off_switch() -> None:
    rule = Rule(factor=1e6, faithful=True)
    found = rule.fires(torch.tensor([0.3, -0.3]), torch.tensor([0.3, -0.3]))
    assert found.tolist() == [False, True]


def test_slices_of_four() -> None:
    negatives, everyone = make(), torch.arange(2)
    found = []
    for _ in range(4):
        found.append(negatives.current(everyone)[0].tolist())
        advance(negatives, everyone, half)
        if len(found) == 1:
            assert negatives.replacements.tolist() == [0, 0]
            advance(negatives, everyone, half)
    ranks = [range(6, 10), range(10, 14), range(14, 18), range(18, 22)]
    assert found == [list(rank) for rank in ranks]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 10), st.integers(10, 60))
def test_slices_never_overlap_nor_leave_the_list(count: int, length: int) -> None:
    negatives, one = make(listed((length,)), count=count), torch.tensor([0])
    advance(negatives, one, half)
    used = negatives.current(one).flatten().tolist()
    for checks in range(1, (length - 10) // count + 1):
        advance(negatives, one, half)
        assert negatives.replacements.item() == checks
        used += negatives.current(one).flatten().tolist()
    assert used == list(range(10 - count, 10 - count + len(used)))
    assert length - count < len(used) + 10 - count <= length
    last = negatives.current(one)
    advance(negatives, one, half)
    assert torch.equal(negatives.current(one), last)


def test_checks_come_at_the_interval_and_only_for_what_was_seen() -> None:
    negatives = make(listed((LISTED,) * 3), check_every=3)
    asked: list[list[int]] = []

    def score(wanted: Tensor) -> Tensor:
        asked.append(wanted.tolist())
        return half(wanted)

    history = []
    for query in (0, 2, 2, 1, 1, 1, 0):
        advance(negatives, torch.tensor([query]), score)
        history.append(negatives.replacements.tolist())
    assert history == [[0] * 3] * 3 + [[1, 0, 1]] * 3 + [[1, 1, 1]]
    assert asked == [[0, 1, 2], [0, 2], [0, 2], [1], [1]]
    assert negatives.seen.tolist() == [True, False, False]


def test_the_first_score_of_new_negatives_is_what_they_are_compared_with() -> None:
    negatives = make(rule=Rule())
    scores = iter([0.7, 0.6, 0.75, 0.7, 0.6, 0.5])
    replaced = []
    for _ in range(4):
        advance(negatives, torch.tensor([0]), lambda asked: torch.full((len(asked),), next(scores)))
        replaced.append(int(negatives.replacements[0]))
    assert replaced == [0, 1, 1, 2]
    assert negatives.installed.tolist() == pytest.approx([0.5, 0.7])


@pytest.mark.parametrize(("faithful", "expected"), [(True, [3, 3]), (False, [0, 0])])
def test_unchanged_negative_cosines(faithful: bool, expected: list[int]) -> None:
    negatives = make(rule=Rule(faithful=faithful))
    for _ in range(4):
        advance(negatives, torch.arange(2), lambda asked: torch.full((len(asked),), -0.2))
    assert negatives.replacements.tolist() == expected


def test_without_a_rule_nothing_is_measured() -> None:
    negatives = make(rule=None)
    for _ in range(3):
        advance(negatives, torch.arange(2), lambda _: pytest.fail("measured"))
    assert negatives.current(torch.tensor([1])).tolist() == [[6, 7, 8, 9]]


def test_the_state_is_what_checkpoints_keep() -> None:
    state = {"chosen", "replacements", "installed", "seen", "step"}
    assert set(make().state_dict()) == state
    one, other = make(check_every=2), make(check_every=2)
    for step in range(3):
        advance(one, torch.tensor([step % 2]), half)
    other.load_state_dict(one.state_dict())
    for negatives in (one, other):
        for _ in range(2):
            advance(negatives, torch.tensor([1]), half)
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize("count", [1, 4, 10])
def test_a_new_list_is_taken_from_its_start_each_time(count: int) -> None:
    negatives = make(listed((LISTED,) * 3), count=count, rerank=True)
    wanted: list[tuple[list[int], int]] = []
    shift = iter([100, 200])

    def rank(asked: Tensor, length: int) -> Tensor:
        wanted.append((asked.tolist(), length))
        return next(shift) + torch.arange(length).repeat(len(asked), 1)

    negatives.advance(torch.tensor([0, 2]), half, rank)
    for start in (100, 200):
        before = negatives.current(torch.tensor([1])).tolist()
        negatives.advance(torch.tensor([0, 2]), half, rank)
        ranks = list(range(start + 10, start + 10 + count))
        assert negatives.current(torch.tensor([0, 2])).tolist() == [ranks, ranks]
        assert negatives.current(torch.tensor([1])).tolist() == before
    assert wanted == [([0, 2], 10 + count)] * 2
    assert negatives.replacements.tolist() == [2, 0, 2]


def test_a_short_new_list_changes_nothing() -> None:
    negatives = make(rerank=True)
    first = negatives.current(torch.arange(2)).tolist()

    def rank(asked: Tensor, length: int) -> Tensor:
        lists = 50 + torch.arange(length).repeat(len(asked), 1)
        lists[1, -1] = -1
        return lists

    for _ in range(2):
        negatives.advance(torch.arange(2), half, rank)
    assert negatives.current(torch.arange(2)).tolist() == [[60, 61, 62, 63], first[1]]
    assert negatives.replacements.tolist() == [1, 0]


def test_the_log_tells_of_every_check(tmp_path: Path) -> None:
    log = CheckLog(tmp_path / "extra" / "mining.json", range(6, 10))
    # The second query has no further candidates.
    scores = {0: iter([0.6, 0.3, 0.5, 0.2, 0.1]), 1: iter([0.9, 0.85, 0.4])}

    def score(asked: Tensor) -> Tensor:
        return torch.tensor([next(scores[i]) for i in asked.tolist()])

    negatives = make(listed((LISTED, 12)), rule=Rule(), check_every=2, log=log)
    for _ in range(5):
        advance(negatives, torch.arange(2), score)
    assert json.loads(log.path.read_text())["first_ranks"] == [6, 7, 8, 9]
    start, check, last = read_checks(log.path)
    assert start == {
        "step": 0,
        "checked": 2,
        "easy": 0,
        "capped": 1,
        "mean_s": pytest.approx(0.75),
        "mean_s0": pytest.approx(0.75),
        "replaced": [],
    }
    assert check == {
        "step": 2,
        "checked": 2,
        "easy": 1,
        "capped": 1,
        "mean_s": pytest.approx(0.575),
        "mean_s0": pytest.approx(0.75),
        "replaced": [pytest.approx([0.3, 0.5])],
    }
    assert (last["step"], last["easy"]) == (4, 2)
    assert last["replaced"] == [pytest.approx([0.2, 0.1])]
    told = summary([start, check, last])
    assert (told["replaced"], told["harder"], told["without_candidates"]) == (2, 1, 1)
    assert told["gain"] == {
        "mean": pytest.approx(0.05),
        "5%": pytest.approx(-0.085),
        "25%": pytest.approx(-0.025),
        "50%": pytest.approx(0.05),
        "75%": pytest.approx(0.125),
        "95%": pytest.approx(0.185),
    }
    assert [entry["replaced"] for entry in told["checks"]] == [0, 1, 1]
    assert told["checks"][1]["gain"]["50%"] == pytest.approx(0.2)
    assert "gain" not in told["checks"][0]


def test_a_resumed_training_writes_the_same_log(tmp_path: Path) -> None:
    log = CheckLog(tmp_path / "mining.json", range(6, 10))
    entries = [Check(step, 1, 1, 0, 0.5, 0.5, ((0.1, 0.3),)) for step in (0, 2, 4, 6)]
    for entry in entries:
        log.add(entry)
    whole = log.path.read_bytes()
    for entry in entries[1:]:
        log.add(entry)
    assert log.path.read_bytes() == whole


def test_candidates_are_the_nearest_without_what_answers() -> None:
    asked = [
        Query("Who fell?", ("Bo fell.", "who fell"), ("It is Bo", "a dog")),
        Query("bo fell", ("BO FELL!", "the end"), ("A dog.", "Who fell", "rain")),
        *queries(),
    ]
    found = mine(asked, vectors)
    assert len({normalise(text) for text in found.texts}) == len(found.texts) == 31
    units = {text: v / np.linalg.norm(v) for text in found.texts for v in vectors([text])}
    for query, row in zip(asked, found.ranked, strict=True):
        own = {normalise(text) for text in (query.text, *query.positives)}
        expected = [text for text in found.texts if normalise(text) not in own]
        (vector,) = vectors([query.text])
        expected.sort(key=lambda text: -float(units[text] @ vector))
        assert [found.texts[i] for i in row if i >= 0] == expected
        known = {normalise(found.texts[i]) for i in found.known[asked.index(query)] if i >= 0}
        assert known == own & {normalise(text) for text in found.texts}
    for (text, answer), (owner, number) in zip(answered(asked), found.pairs, strict=True):
        assert asked[owner].text == text
        assert normalise(found.texts[number]) == normalise(answer)


def test_what_answers_a_query_in_one_set_is_no_candidate_in_another() -> None:
    twice = [Query("query 0", ("another",), ()), *queries()]
    found = mine(twice, vectors)
    for row in found.ranked[:2]:
        assert not {"another", "answer 0"} & {found.texts[i] for i in row if i >= 0}


def test_lists_end_at_a_hundred_and_queries_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mine(queries(12, 12), vectors)
    assert whole.ranked.shape == (12, 100)
    monkeypatch.setattr(mining, "_QUERIES_AT_ONCE", 5)
    np.testing.assert_array_equal(mine(queries(12, 12), vectors).ranked, whole.ranked)


def test_marks_alone_are_texts_of_their_own() -> None:
    found = mine([Query("?", ("!",), ("!!", "?!")), *queries()], vectors)
    assert {"!!", "?!"} <= {found.texts[i] for i in found.ranked[0]}


def test_known_answers_are_told_apart() -> None:
    negatives = make(mine(queries(), vectors))
    texts = torch.tensor([negatives.texts.index(name) for name in ("answer 3", "answer 1")])
    assert negatives.answers(torch.tensor([1, 2]), texts).tolist() == [[False, True], [False] * 2]
    assert negatives.answers(texts[:0], texts).shape == (0, 2)


def test_too_few_texts() -> None:
    with pytest.raises(
        DataError, match=r"9 candidates .*, but 10 are needed; raise queries, or name"
    ):
        mine(queries(2, 4), vectors)
    with pytest.raises(DataError, match="no queries to train on; name a set"):
        mine([], vectors)
