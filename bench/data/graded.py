"""Pairs with graded similarity, to train on."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.errors import DataError
from bench.core.fingerprint import fingerprint
from bench.data.access import DataAccess
from bench.data.rows import Row

# Lowest and highest score of each set.
TRAIN = {"sts/stsb:train": (0.0, 5.0), "sts/sick:train": (1.0, 5.0)}
TEST = (
    "sts/sts12:test",
    "sts/sts13:test",
    "sts/sts14:test",
    "sts/sts15:test",
    "sts/sts16:test",
    "sts/stsb:test",
    "sts/sick:test",
)


@dataclass(frozen=True)
class Graded:
    """Pairs of sentences and how similar they are.

    Attributes:
        pairs: The sentences.
        scores: Between 0 and 1, on one scale for all sets.
    """

    pairs: list[tuple[str, str]]
    scores: list[float]


def load_graded(data: DataAccess) -> Graded:
    """Load the training parts of STS-B and SICK as Pcc-tuning merges them.

    The authors' filter is not published. Here a pair that is there twice is kept once, and one
    that a test set of STS12-16, STS-B or SICK-R holds, in either order, is left out. Scores are
    brought to [0, 1] by the nominal range of their set.

    Raises:
        DataError: A data set is missing or changed, or a score is outside its range.
    """
    sets = load_graded_sets(data)
    return Graded(
        [pair for one in sets for pair in one.pairs],
        [score for one in sets for score in one.scores],
    )


def load_graded_sets(data: DataAccess) -> list[Graded]:
    """Load what ``load_graded`` does, each set on its own; one of which nothing is left is out.

    Raises:
        DataError: A data set is missing or changed, or a score is outside its range.
    """
    seen = {_key(row) for ref in TEST for row in data.rows(ref)}
    sets = []
    for ref, bounds in TRAIN.items():
        found = Graded([], [])
        for row in data.rows(ref):
            if (key := _key(row)) not in seen:
                seen.add(key)
                found.pairs.append((row["sentence1"], row["sentence2"]))
                found.scores.append(_on_one_scale(row, bounds, ref))
        sets.append(found)
    return [found for found in sets if found.pairs]


def _on_one_scale(row: Row, bounds: tuple[float, float], ref: str) -> float:
    low, high = bounds
    score = (float(row["score"]) - low) / (high - low)
    if not 0 <= score <= 1:
        pair = row["sentence1"], row["sentence2"]
        raise DataError(
            f"{ref}: the score of {pair!r} is {row['score']}; it has to be between {low} and {high}"
        )
    return score


def graded_fingerprint(data: DataAccess) -> str:
    """Identify the pairs without reading them, and check that all sets are there."""
    return fingerprint([data.sha256(ref) for ref in (*TRAIN, *TEST)])


def _key(row: Row) -> tuple[str, ...]:
    return tuple(sorted((row["sentence1"], row["sentence2"])))
