"""From vectors or predictions to scores, and what is known of the items behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.fingerprint import fingerprint
from bench.data.contamination import TrainingText
from bench.encoding.encode import Encoded
from bench.encoding.encoder import Column
from bench.execution.cells import Cell
from bench.execution.fitting import Fitting
from bench.execution.scorers import scorer_of
from bench.execution.settings import Settings
from bench.execution.vectors import encode
from bench.method import Built, PairScorer, Predictor, SparseScorer
from bench.records.entries import ContaminationEntry, FitEntry, GroupEntry
from bench.tasks.rows import subsets_sha256

if TYPE_CHECKING:
    from bench.tasks.base import Predictions, Task, TaskScore


PHENOMENON = "phenomenon"


@dataclass(frozen=True)
class ScoredTask:
    """A task's score, the checksum of its rows, and what is known of items, vectors and method."""

    score: TaskScore
    data_sha256: str
    phenomena: Mapping[str, GroupEntry]
    contamination: ContaminationEntry | None
    subsets: str | None = None
    fits: tuple[FitEntry, ...] = ()
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    trainings: tuple[Mapping[str, Any], ...] = ()
    probe_device: str = "cpu"


def score_tasks(
    cell: Cell,
    tasks: Sequence[Task[Any]],
    built: Built,
    encoded: Encoded,
    fittings: Mapping[str, Fitting],
    seen: TrainingText,
    settings: Settings,
) -> dict[str, ScoredTask]:
    """Score all tasks of a suite; the same resamples for every method.

    Args:
        cell: Method, seed and suite.
        tasks: The suite's tasks.
        built: The method, asked for predictions by supervised tasks; through a probe on its
            vectors where it has none of its own.
        encoded: Vectors of their texts.
        fittings: By task, how the maps of its vectors were fitted.
        seen: What the method trained on.
        settings: Settings of the run.

    Raises:
        CellError: The vectors give no score.
    """
    scores = {}
    for task in tasks:
        data = cell.loaded.sha256[task.spec.name]
        scorer, predictions = _scorer(task, built, encoded, cell, settings)
        seed = rows_seed(data, settings.limit)
        settings.progress.start(f"score {task.spec.name}", 1)
        fitting = fittings.get(task.spec.name)
        if fitting is None or fitting.scorer is None:
            score = scorer(seed)
        else:
            score = fitting.scorer.score(seed)
        settings.progress.advance(1)
        scores[task.spec.name] = ScoredTask(
            score,
            data,
            _phenomena(task, score),
            _contamination(task, seen),
            subsets_sha256(task.spec, task.rows) if task.spec.over_subsets else None,
            () if fitting is None else fitting.fits,
            {} if predictions is None else predictions.diagnostics,
            () if predictions is None else predictions.trainings,
            _probe_device(task, built),
        )
    return scores


def _probe_device(task: Task[Any], built: Built) -> str:
    from bench.tasks.base import Probing

    by_itself = task.scored_as == "predictions" and isinstance(built.encoder, Predictor)
    # Sparse vectors are searched on the CPU.
    by_itself |= isinstance(built.encoder, SparseScorer)
    return task.probe_device if isinstance(task, Probing) and not by_itself else "cpu"


def rows_seed(data_sha256: str, limit: int | None) -> int:
    """Seed that follows from the rows of a task alone: all methods are resampled alike, in pairs.

    Args:
        data_sha256: Checksum of the rows.
        limit: Rows of each task that are read, or None for all.
    """
    return int(fingerprint([data_sha256, limit])[:8], 16)


def _scorer(
    task: Task[Any], built: Built, encoded: Encoded, cell: Cell, settings: Settings
) -> tuple[Callable[[int], TaskScore], Predictions | None]:
    """What scores the task by a seed of its resamples, and what the method predicted, if any."""
    for note in task.notes():
        settings.progress.note(f"  {note}")
    name = task.spec.name
    if isinstance(built.encoder, PairScorer | SparseScorer):
        return scorer_of(task, built.encoder, encoded), None
    if task.scored_as == "vectors":
        vectors = {column: encoded.vectors[name, column] for column in task.texts()}
        return partial(task.score, vectors), None

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        column = cell.column(task.spec, Column(texts))
        return encode(built, {(name, "text"): column}, settings).vectors[name, "text"]

    own = built.encoder if isinstance(built.encoder, Predictor) else task.probe(embed)
    predictions = task.predictions(own, cell.seed)
    return partial(task.score, predictions), predictions


def _contamination(task: Task[Any], seen: TrainingText) -> ContaminationEntry | None:
    if not seen:
        return None
    columns = task.texts()
    texts = [text for name in task.test_columns() for text in columns[name].texts]
    return ContaminationEntry(**asdict(seen.overlap(texts))) if texts else None


def _phenomena(task: Task[Any], score: TaskScore) -> dict[str, GroupEntry]:
    if score.items is None:
        return {}
    values = score.items["value"]
    names = np.array([str(row.get(PHENOMENON, "")) for row in task.item_rows()])
    return {
        name: GroupEntry(
            value=float(values[names == name].mean()), items=int(np.count_nonzero(names == name))
        )
        for name in sorted(set(names.tolist()) - {""})
    }
