"""The contract of a task: texts in, scores out, no model and no I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.records.entries import Evidence
from bench.suite import Convention
from bench.tasks.probes.mapped import Map

Vectors = Mapping[str, NDArray[Any]]
Spec = TypeVar("Spec")


@dataclass(frozen=True)
class TaskScore:
    """Scores of one task.

    Attributes:
        metric: Name of the main score for captions, e.g. ``Spearman``.
        main: Main score as a fraction.
        metrics: All scores by name, as fractions.
        items: Per-item arrays of equal length, what paired statistics work on. ``value`` is in
            every kind: how well the item came out, between 0 and 1. None where the scorer tells
            nothing of its items.
        replicates: Main score of each bootstrap resample, shape (R,); the resamples depend on
            the task alone, so that replicates of two methods are paired. None where there are
            no items.
        evidence: What the main score rests on: ``votes``, the share of items that are right, whose
            values are 0 or 1; ``means``, the mean of the values; ``replicates``, neither. None
            where there are no items.
        intervals: 95% intervals of some of ``metrics``, by the same resamples.
    """

    metric: str
    main: float
    metrics: Mapping[str, float]
    items: Mapping[str, NDArray[Any]] | None
    replicates: NDArray[np.float64] | None
    evidence: Evidence | None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


class Task(ABC, Generic[Spec]):
    """A task on given rows.

    Args:
        spec: Its entry in the suite.
        parts: Its rows by part: ``test``, and ``train`` and ``dev`` where the spec has them.
        convention: Whose protocol to follow.
    """

    kind: ClassVar[str]

    def __init__(
        self, spec: Spec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        self.spec = spec
        self.parts = parts
        self.convention = convention

    @property
    def rows(self) -> Sequence[Row]:
        """Rows that are scored."""
        return self.parts["test"]

    @abstractmethod
    def texts(self) -> Mapping[str, Column]:
        """Columns of texts to encode."""

    @abstractmethod
    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score vectors given under the names of ``texts()``, each of shape (n, d).

        Args:
            vectors: Float32 vectors by column, or what a supervised task asked a method for.
            seed: Seed of the resampling.

        Raises:
            CellError: The vectors give no score.
        """

    def test_columns(self) -> Sequence[str]:
        """Columns of ``texts()`` that are scored, not trained on."""
        return list(self.texts())

    def training_columns(self) -> Sequence[str]:
        """Columns of ``texts()`` that may be learnt from, none where there is no training part."""
        return [name for name in self.texts() if name.startswith("train/")]

    def notes(self) -> Sequence[str]:
        """What is to be said before it is scored; nothing by default."""
        return []

    def item_rows(self) -> Sequence[Row]:
        """Rows that the items of a score stand for, in their order."""
        return self.rows


@runtime_checkable
class PairedTask(Protocol):
    """A task that knows pairs of texts that mean the same."""

    def positive_pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Where the texts of the pairs are: rows of two columns of ``texts()``, each (p,)."""


@runtime_checkable
class FoldTask(Protocol):
    """A task whose probe may be fitted in folds of the scored rows."""

    def first_fold(self) -> NDArray[np.intp] | None:
        """Rows that the first fold trains on; None where there are no folds of scored rows."""

    def score_in_folds(
        self, vectors: Vectors, seed: int, fit: Callable[[NDArray[Any]], Sequence[Map]]
    ) -> TaskScore:
        """Score vectors that are mapped first, the maps fitted in each fold.

        Args:
            vectors: Float32 vectors by column, each of shape (n, d).
            seed: Seed of the resampling.
            fit: Fits maps on the vectors (m, d) of a fold's training rows.

        Raises:
            CellError: The vectors give no score, or the rows of a fold no maps.
        """


@runtime_checkable
class GridTask(Protocol):
    """A task that is cheap to score many times over."""

    def main(self, vectors: Vectors) -> float:
        """Main score alone, without items and resamples.

        Args:
            vectors: Float32 vectors by column, each of shape (n, d).

        Raises:
            CellError: The vectors give no score.
        """
