"""Pairs with graded similarity, to train on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.core.errors import DataError
from bench.core.fingerprint import fingerprint
from bench.data.access import DataAccess
from bench.data.build_inputs import TrainingSet
from bench.data.catalog import dataset_of
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


@dataclass(frozen=True)
class GradedPairs(TrainingSet):
    """The training parts of STS-B and SICK as Pcc-tuning merges them.

    The authors' filter is not published. Here a pair that is there twice is kept once, and one
    that a test set of STS12-16, STS-B or SICK-R holds, in either order, is left out. Scores are
    brought to [0, 1] by the nominal range of their set.

    Attributes:
        least: Lowest score of a pair that is kept, on the scale from 0 to 1.
    """

    least: float = 0.0

    def load(self, data: DataAccess) -> Graded:
        """Load the pairs of all sets.

        Raises:
            DataError: A data set is missing or changed, or a score is outside its range.
        """
        sets = self.load_sets(data)
        return Graded(
            [pair for graded in sets for pair in graded.pairs],
            [score for graded in sets for score in graded.scores],
        )

    def load_sets(self, data: DataAccess) -> list[Graded]:
        """Load each set on its own; one of which nothing is left is out.

        Raises:
            DataError: A data set is missing or changed, or a score is outside its range.
        """
        seen = {_key(row) for ref in TEST for row in data.rows(ref)}
        sets = []
        for ref, bounds in TRAIN.items():
            graded = Graded([], [])
            for row in data.rows(ref):
                if (key := _key(row)) in seen:
                    continue
                seen.add(key)
                score = _on_one_scale(row, bounds, ref)
                if score >= self.least:
                    graded.pairs.append((row["sentence1"], row["sentence2"]))
                    graded.scores.append(score)
            sets.append(graded)
        return [graded for graded in sets if graded.pairs]

    def fingerprint(self, data: DataAccess) -> str:
        """Identify all sets, those for training and those whose pairs are left out."""
        return fingerprint([data.sha256(ref) for ref in (*TRAIN, *TEST)])

    @property
    def datasets(self) -> tuple[str, ...]:
        """The sets for training, ``family/set``."""
        return tuple(dataset_of(ref) for ref in TRAIN)

    def texts(self, data: DataAccess) -> Iterator[str]:
        """Both sentences of every pair."""
        for pair in self.load(data).pairs:
            yield from pair


def _on_one_scale(row: Row, bounds: tuple[float, float], ref: str) -> float:
    low, high = bounds
    score = (float(row["score"]) - low) / (high - low)
    if not 0 <= score <= 1:
        pair = row["sentence1"], row["sentence2"]
        raise DataError(
            f"{ref}: the score of {pair!r} is {row['score']}; it has to be between {low} and {high}"
        )
    return score


def _key(row: Row) -> tuple[str, ...]:
    return tuple(sorted((row["sentence1"], row["sentence2"])))
