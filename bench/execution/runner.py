"""From cells to records: build, encode, score, write; a failing cell does not stop the others."""

from __future__ import annotations

import contextlib
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.cache import Cache
from bench.core.errors import (
    EXIT_CELLS_FAILED,
    EXIT_DATA,
    EXIT_OK,
    BenchError,
    UsageError,
)
from bench.core.files import out_of_room, temporary_folder
from bench.core.progress import open_lane
from bench.encoding.encode import Encoded
from bench.execution import environment
from bench.execution.builds import Builds
from bench.execution.cells import Cell, due, encoding_model, finished, labelled
from bench.execution.fitting import fit_to_tasks
from bench.execution.leftovers import remove_leftovers
from bench.execution.recording import Scored, make_record
from bench.execution.scoring import ScoredTask, rows_seed, score_tasks
from bench.execution.settings import Settings
from bench.execution.vectors import encode_tasks, text_columns
from bench.method import Built
from bench.records.entries import GeometryEntry, GridEntry, Record, Timings
from bench.records.files import (
    Failure,
    StoredRecord,
    failed_line,
    write_failure,
    write_record,
)
from bench.tracking.tracking import Tracking

if TYPE_CHECKING:
    from bench.tasks.base import Task


@dataclass
class Outcome:
    """What a run leaves.

    Attributes:
        stored: Paths and records of the complete cells, in order.
        failures: Why the others are absent.
        failed_at: Where the records of these would be.
        fresh: Paths of the cells that were computed now.
    """

    stored: list[StoredRecord] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    failed_at: list[Path] = field(default_factory=list)
    fresh: list[Path] = field(default_factory=list)

    def add(
        self,
        cell: Cell,
        record: Record | None,
        tracking: Tracking,
        *,
        before: Record | None = None,
    ) -> None:
        """Take the record of a cell, with the label that it was asked for; None has none.

        Args:
            cell: The cell.
            record: Its record, or None where it is absent.
            tracking: Trackers that the record is reported to.
            before: The one that it had before the run.
        """
        if record is None:
            return
        self.stored.append((cell.path, labelled(cell, record)))
        tracking.take(self.stored[-1])
        if before is None or before.record_sha256 != record.record_sha256:
            self.fresh.append(cell.path)

    def fail(self, path: Path, failure: Failure) -> None:
        """Take why the cell is absent whose record would be at a path."""
        self.failures.append(failure)
        self.failed_at.append(path)

    @property
    def failed_lines(self) -> list[str]:
        """Why cells are absent, each in a line."""
        return [
            failed_line(path, failure)
            for path, failure in zip(self.failed_at, self.failures, strict=True)
        ]

    @property
    def paths(self) -> list[Path]:
        """Paths of the complete cells, in order."""
        return [path for path, _ in self.stored]

    @property
    def exit_code(self) -> int:
        """0 if every cell is complete, 4 if data alone is missing for all of them, else 3."""
        if not self.failures:
            return EXIT_OK
        only_data = all(failure.exit_code == EXIT_DATA for failure in self.failures)
        return EXIT_DATA if only_data and not self.stored else EXIT_CELLS_FAILED


def run_cells(cells: Sequence[Cell], settings: Settings) -> Outcome:
    """Run all cells that are due; a failing cell is noted and the others go on.

    Raises:
        UsageError: A suite asks for what its rows do not give.
    """
    records, waiting = begin(cells, settings)
    outcome = Outcome()
    builds = Builds(settings)
    _load(waiting)
    paths = {cell.path for cell in waiting}
    overall = open_lane(settings.progress, "cells")
    overall.start("", len(waiting))
    for cell in cells:
        record = before = records[cell.path]
        if cell.path in paths:
            record = _run_if_due(cell, builds, outcome, settings)
            paths.remove(cell.path)
            overall.advance(len(waiting) - len(paths))
        outcome.add(cell, record, settings.tracking, before=before)
    overall.end()
    return outcome


def begin(
    cells: Sequence[Cell], settings: Settings
) -> tuple[dict[Path, Record | None], list[Cell]]:
    """Remove what runs have left that were killed, and work out what is to run.

    Returns:
        The records of complete cells by path, None for the others; and the cells that are due.
    """
    remove_leftovers(settings.cache, settings.output)
    # Before anything is run, as the tree may change while it is.
    _ = settings.commit
    settings.tracking.begin()
    records = {cell.path: finished(cell) for cell in cells}
    return records, [cell for cell in cells if due(cell, settings.rerun, records[cell.path])]


def _run_if_due(cell: Cell, builds: Builds, outcome: Outcome, settings: Settings) -> Record | None:
    """Run a cell unless another run has finished it since; its record where it is complete."""
    record = finished(cell)
    if not due(cell, settings.rerun, record):
        return record
    failure = attempt(cell, builds, settings)
    if failure:
        outcome.fail(cell.path, failure)
        settings.progress.note(f"failed: {failed_line(cell.path, failure)}")
    return finished(cell)


def _load(cells: Sequence[Cell]) -> None:
    """Read the rows of the suites of some cells; what fails them is raised in their cells.

    Raises:
        UsageError: A suite asks for what its rows do not give.
    """
    for loaded in {cell.suite.name: cell.loaded for cell in cells}.values():
        try:
            loaded.tasks()
        except UsageError:
            raise
        except Exception:  # noqa: S112 - raised again in each of its cells
            continue


def attempt(cell: Cell, builds: Builds, settings: Settings) -> Failure | None:
    """Run a cell, and say why it is absent where it failed."""
    settings.progress.note(str(cell))
    try:
        # What is learnt from the rows of a task is trained while that is scored.
        with settings.tracking.trainings(f"{cell.path.parent.name}/{cell.path.stem}", {}):
            _run_cell(cell, builds, settings)
    except BenchError as error:
        return note_failure(cell, str(error), error.exit_code, None)
    except Exception as error:
        return note_failure(cell, _reason(error), EXIT_CELLS_FAILED, traceback.format_exc())
    return None


def _reason(error: Exception) -> str:
    return out_of_room(error) or f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def note_failure(cell: Cell, message: str, exit_code: int, trace: str | None = None) -> Failure:
    """Keep beside the records why a cell is absent."""
    failure = failure_of(cell, message, exit_code, trace)
    keep_failure(cell.path, failure)
    return failure


def keep_failure(path: Path, failure: Failure) -> None:
    """Write beside the place of a record why it is absent."""
    # A full disk may be the very failure; it is reported on stderr all the same.
    with contextlib.suppress(OSError):
        write_failure(path, failure)


def failure_of(cell: Cell, message: str, exit_code: int, trace: str | None = None) -> Failure:
    """Why a cell is absent."""
    return Failure(
        suite=cell.suite.name,
        spec=str(cell.spec),
        seed=cell.seed,
        message=f"{cell.spec} (seed {cell.seed}) on {cell.suite.name}: {message}",
        exit_code=exit_code,
        traceback=trace,
    )


def _run_cell(cell: Cell, builds: Builds, settings: Settings) -> None:
    with _store_of(cell, settings) as of_cell:
        _measure_cell(cell, builds, of_cell)


@contextlib.contextmanager
def _store_of(cell: Cell, settings: Settings) -> Iterator[Settings]:
    """Settings with a vector store of the cell alone where no later run may use its vectors."""
    _, method = encoding_model(cell)
    if method is None or method.cached:
        yield settings
        return
    settings.cache.work.mkdir(parents=True, exist_ok=True)
    with temporary_folder(settings.cache.work) as scratch:
        yield replace(settings, cache=Cache(scratch))


def _measure_cell(cell: Cell, builds: Builds, settings: Settings) -> None:
    tasks = cell.loaded.tasks()
    memory = environment.PhaseMemory()
    built, learnt = builds.get(cell)
    memory.end("build")
    started = time.perf_counter()
    encoded = encode_tasks(built, tasks, settings, cell.column)
    encoded_at = time.perf_counter()
    memory.end("encode")
    what, done = _counted(cell)
    settings.progress.note(
        f"  {encoded.texts:,} {what}, {encoded.distinct:,} distinct, {encoded.encoded:,} {done} now"
    )
    encoded, fittings = fit_to_tasks(built, tasks, encoded, settings.progress)
    scores = score_tasks(cell, tasks, built, encoded, fittings, learnt.texts, settings)
    timings = Timings(
        build=built.seconds,
        encode=encoded_at - started,
        score=time.perf_counter() - encoded_at,
    )
    grid = _grid(cell, built, tasks, settings)
    geometry = _geometry(cell, built, tasks, encoded, scores, settings)
    memory.end("score")
    scored = Scored(encoded, scores, timings, memory, grid, geometry)
    record, packed_items = make_record(cell, built, learnt, scored, settings)
    write_record(cell.path, record, packed_items)


def _counted(cell: Cell) -> tuple[str, str]:
    """What is counted of an encoding, and what was done with it."""
    return ("pairs", "scored") if cell.method.info.output == "pairs" else ("texts", "encoded")


def _geometry(
    cell: Cell,
    built: Built,
    tasks: Sequence[Task[Any]],
    encoded: Encoded,
    scores: Mapping[str, ScoredTask],
    settings: Settings,
) -> dict[str, GeometryEntry]:
    if cell.method.info.output != "vectors":
        return {}
    # Imported late, as it brings SciPy, which a run of complete cells never needs.
    from bench.execution.geometry import measure

    measured = {}
    # The states are those of a model whose vectors are mapped afterwards.
    encoder = built.encoder if built.mapped is None else None
    for task in tasks:
        name = task.spec.name
        vectors = {column: encoded.vectors[name, column] for column in task.texts()}
        seed = rows_seed(scores[name].data_sha256, settings.limit)
        entry = measure(task, vectors, seed, encoder)
        if entry is not None:
            measured[name] = entry
    return measured


def _grid(
    cell: Cell, built: Built, tasks: Sequence[Task[Any]], settings: Settings
) -> tuple[GridEntry, ...]:
    if not cell.method.grid:
        return ()
    from bench.execution.grid import score_grid

    columns = text_columns(tasks)
    return score_grid(cell, built, tasks, columns, settings)
