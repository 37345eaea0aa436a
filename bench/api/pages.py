"""Pages for a browser, of records and the texts of their items."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from bench.core.errors import BenchError, DataError, UsageError
from bench.core.files import write_atomic
from bench.execution.settings import make_settings
from bench.report.html.items import (
    BUDGET,
    RowsByTask,
    content,
    expected_bytes,
    shown_tasks,
    usual,
)
from bench.report.html.material import Material, gather
from bench.report.html.page import Items, render_report
from bench.report.table import only_suites, read_suites
from bench.suite import load_suite
from bench.tasks.rows import task_sha256

Note: TypeAlias = Callable[[str], None]


def write_report(paths: Sequence[Path], place: Path, *, with_texts: bool) -> Path:
    """Write records as one page.

    Args:
        paths: Files of the records.
        place: File to write.
        with_texts: Whether texts are shown whose licence does not let them be passed on.

    Raises:
        UsageError: The file cannot be written.
        DataError: There are no records, or one is damaged.
    """
    notes: list[str] = []
    page = page_of(gathered(paths), with_texts=with_texts, data=None, note=notes.append)
    try:
        write_atomic(place, page.encode())
    except OSError as error:
        raise UsageError(f"{place} cannot be written: {error.strerror}") from None
    for note in notes:
        warnings.warn(note, stacklevel=3)
    return place


def gathered(
    paths: Sequence[Path], suites: Sequence[str] | None = None, note: Note = warnings.warn
) -> list[Material]:
    """Gather records by suite.

    Args:
        paths: Their files.
        suites: Only these suites.
        note: Told which of them have no records.

    Raises:
        DataError: There are none, or a record is damaged.
    """
    by_suite = read_suites(paths)
    if not by_suite:
        raise DataError("no records found to show; 'bench run' writes them")
    chosen = only_suites(by_suite, suites, note)
    if not chosen:
        asked = ", ".join(suites or ())
        raise DataError(f"no records of suite {asked}, only of {', '.join(by_suite)}")
    return [gather(name, stored) for name, stored in chosen.items()]


def page_of(
    materials: Sequence[Material], *, with_texts: bool, data: str | None, note: Note
) -> str:
    """Make the page of some suites, with their items where these fit one file.

    Args:
        materials: Records by suite.
        with_texts: Whether texts are shown whose licence does not let them be passed on.
        data: Data folder for the texts of items; ``BENCH_DATA`` by default.
        note: Told what cannot be shown.
    """
    fits = sum(map(expected_bytes, materials)) <= BUDGET
    items = {
        material.table.suite: item_content(material, with_texts=with_texts, data=data, note=note)
        if fits
        else Items(why="There are too many items for one file; 'bench view' shows them.")
        for material in materials
    }
    return render_report(materials, items)


def item_content(material: Material, *, with_texts: bool, data: str | None, note: Note) -> Items:
    """Items of a suite, with texts where these are here and may be shown, see ``page_of``."""
    if any(record.average_ci95 is None for record in material.records):
        return Items(why="mteb scored this suite itself, and gives no scores of items.")
    rows = _rows(material, data, note, with_texts=with_texts)
    return Items(content=content(material, rows, with_texts=with_texts))


def _rows(material: Material, data: str | None, note: Note, *, with_texts: bool) -> RowsByTask:
    from bench.tasks.loading import load_tasks

    name, record = material.table.suite, usual(material)
    wanted = shown_tasks(name, with_texts=with_texts)
    if not wanted:
        return {}
    suite = load_suite(name)
    chosen = [task for task in suite.tasks if task.name in wanted & record.tasks.keys()]
    access = make_settings(profile=record.profile, data=data).data
    try:
        # Rows that were changed since are not those of the items.
        same = tuple(
            task
            for task in chosen
            if task_sha256(suite, task, access) == record.tasks[task.name].data_sha256
        )
        tasks = load_tasks(suite.model_copy(update={"tasks": same}), access, record.limit)
    except BenchError as error:
        note(f"items of {name} are shown without texts: {error}")
        return {}
    return {task.spec.name: task.item_rows() for task in tasks}
