"""Rows of several tasks in one training, in batches of one task each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.core.errors import UsageError
from bench.data.corpora import Texts
from bench.data.graded import Graded
from bench.data.retrieval import Query

# Label of rows of retrieval, which no grade is equal to.
RETRIEVAL_LABEL = -1.0


@dataclass(frozen=True)
class MixedSet:
    """The rows of one set.

    Attributes:
        start: Number of the first one.
        count: Rows in an epoch.
        batch_size: Rows in a batch.
        redrawn: Whether every epoch has rows of its own, one epoch's behind the other's.
    """

    start: int
    count: int
    batch_size: int
    redrawn: bool

    def batches(self, epoch: int, generator: np.random.Generator) -> list[list[int]]:
        """Cut the shuffled rows of an epoch into full batches; what is left over is not used."""
        first = self.start + epoch * self.count * self.redrawn
        full = self.count // self.batch_size * self.batch_size
        order = first + generator.permutation(self.count)[:full]
        batches: list[list[int]] = order.reshape(-1, self.batch_size).tolist()
        return batches


@dataclass(frozen=True)
class Mixture:
    """Rows of all tasks, with the sets that they are of.

    Attributes:
        positives: Positives that are drawn for a query in every epoch.
        negatives: Hard negatives that are drawn for a query that has any.
        rows: Query, positives and hard negatives, or two texts; empty texts fill each row up.
        labels: The grade of each pair, ``RETRIEVAL_LABEL`` for rows of retrieval.
        parts: The sets.
    """

    positives: int
    negatives: int
    rows: list[Texts] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    parts: list[MixedSet] = field(default_factory=list)

    def add_pairs(self, graded: Graded, batch_size: int) -> None:
        """Add the graded pairs of a set.

        Raises:
            UsageError: They do not fill a batch.
        """
        count = len(graded.pairs)
        _refuse_less_than_a_batch("graded pairs", count, "sts_batch_size", batch_size)
        self.parts.append(MixedSet(len(self.rows), count, batch_size, redrawn=False))
        padding = ("",) * (self.positives + self.negatives - 1)
        self.rows.extend((*pair, *padding) for pair in graded.pairs)
        self.labels.extend(graded.scores)

    def add_queries(
        self, name: str, queries: Sequence[Query], batch_size: int, *, epochs: int, seed: int
    ) -> None:
        """Add the queries of a set, a row of each for every epoch.

        Raises:
            UsageError: They do not fill a batch.
        """
        count = len(queries)
        _refuse_less_than_a_batch(f"queries of {name}", count, "batch_size", batch_size)
        self.parts.append(MixedSet(len(self.rows), count, batch_size, redrawn=True))
        for epoch in range(epochs):
            generator = np.random.default_rng((seed, epoch, len(self.parts)))
            for query in queries:
                positives = _drawn(query.positives, self.positives, generator)
                negatives = _drawn(query.negatives, self.negatives, generator)
                self.rows.append((query.text, *positives, *negatives))
                self.labels.append(RETRIEVAL_LABEL)

    def batches(self, seed: int, epoch: int) -> list[list[int]]:
        """Batches of an epoch in random order, each of rows of one set (the dynamic sampler)."""
        generator = np.random.default_rng((seed, epoch))
        batches = [batch for part in self.parts for batch in part.batches(epoch, generator)]
        return [batches[i] for i in generator.permutation(len(batches))]


def _drawn(texts: Texts, count: int, generator: np.random.Generator) -> Iterator[str]:
    """Draw from texts, which are repeated as needed; empty ones where there are none."""
    if not texts:
        return iter([""] * count)
    repeated = texts * math.ceil(count / len(texts))
    return (repeated[i] for i in generator.permutation(len(repeated))[:count])


def _refuse_less_than_a_batch(what: str, count: int, option: str, size: int) -> None:
    if count < size:
        raise UsageError(
            f"{count} {what} do not fill a batch of {size}; lower {option} or use more"
        )
