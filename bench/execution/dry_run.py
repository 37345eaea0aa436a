"""What a run would do, in numbers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.spec import MethodSpec
from bench.core.words import plural
from bench.data.needs import Needs
from bench.execution.cells import Cell, due, encoder_of, finished
from bench.execution.plan import Outline, check, outline
from bench.execution.provision import find_needs
from bench.execution.settings import Settings
from bench.execution.trainings import trainings
from bench.models.build import lacks_model
from bench.suite import Suite

# Nominal figures of two CPU cores: seconds of a training by profile, texts a second.
_TRAINING_SECONDS = {"smoke": 20, "local": 150, "paper": 4 * 3600}
_TEXTS_PER_SECOND = 400


def describe_missing(
    suites: Sequence[Suite],
    specs: Sequence[MethodSpec],
    seeds: int,
    settings: Settings,
    command: str,
) -> list[str]:
    """Say what a run would download or misses; nothing where all is here.

    Args:
        suites: Suites of the run.
        specs: Its methods.
        seeds: Number of seeds of each trained method.
        settings: What its cells share.
        command: What fetches the data that it needs.

    Raises:
        UsageError: Unknown names, or bad options.
    """
    check(suites, settings)
    rows = outline(suites, specs, settings.profile)
    needs = find_needs(suites, specs, settings)
    if not needs:
        return []
    waiting = _waiting(rows, seeds)
    lines = [*waiting, *_missing(needs, settings), *_trainings(rows, settings)]
    return [*lines, *_advice(needs, settings, command, len(waiting))]


def describe_work(
    suites: Sequence[Suite],
    specs: Sequence[MethodSpec],
    cells: Sequence[Cell],
    settings: Settings,
) -> list[str]:
    """Say what a run would do, where all that it needs is here.

    Args:
        suites: Suites of the run.
        specs: Its methods.
        cells: Its cells.
        settings: What they share.
    """
    rows = outline(suites, specs, settings.profile)
    *lines, summary = _work(cells, settings)
    return [*lines, *_trainings(rows, settings), summary]


def _trainings(rows: Outline, settings: Settings) -> list[str]:
    return trainings([method for _, methods in rows for _, method in methods], settings)


def _waiting(rows: Outline, seeds: int) -> list[str]:
    """Cells of a run, of which records may be here already."""
    return [
        f"{suite.name}  {spec}  seed {seed}"
        for suite, methods in rows
        for spec, method in methods
        for seed in range(seeds if method.seeded else 1)
    ]


def _missing(needs: Needs, settings: Settings) -> list[str]:
    """A line for each that is not here."""
    kind = "to download" if settings.data.may_fetch else "missing"
    return [
        f"missing  {label}: {needs.unpublished[label]}"
        if label in needs.unpublished
        else f"{kind}  {label}"
        for label in needs.labels
    ]


def _advice(needs: Needs, settings: Settings, command: str, cells: int) -> list[str]:
    """How much is missing; texts and trainings can be counted once it is here."""
    most = f"{plural(cells, 'cell')} at most"
    if settings.data.may_fetch:
        return [f"{most}, {needs.size} to download first"]
    return [
        f"{most}; what is missing ({needs.size}) cannot be fetched offline",
        f"text: with a network, run '{command} --to FOLDER', then pass --data FOLDER; or name "
        "files of your own, such as corpus=FILE",
        *(
            [
                "models: that command puts them in the hub's cache (HF_HOME); or name a folder: "
                "base=FOLDER"
            ]
            if needs.models
            else []
        ),
    ]


def _work(cells: Sequence[Cell], settings: Settings) -> list[str]:
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
    return lines
