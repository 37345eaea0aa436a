"""Pairs with graded similarity, to train on."""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.access import DataAccess
from bench.data.rows import Row
from bench.fingerprint import fingerprint

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
        DataError: A data set is missing or changed.
    """
    tested = {_key(row) for ref in TEST for row in data.rows(ref)}
    found: dict[tuple[str, ...], tuple[tuple[str, str], float]] = {}
    for ref, (low, high) in TRAIN.items():
        for row in data.rows(ref):
            if (key := _key(row)) not in tested:
                score = (float(row["score"]) - low) / (high - low)
                found.setdefault(key, ((row["sentence1"], row["sentence2"]), score))
    return Graded([pair for pair, _ in found.values()], [score for _, score in found.values()])


def graded_fingerprint(data: DataAccess) -> str:
    """Identify the pairs without reading them, and check that all sets are there."""
    return fingerprint([data.sha256(ref) for ref in (*TRAIN, *TEST)])


def _key(row: Row) -> tuple[str, ...]:
    return tuple(sorted((row["sentence1"], row["sentence2"])))
