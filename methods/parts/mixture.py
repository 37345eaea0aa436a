"""Rows of several tasks in one training, in batches of one task each or of any."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.core.errors import UsageError
from bench.data.corpora import Texts
from bench.data.graded import Graded
from bench.data.retrieval import Query
from bench.methods.parts.epochs import of_passes

# Labels of rows that are contrasted, which no grade is equal to: queries with their answers, and
# pairs of similar texts.
RETRIEVAL_LABEL = -1.0
PARAPHRASE_LABEL = -2.0
RETRIEVAL, STS = "retrieval", "sts"


@dataclass(frozen=True)
class Instructions:
    """Texts that stand before others, by what these are for.

    Attributes:
        query: Before a query; what answers it has none.
        pair: Before both texts of a pair whose similarity is told.
    """

    query: str = ""
    pair: str = ""


@dataclass(frozen=True)
class MixedSet:
    """The rows of one set.

    Attributes:
        task: The task that they are of.
        start: Number of the first one.
        count: Rows in a pass.
        batch_size: Rows in a batch.
        redrawn: Whether every pass has rows of its own, one pass's behind the other's.
        in_epoch: Batches in an epoch, or None for those of one pass.
    """

    task: str
    start: int
    count: int
    batch_size: int
    redrawn: bool
    in_epoch: int | None = None

    @property
    def in_pass(self) -> int:
        """Full batches in a pass; what is left over is not used in it."""
        return self.count // self.batch_size

    @property
    def epoch_batches(self) -> int:
        """Batches in an epoch."""
        return self.in_pass if self.in_epoch is None else self.in_epoch

    def passes(self, epochs: int) -> int:
        """Passes that so many epochs begin."""
        return math.ceil(epochs * self.epoch_batches / self.in_pass)

    def batches(self, seed: int, epoch: int) -> list[list[int]]:
        """Take the batches of an epoch, which goes on where the one before it ended."""

        def of_pass(number: int) -> list[list[int]]:
            generator = np.random.default_rng((seed, number, self.start))
            first = self.start + number * self.count * self.redrawn
            order = first + generator.permutation(self.count)[: self.in_pass * self.batch_size]
            cut: list[list[int]] = order.reshape(-1, self.batch_size).tolist()
            return cut

        return of_passes(of_pass, epoch * self.epoch_batches, self.epoch_batches)


@dataclass(frozen=True)
class Mixture:
    """Rows of all tasks, with the sets that they are of.

    Attributes:
        positives: Positives that are drawn for a query in every pass.
        negatives: Hard negatives that are drawn for a query that has any.
        mixed: Whether the rows of an epoch are shuffled over its batches, whatever set they are
            of; otherwise each batch is of one set.
        instructions: What stands before texts.
        rows: Query, positives and hard negatives, or two texts; empty texts fill each row up.
        labels: The grade of each pair, ``RETRIEVAL_LABEL`` for queries and ``PARAPHRASE_LABEL``
            for pairs that are contrasted.
        parts: The sets.
    """

    positives: int
    negatives: int
    mixed: bool = False
    instructions: Instructions = Instructions()
    rows: list[Texts] = field(default_factory=list)
    labels: list[float] = field(default_factory=list)
    parts: list[MixedSet] = field(default_factory=list)

    def add_pairs(
        self,
        graded: Graded,
        batch_size: int,
        in_epoch: int | None = None,
        *,
        contrasted: bool = False,
    ) -> None:
        """Add the pairs of a set, by their grades, or as queries and what answers them.

        Raises:
            UsageError: They do not fill a batch.
        """
        count, start = len(graded.pairs), len(self.rows)
        _refuse_less_than_a_batch("graded pairs", count, "sts_batch_size", batch_size)
        self.parts.append(MixedSet(STS, start, count, batch_size, redrawn=False, in_epoch=in_epoch))
        copies = self.positives if contrasted else 1
        padding = ("",) * (self.positives + self.negatives - copies)
        before = self.instructions.pair
        for one, two in graded.pairs:
            self.rows.append((before + one, *[before + two] * copies, *padding))
        labels = [PARAPHRASE_LABEL] * count if contrasted else graded.scores
        self.labels.extend(labels)

    def add_queries(
        self,
        name: str,
        queries: Sequence[Query],
        batch_size: int,
        in_epoch: int | None = None,
        *,
        epochs: int,
        seed: int,
    ) -> None:
        """Add the queries of a set, a row of each for every pass.

        Raises:
            UsageError: They do not fill a batch.
        """
        count = len(queries)
        _refuse_less_than_a_batch(f"queries of {name}", count, "batch_size", batch_size)
        start = len(self.rows)
        part = MixedSet(RETRIEVAL, start, count, batch_size, redrawn=True, in_epoch=in_epoch)
        self.parts.append(part)
        before = self.instructions.query
        for number in range(part.passes(epochs)):
            generator = np.random.default_rng((seed, number, len(self.parts)))
            for query in queries:
                positives = _drawn(query.positives, self.positives, generator)
                negatives = _drawn(query.negatives, self.negatives, generator)
                self.rows.append((before + query.text, *positives, *negatives))
                self.labels.append(RETRIEVAL_LABEL)

    def batches(self, seed: int, epoch: int) -> list[list[int]]:
        """Batches of an epoch in random order, each of rows of one set (the dynamic sampler).

        Mixed ones are as many, of the same rows, and differ in size by one row at most.
        """
        generator = np.random.default_rng((seed, epoch))
        batches = [batch for part in self.parts for batch in part.batches(seed, epoch)]
        if not self.mixed:
            return [batches[i] for i in generator.permutation(len(batches))]
        rows = generator.permutation([row for batch in batches for row in batch])
        return [part.tolist() for part in np.array_split(rows, len(batches))]

    def task_of(self, row: int) -> str:
        """Name the task of a row."""
        return next(part.task for part in reversed(self.parts) if part.start <= row)


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
