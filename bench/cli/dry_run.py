"""What a run would do, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.plan import Cell, Settings, due
from bench.tasks.loading import load_tasks

# Nominal figures of two CPU cores: seconds of a training by profile, texts a second.
_TRAINING_SECONDS = {"smoke": 20, "local": 150, "paper": 4 * 3600}
_TEXTS_PER_SECOND = 400


def describe(cells: Sequence[Cell], settings: Settings) -> str:
    """Count cells, trainings and texts, and estimate the minutes on two CPU cores."""
    waiting = [cell for cell in cells if due(cell, settings.rerun)]
    suites = {cell.suite.name: cell.suite for cell in waiting}
    distinct = {}
    for name, suite in suites.items():
        tasks = load_tasks(suite, settings.data, settings.limit)
        distinct[name] = len({text for t in tasks for c in t.texts().values() for text in c.texts})
    trained = {
        cell.model_fingerprint
        for cell in waiting
        if cell.method.trains and not (settings.cache.models / cell.model_fingerprint).exists()
    }
    texts = sum(distinct[cell.suite.name] for cell in waiting)
    seconds = len(trained) * _TRAINING_SECONDS[settings.profile] + texts / _TEXTS_PER_SECOND
    lines = [f"{cell.suite.name}  {cell.spec}  seed {cell.seed}" for cell in waiting]
    lines.append(
        f"{len(waiting)} of {len(cells)} cells to run, {len(trained)} trainings, "
        f"{texts} texts to encode, about {seconds / 60:.0f} minutes on two CPU cores"
    )
    return "\n".join(lines)
