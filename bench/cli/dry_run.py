"""What a run would do, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.plan import Cell, Settings, due, encoder_of
from bench.tasks import SupervisedTask
from bench.tasks.loading import load_tasks

# Nominal figures of two CPU cores: seconds of a training by profile, texts a second.
_TRAINING_SECONDS = {"smoke": 20, "local": 150, "paper": 4 * 3600}
_TEXTS_PER_SECOND = 400


def describe(cells: Sequence[Cell], settings: Settings) -> str:
    """Count cells, trainings and texts, and estimate the minutes on two CPU cores.

    What several cells share counts once: a model that is trained, and the texts of a suite that
    one model encodes. A method that learns a task trains for each task of a suite.
    """
    waiting = [cell for cell in cells if due(cell, settings.rerun)]
    texts, supervised = {}, {}
    for name, suite in {cell.suite.name: cell.suite for cell in waiting}.items():
        tasks = load_tasks(suite, settings.data, settings.limit)
        columns = [column for task in tasks for column in task.texts().values()]
        texts[name] = len({text for column in columns for text in column.texts})
        supervised[name] = sum(isinstance(task, SupervisedTask) for task in tasks)
    trainings, encodings = dict[tuple[str, str], int](), dict[tuple[str, str], int]()
    for cell in waiting:
        identity, trains = encoder_of(cell, settings)
        key = identity, cell.suite.name if supervised[cell.suite.name] else ""
        if trains and not (settings.cache.models / identity).exists():
            trainings[key] = supervised[cell.suite.name] or 1
        encodings[identity, cell.suite.name] = texts[cell.suite.name]
    trained, encoded = sum(trainings.values()), sum(encodings.values())
    seconds = trained * _TRAINING_SECONDS[settings.profile] + encoded / _TEXTS_PER_SECOND
    lines = [f"{cell.suite.name}  {cell.spec}  seed {cell.seed}" for cell in waiting]
    lines.append(
        f"{len(waiting)} of {len(cells)} cells to run, {trained} trainings, "
        f"{encoded} texts to encode, about {seconds / 60:.0f} minutes on two CPU cores"
    )
    return "\n".join(lines)
