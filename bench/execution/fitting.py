"""Maps that are fitted to each task of a suite: on which rows, and what comes out.

A map with ``fit=train`` never sees a text that is scored. It is fitted on the training columns of
a task; in nested folds on the training rows of each fold alone, inside the probe; and where a
task has nothing to train on, on a corpus. With ``fit=test`` it is fitted on all texts of the task,
the scored ones among them. A map of the features of pairs is fitted on those of the same rows, and
leaves the vectors as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.core.progress import Progress
from bench.encoding.maps import Link, Mapped, VectorMap, apply_all, fit_all, fit_entries
from bench.records.entries import FitEntry

if TYPE_CHECKING:
    from bench.encoding.encode import Encoded
    from bench.method import Built
    from bench.tasks.base import FeaturesTask, FoldTask, Task, TaskScore, Vectors


@dataclass(frozen=True)
class FitInFolds:
    """Fits maps on the rows that it is called with.

    Attributes:
        links: The maps.
    """

    links: tuple[Link, ...]

    def __call__(self, rows: NDArray[Any]) -> Sequence[VectorMap]:
        """Fit on rows (n, d).

        Raises:
            CellError: They are too few.
        """
        return [fitted.map for fitted in fit_all(self.links, rows)]


@dataclass(frozen=True)
class InFolds:
    """A task whose maps are fitted in each of its folds.

    Attributes:
        task: The task.
        vectors: Its vectors before these maps, by column.
        fit: Fits the maps.
        of_features: Whether they map the features of pairs.
    """

    task: FoldTask
    vectors: Vectors
    fit: FitInFolds
    of_features: bool = False

    def score(self, seed: int) -> TaskScore:
        """Score the task.

        Args:
            seed: Seed of the resampling.

        Raises:
            CellError: The vectors give no score, or the rows of a fold no maps.
        """
        return self.task.score_in_folds(self.vectors, seed, self.fit, self.of_features)


@dataclass(frozen=True)
class OnFeatures:
    """A task whose features of pairs are mapped.

    Attributes:
        task: The task.
        vectors: Its vectors, by column.
        maps: The maps.
    """

    task: FeaturesTask
    vectors: Vectors
    maps: Sequence[VectorMap]

    def score(self, seed: int) -> TaskScore:
        """Score the task.

        Args:
            seed: Seed of the resampling.

        Raises:
            CellError: The features give no score.
        """
        features = self.task.features_of_pairs(self.vectors)
        return self.task.score_features(_apply(self.maps, features), seed)


@dataclass(frozen=True)
class Fitting:
    """How the maps of one task were fitted.

    Attributes:
        fits: What on; of nested folds those of the first fold.
        scorer: What scores the task, where its vectors are not all that it takes.
        of_features: Whether the features of pairs are mapped.
    """

    fits: tuple[FitEntry, ...]
    scorer: InFolds | OnFeatures | None = None
    of_features: bool = False


def fit_to_tasks(
    built: Built, tasks: Iterable[Task[Any]], encoded: Encoded, progress: Progress
) -> tuple[Encoded, dict[str, Fitting]]:
    """Fit the maps that a method has for each task, and map its vectors.

    Args:
        built: The method.
        tasks: Tasks of the suite.
        encoded: Vectors of their texts, mapped as far as that is the same for all tasks.
        progress: Shows what maps were fitted on.

    Returns:
        The vectors that are scored, in nested folds as the first fold maps them, and by task how
        they came about; nothing for a method without maps.

    Raises:
        UsageError: A map does not fit vectors of this size.
        CellError: A map cannot be fitted on the vectors of a task.
    """
    mapped = built.mapped
    if mapped is None:
        return encoded, {}
    for entry in mapped.fits:
        progress.note(f"  {describe(entry)}")
    vectors = dict(encoded.vectors)
    fittings = {}
    for task in tasks:
        name = task.spec.name
        own = {column: encoded.vectors[name, column] for column in task.texts()}
        try:
            fitted, fitting = _fit_one(mapped, task, own) if mapped.rest else (own, Fitting(()))
        except CellError as error:
            raise CellError(f"task {name}: {error}") from None
        for entry in fitting.fits:
            progress.note(f"  {name}: {describe(entry, fitting.of_features)}")
        vectors |= {(name, column): array for column, array in fitted.items()}
        fittings[name] = replace(fitting, fits=(*mapped.fits, *fitting.fits))
    return replace(encoded, vectors=vectors), fittings


def describe(entry: FitEntry, of_features: bool = False) -> str:
    """What a map was fitted on, in a line."""
    where = {
        "corpus": "text of the corpus",
        "train": "training texts of the task",
        "folds": "training texts of each fold, here the first",
        "test": "all texts of the task, the scored ones too",
    }[entry.source]
    what = "feature vectors of pairs" if of_features else "vectors"
    rank = "" if entry.rank is None else f"; rank {entry.rank} of {entry.dimension}"
    return f"{entry.method} fitted on {entry.vectors:,} {what}, {where}{rank}"


def _fit_one(mapped: Mapped, task: Task[Any], vectors: Vectors) -> tuple[Vectors, Fitting]:
    from bench.tasks.base import FeaturesTask, FoldTask

    if not vectors:
        return vectors, Fitting(())
    # It is then the only map that is fitted to tasks.
    if mapped.rest[-1].features and isinstance(task, FeaturesTask):
        features = task.features_of_pairs(vectors)
        if features:
            return vectors, _fit_features(mapped.rest, task, vectors, features)
    if mapped.fitted_on == "test":
        return _fit_on(mapped.rest, vectors, list(vectors.values()), "test")
    columns = task.training_columns()
    if columns:
        return _fit_on(mapped.rest, vectors, [vectors[name] for name in columns], "train")
    if isinstance(task, FoldTask) and (rows := task.first_fold()) is not None:
        own = [vectors[name][rows] for name in task.test_columns()]
        mapped_vectors, fitting = _fit_on(mapped.rest, vectors, own, "folds")
        folds = InFolds(task, vectors, _in_folds(mapped.rest))
        return mapped_vectors, replace(fitting, scorer=folds)
    maps, entries = mapped.on_corpus
    return _apply(maps, vectors), Fitting(entries)


def _fit_features(
    links: Sequence[Link], task: FeaturesTask, vectors: Vectors, features: Vectors
) -> Fitting:
    """Fit maps on features of pairs, by part, as they are fitted on vectors."""
    from bench.tasks.base import FoldTask

    rows = None
    if links[-1].source == "test":
        source, chosen = "test", np.concatenate(list(features.values()))
    elif "train" in features:
        source, chosen = "train", features["train"]
    elif isinstance(task, FoldTask) and (rows := task.first_fold()) is not None:
        source, chosen = "folds", features["test"][rows]
    else:
        raise TypeError(f"{type(task).__name__} has features of pairs and no rows to fit maps on")
    fitted = fit_all(links, chosen)
    entries = fit_entries(links, fitted, source, len(chosen))
    if isinstance(task, FoldTask) and rows is not None:
        folds = InFolds(task, vectors, _in_folds(links), of_features=True)
        return Fitting(entries, folds, of_features=True)
    maps = [one.map for one in fitted]
    return Fitting(entries, OnFeatures(task, vectors, maps), of_features=True)


def _in_folds(links: Sequence[Link]) -> FitInFolds:
    return FitInFolds(tuple(replace(link, texts=None) for link in links))


def _fit_on(
    links: Sequence[Link], vectors: Vectors, rows: Sequence[NDArray[Any]], source: str
) -> tuple[Vectors, Fitting]:
    chosen = np.concatenate(rows)
    fitted = fit_all(links, chosen)
    entries = fit_entries(links, fitted, source, len(chosen))
    return _apply([one.map for one in fitted], vectors), Fitting(entries)


def _apply(maps: Sequence[VectorMap], vectors: Vectors) -> Mapping[str, NDArray[np.float32]]:
    return {name: apply_all(maps, array).astype(np.float32) for name, array in vectors.items()}
