"""Models of a run: each is built once, and what it has learnt from is read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.data.contamination import TrainingText
from bench.execution.cells import Cell
from bench.execution.settings import Settings
from bench.method import Built, lineage


@dataclass(frozen=True)
class Learnt:
    """What a model has learnt from: its own build, and those of the models that it learns from.

    Attributes:
        texts: The texts.
        datasets: Data sets of the catalog, ``family/set``.
        revisions: Commit of each data set on the hub, by its id.
    """

    texts: TrainingText
    datasets: frozenset[str]
    revisions: Mapping[str, str]


class Builds:
    """Builds each model once, and holds only the last.

    Args:
        settings: Settings of the run.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last: tuple[str, Built, Learnt] | None = None

    def get(self, cell: Cell) -> tuple[Built, Learnt]:
        """Build the model of a cell, and say what it has learnt from.

        Raises:
            BenchError: The build fails for a reason that the user can fix.
        """
        if self._last is None or self._last[0] != cell.model_fingerprint:
            self._last = None
            built = self._settings.models.build(cell.method, seed=cell.seed)
            self._last = (cell.model_fingerprint, built, self._learnt(cell))
        return self._last[1:]

    def _learnt(self, cell: Cell) -> Learnt:
        learners, data = lineage(cell.method), self._settings.data
        return Learnt(
            TrainingText(text for one in learners for text in one.training_texts(data)),
            frozenset(name for one in learners for name in one.training_datasets()),
            {
                name: commit
                for one in learners
                for name, commit in one.training_revisions(data).items()
            },
        )
