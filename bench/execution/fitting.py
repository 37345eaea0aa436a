"""Maps that are fitted to each task of a suite: on which rows, and what comes out.

A map with ``fit=train`` never sees a text that is scored. It is fitted on the training columns of
a task; in nested folds on the training rows of each fold alone, inside the probe; and where a
task has nothing to train on, on a corpus. With ``fit=test`` it is fitted on all texts of the task,
the scored ones among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.core.progress import Progress
from bench.encoding.maps import Affine, Link, Mapped, apply_all, fit_all, fit_entries
from bench.records.entries import FitEntry

if TYPE_CHECKING:
    from bench.encoding.encode import Encoded
    from bench.method import Built
    from bench.tasks.base import FoldTask, Task, TaskScore, Vectors


@dataclass(frozen=True)
class FitInFolds:
    """Fits maps on the rows that it is called with.

    Attributes:
        links: The maps.
    """

    links: tuple[Link, ...]

    def __call__(self, rows: NDArray[Any]) -> Sequence[Affine]:
        """Fit on rows (n, d).

        Raises:
            CellError: They are too few.
        """
        return [fitted.affine for fitted in fit_all(self.links, rows)]


@dataclass(frozen=True)
class InFolds:
    """A task whose maps are fitted in each of its folds.

    Attributes:
        task: The task.
        vectors: Its vectors before these maps, by column.
        fit: Fits the maps.
    """

    task: FoldTask
    vectors: Vectors
    fit: FitInFolds

    def score(self, seed: int) -> TaskScore:
        """Score the task.

        Args:
            seed: Seed of the resampling.

        Raises:
            CellError: The vectors give no score, or the rows of a fold no maps.
        """
        return self.task.score_in_folds(self.vectors, seed, self.fit)


@dataclass(frozen=True)
class Fitting:
    """How the maps of one task were fitted.

    Attributes:
        fits: What on; of nested folds those of the first fold.
        in_folds: The task, where its maps are fitted in each fold.
    """

    fits: tuple[FitEntry, ...]
    in_folds: InFolds | None = None


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
            progress.note(f"  {name}: {describe(entry)}")
        vectors |= {(name, column): array for column, array in fitted.items()}
        fittings[name] = replace(fitting, fits=(*mapped.fits, *fitting.fits))
    return replace(encoded, vectors=vectors), fittings


def describe(entry: FitEntry) -> str:
    """What a map was fitted on, in a line."""
    where = {
        "corpus": "text of the corpus",
        "train": "training texts of the task",
        "folds": "training texts of each fold, here the first",
        "test": "all texts of the task, the scored ones too",
    }[entry.source]
    return (
        f"{entry.method} fitted on {entry.vectors:,} vectors, {where}; "
        f"rank {entry.rank} of {entry.dimension}"
    )


def _fit_one(mapped: Mapped, task: Task[Any], vectors: Vectors) -> tuple[Vectors, Fitting]:
    from bench.tasks.base import FoldTask

    if not vectors:
        return vectors, Fitting(())
    if mapped.fitted_on == "test":
        return _fit_on(mapped.rest, vectors, list(vectors.values()), "test")
    columns = task.training_columns()
    if columns:
        return _fit_on(mapped.rest, vectors, [vectors[name] for name in columns], "train")
    if isinstance(task, FoldTask) and (rows := task.first_fold()) is not None:
        own = [vectors[name][rows] for name in task.test_columns()]
        mapped_vectors, fitting = _fit_on(mapped.rest, vectors, own, "folds")
        links = tuple(replace(link, texts=None) for link in mapped.rest)
        return mapped_vectors, replace(fitting, in_folds=InFolds(task, vectors, FitInFolds(links)))
    affines, entries = mapped.on_corpus
    return _apply(affines, vectors), Fitting(entries)


def _fit_on(
    links: Sequence[Link], vectors: Vectors, rows: Sequence[NDArray[Any]], source: str
) -> tuple[Vectors, Fitting]:
    chosen = np.concatenate(rows)
    fitted = fit_all(links, chosen)
    entries = fit_entries(links, fitted, source, len(chosen))
    return _apply([one.affine for one in fitted], vectors), Fitting(entries)


def _apply(affines: Sequence[Affine], vectors: Vectors) -> Mapping[str, NDArray[np.float32]]:
    return {name: apply_all(affines, array).astype(np.float32) for name, array in vectors.items()}
