"""The contract of a task: texts in, scores out, no model and no I/O."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.method import Predictor
from bench.records.entries import Evidence
from bench.suite import Convention
from bench.tasks.probes.devices import CPU
from bench.tasks.probes.mapped import Map

Vectors = Mapping[str, NDArray[np.float32]]
# By column of ``texts()``: some of its rows (p,), and the group that each of them is in, (p,).
Together = Mapping[str, tuple[NDArray[np.intp], NDArray[np.intp]]]
Embed = Callable[[Sequence[str]], NDArray[np.float32]]
AnySpec = TypeVar("AnySpec")


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


@dataclass(frozen=True)
class Predictions:
    """What a method answered for the n scored rows of a task, in the task's own numbers.

    Attributes:
        values: Classes, int64 of shape (n,), or scores, float64.
        probabilities: Those of all K classes, float64 of shape (n, K); None where the method does
            not say, or predicts scores.
        fold: The fold that each row was held out in, (n,); None where there are no folds.
        diagnostics: What the method made of the pool, and its members of the rows, held against
            the labels: JSON values.
        trainings: What each training on the task's rows reported, in folds one after the other.
    """

    values: NDArray[Any]
    probabilities: NDArray[np.float64] | None = None
    fold: NDArray[np.intp] | None = None
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    trainings: tuple[Mapping[str, Any], ...] = ()


class BaseTask(ABC, Generic[AnySpec]):
    """A task on given rows, whatever it scores.

    Args:
        spec: Its entry in the suite.
        parts: Its rows by part: ``test``, and ``train`` and ``dev`` where the spec has them.
        convention: Whose protocol to follow.
    """

    kind: ClassVar[str]

    def __init__(
        self, spec: AnySpec, parts: Mapping[str, Sequence[Row]], convention: Convention
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

    def test_columns(self) -> Sequence[str]:
        """Columns of ``texts()`` that are scored, not trained on."""
        return list(self.texts())

    def training_columns(self) -> Sequence[str]:
        """Columns of ``texts()`` that may be learnt from, none where there is no training part."""
        return [name for name in self.texts() if name.startswith("train/")]

    def together(self) -> Together | None:
        """Groups of texts that belong together, as the two of a pair do; None if not known.

        A sample of texts that are to be strangers to each other has one of each group. A text may
        be in several groups, and one that is in none stands alone. There are none by default.
        """
        return {}

    def notes(self) -> Sequence[str]:
        """What is to be said before it is scored; nothing by default."""
        return []

    def item_rows(self) -> Sequence[Row]:
        """Rows that the items of a score belong to, in their order."""
        return self.rows


class Probing:
    """What may fit probes on vectors.

    Attributes:
        device: Torch device of the probes, one that computes in float64.
    """

    device: str = CPU

    @property
    def probe_device(self) -> str:
        """Device that its probes really compute on."""
        return self.device


class VectorTask(BaseTask[AnySpec]):
    """A task that scores vectors of its texts."""

    scored_as: ClassVar[Literal["vectors"]] = "vectors"

    @abstractmethod
    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Score vectors given under the names of ``texts()``.

        Args:
            vectors: Float32 vectors by column, each of shape (n, d).
            seed: Seed of the resampling.

        Raises:
            CellError: The vectors give no score.
        """


class PredictionTask(BaseTask[AnySpec]):
    """A task that scores what a method itself answers; there are no texts to encode."""

    scored_as: ClassVar[Literal["predictions"]] = "predictions"

    def texts(self) -> Mapping[str, Column]:
        """None: the method reads the texts as it likes."""
        return {}

    @abstractmethod
    def probe(self, embed: Embed) -> Predictor:
        """What answers for a method that has vectors only.

        Args:
            embed: Encodes m texts with the method, to float32 of shape (m, d).
        """

    @abstractmethod
    def predictions(self, predictor: Predictor, seed: int) -> Predictions:
        """Ask a method for the scored rows.

        Args:
            predictor: The method, or the probe on its vectors.
            seed: Seed of everything random in it, and of the folds.

        Raises:
            CellError: The method cannot answer, or its answer does not fit these rows.
        """

    @abstractmethod
    def score(self, predictions: Predictions, seed: int) -> TaskScore:
        """Score predictions of the rows.

        Args:
            predictions: Those of the n rows.
            seed: Seed of the resampling.

        Raises:
            CellError: The predictions give no score.
        """


Task = VectorTask[AnySpec] | PredictionTask[AnySpec]


def rows_together(tables: Iterable[tuple[Sequence[str], int]]) -> Together:
    """Groups of the texts that rows have in several columns, see ``BaseTask.together``.

    Args:
        tables: Columns that have a text of every row, and the number of rows, of each table.
    """
    together: dict[str, tuple[NDArray[np.intp], NDArray[np.intp]]] = {}
    first = 0
    for columns, n in tables:
        rows = np.arange(n)
        together |= dict.fromkeys(columns, (rows, first + rows))
        first += n
    return together


@runtime_checkable
class PairedTask(Protocol):
    """A task that knows pairs of texts that mean the same."""

    def positive_pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Where the texts of the pairs are: rows of two columns of ``texts()``, each (p,)."""


@runtime_checkable
class PairTask(Protocol):
    """A task that compares texts in pairs, and so can be scored by what reads both at once."""

    def pairs(self) -> Mapping[str, NDArray[np.intp]]:
        """Where the texts of its pairs are: rows of two columns of ``texts()``, each (p,)."""

    def score_pairs(self, similarities: NDArray[np.float64], seed: int) -> TaskScore:
        """Score similarities of the pairs.

        Args:
            similarities: Those of the p pairs, the higher the closer.
            seed: Seed of the resampling.

        Raises:
            CellError: They give no score.
        """


Find = Callable[[int], tuple[NDArray[np.int64], NDArray[np.float32]]]


@runtime_checkable
class SearchTask(Protocol):
    """A task that searches the texts of its column ``document`` for those of ``query``."""

    def score_search(self, find: Find, seed: int) -> TaskScore:
        """Score what is found.

        Args:
            find: Finds the k nearest texts of every query, see ``bench.tasks.search.nearest``.
            seed: Seed of the resampling.

        Raises:
            CellError: It gives no score.
        """


@runtime_checkable
class FoldTask(Protocol):
    """A task whose probe may be fitted in folds of the scored rows."""

    def first_fold(self) -> NDArray[np.intp] | None:
        """Rows that the first fold trains on; None where there are no folds of scored rows."""

    def score_in_folds(
        self,
        vectors: Vectors,
        seed: int,
        fit: Callable[[NDArray[Any]], Sequence[Map]],
        of_features: bool = False,
    ) -> TaskScore:
        """Score vectors that are mapped first, the maps fitted in each fold.

        Args:
            vectors: Float32 vectors by column, each of shape (n, d).
            seed: Seed of the resampling.
            fit: Fits maps on the vectors (m, d) of a fold's training rows.
            of_features: Whether the features of pairs are mapped, not their vectors.

        Raises:
            CellError: The vectors give no score, or the rows of a fold no maps.
        """


@runtime_checkable
class FeaturesTask(Protocol):
    """A task whose probe sees features of pairs, which may be mapped."""

    def features_of_pairs(self, vectors: Vectors) -> Vectors:
        """Features of the n pairs of each part, float32 (n, k); none where rows have one text."""

    def score_features(self, features: Vectors, seed: int) -> TaskScore:
        """Fit the probe on features and score its predictions.

        Args:
            features: Float32 features by part, each of shape (n, k).
            seed: Seed of the resampling.

        Raises:
            CellError: The features give no score.
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
