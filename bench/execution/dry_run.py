"""What a run would do, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.spec import MethodSpec
from bench.core.words import plural
from bench.data.needs import Needs
from bench.execution.cells import Cell, due, encoder_of, finished
from bench.execution.plan import Outline, check, outline, plan
from bench.execution.provision import find_needs
from bench.execution.settings import Settings
from bench.models.build import lacks_model
from bench.suite import Suite

# Nominal figures of two CPU cores: seconds of a training by profile, texts a second.
_TRAINING_SECONDS = {"smoke": 20, "local": 150, "paper": 4 * 3600}
_TEXTS_PER_SECOND = 400


def describe(
    suites: Sequence[Suite], specs: Sequence[MethodSpec], seeds: int, settings: Settings
) -> str:
    """Say what a run would download, or, where all is here, what it would do."""
    check(suites, settings)
    if needs := find_needs(suites, specs, settings):
        return _downloads(needs, outline(suites, specs, settings.profile), seeds)
    return _work(plan(suites, specs, seeds, settings), settings)


def _downloads(needs: Needs, rows: Outline, seeds: int) -> str:
    """What is missing; texts and trainings can be counted once it is here."""
    cells = [
        f"{suite.name}  {spec}  seed {seed}"
        for suite, methods in rows
        for spec, method in methods
        for seed in range(seeds if method.seeded else 1)
    ]
    lines = [*cells, *(f"to download  {label}" for label in needs.labels)]
    lines.append(f"{plural(len(cells), 'cell')} at most, {needs.size} to download first")
    return "\n".join(lines)


def _work(cells: Sequence[Cell], settings: Settings) -> str:
    """Count cells, trainings and texts, and estimate the minutes on two CPU cores.

    What several cells share counts once: a model that is trained, and the texts of a suite that
    one model encodes. A method that learns a task trains for each task of a suite.
    """
    waiting = [cell for cell in cells if due(cell, settings.rerun, finished(cell))]
    texts, supervised = {}, {}
    for name, suite in {cell.suite.name: cell.loaded for cell in waiting}.items():
        tasks = suite.tasks()
        columns = [column for task in tasks for column in task.texts().values()]
        texts[name] = len({text for column in columns for text in column.texts})
        supervised[name] = sum(task.scored_as == "predictions" for task in tasks)
    trainings, encodings = dict[tuple[str, str], int](), dict[tuple[str, str], int]()
    for cell in waiting:
        identity, trains = encoder_of(cell, settings)
        key = identity, cell.suite.name if supervised[cell.suite.name] else ""
        if trains and lacks_model(settings.cache.models / identity, settings.data) is not None:
            trainings[key] = supervised[cell.suite.name] or 1
        encodings[identity, cell.suite.name] = texts[cell.suite.name]
    trained, encoded = sum(trainings.values()), sum(encodings.values())
    seconds = trained * _TRAINING_SECONDS[settings.profile] + encoded / _TEXTS_PER_SECOND
    lines = [str(cell) for cell in waiting]
    lines.append(
        f"{len(waiting)} of {plural(len(cells), 'cell')} to run, {plural(trained, 'training')}, "
        f"{plural(encoded, 'text')} to encode, "
        f"about {plural(round(seconds / 60), 'minute')} on two CPU cores"
    )
    return "\n".join(lines)
