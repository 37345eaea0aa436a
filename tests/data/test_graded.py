"""Graded pairs: one scale, none twice, none of a test set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.core.cache import Cache
from bench.core.errors import DataError
from bench.data.access import DataAccess
from bench.data.graded import TEST, Graded, GradedPairs


def test_pairs_are_new_to_every_test_set(data_folder: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    data = DataAccess(data_folder, cache.data, cache.hashes(), offline=True)
    graded = GradedPairs().load(data)
    keys = [frozenset(pair) for pair in graded.pairs]
    assert len(set(keys)) == len(keys)
    tested = {
        frozenset((row["sentence1"], row["sentence2"])) for ref in TEST for row in data.rows(ref)
    }
    assert not tested & set(keys)
    assert len(keys) == len(graded.scores) > 9_000
    assert (min(graded.scores), max(graded.scores)) == (0, 1)


class Rows:
    """Sets that are made up: a pair of its own in each, one in all, and no test sets."""

    def __init__(self, score: float = 2.5) -> None:
        self.score = score

    def rows(self, ref: str) -> list[dict[str, Any]]:
        """Two pairs, of which the first has the score."""
        if ref in TEST:
            return []
        own = {"sentence1": ref, "sentence2": "own", "score": self.score}
        return [own, {"sentence1": "in all", "sentence2": "sets", "score": 5}]


def test_a_pair_is_kept_in_the_first_of_its_sets() -> None:
    data: Any = Rows()
    stsb, sick = ("sts/stsb:train", "own"), ("sts/sick:train", "own")
    sets = [Graded([stsb, ("in all", "sets")], [0.5, 1.0]), Graded([sick], [0.375])]
    assert GradedPairs().load_sets(data) == sets
    assert GradedPairs().load(data) == Graded([stsb, ("in all", "sets"), sick], [0.5, 1.0, 0.375])
    assert GradedPairs(least=0.5).load_sets(data) == sets[:1]
    assert GradedPairs(least=0.6).load(data) == Graded([("in all", "sets")], [1.0])


@pytest.mark.parametrize("score", [-1.0, 5.5, float("nan")])
def test_a_score_outside_its_range_is_named(score: float) -> None:
    data: Any = Rows(score)
    with pytest.raises(DataError, match=r"stsb:train: the score of \('sts/stsb:train', 'own'\)"):
        GradedPairs().load(data)
