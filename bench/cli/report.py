"""``bench report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import Verb, only_suites, suites_option
from bench.cli.terminal import say
from bench.cli.writing import writing
from bench.core.errors import EXIT_OK, DataError, UsageError

if TYPE_CHECKING:
    from bench.report.html.items import RowsByTask
    from bench.report.html.material import Material
    from bench.report.html.page import Items

REPORT = Path("report.html")


@click.command("report", cls=Verb)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=REPORT,
    help=f"File to write [{REPORT}].",
)
@suites_option()
@click.option(
    "--diff",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="BASE NOW",
    help="Show what changed between two folders of records instead, as for a pull request.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="Also write every picture into this folder.",
)
@click.option(
    "--plot-format", type=click.Choice(["svg", "png"]), default="svg", help="Of these files [svg]."
)
@click.option(
    "--with-texts", is_flag=True, help="Show texts whose licence does not let them be passed on."
)
@click.option("--data", help="Data folder for the texts of items [$BENCH_DATA].")
def command(
    folders: tuple[Path, ...],
    output: Path,
    suites: tuple[str, ...] | None,
    diff: tuple[Path, Path] | None,
    plot: Path | None,
    plot_format: str,
    with_texts: bool,
    data: str | None,
) -> int:
    """Write the records below FOLDERS [results/runs] as one page for a browser.

    The page is a single file that loads nothing, and can be read and printed without scripts.
    """
    from bench.report.charts.files import check_libraries

    check_libraries("bench report", "report", "jinja2")
    if diff is not None and (folders or plot):
        raise UsageError("--diff names both folders itself, and draws no pictures into others")
    if diff is not None:
        text = _diff(*diff, suites)
    else:
        materials = gathered(folders, suites)
        text = _report(materials, with_texts=with_texts, data=data)
        if plot is not None:
            _plot(materials, plot, f".{plot_format}")
    _write(output, text)
    return EXIT_OK


def gathered(folders: Sequence[Path], suites: Sequence[str] | None) -> list[Material]:
    """Gather the records below some folders by suite.

    Raises:
        DataError: There are none, or a record is damaged.
    """
    from bench.records.files import find_records
    from bench.report.html.material import gather
    from bench.report.table import read_suites

    by_suite = read_suites(find_records(folders))
    chosen = only_suites(by_suite, suites)
    if not by_suite:
        raise DataError("no records found to show; 'bench run' writes them")
    if not chosen:
        asked = ", ".join(suites or ())
        raise DataError(f"no records of suite {asked}, only of {', '.join(by_suite)}")
    return [gather(name, stored) for name, stored in chosen.items()]


def _report(materials: Sequence[Material], *, with_texts: bool, data: str | None) -> str:
    from bench.report.html.items import BUDGET, expected_bytes
    from bench.report.html.page import Items, render_report

    fits = sum(map(expected_bytes, materials)) <= BUDGET
    items = {
        material.table.suite: item_content(material, with_texts=with_texts, data=data)
        if fits
        else Items(why="There are too many items for one file; 'bench view' shows them.")
        for material in materials
    }
    return render_report(materials, items)


def item_content(material: Material, *, with_texts: bool, data: str | None) -> Items:
    """Items of a suite, with texts where these are here and may be shown."""
    from bench.report.html.items import content
    from bench.report.html.page import Items

    if any(record.average_ci95 is None for record in material.records):
        return Items(why="mteb scored this suite itself, and gives no scores of items.")
    rows = _rows(material, data, with_texts=with_texts)
    return Items(content=content(material, rows, with_texts=with_texts))


def _rows(material: Material, data: str | None, *, with_texts: bool) -> RowsByTask:
    from bench.api import make_settings
    from bench.core.errors import BenchError
    from bench.report.html.items import shown_tasks, usual
    from bench.suite import load_suite
    from bench.tasks.loading import load_tasks
    from bench.tasks.rows import task_sha256

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
        say(f"bench: items of {name} are shown without texts: {error}", err=True)
        return {}
    return {task.spec.name: task.item_rows() for task in tasks}


def _diff(base: Path, now: Path, suites: Sequence[str] | None) -> str:
    from bench.records.files import find_records
    from bench.report.html.diff import render_diff
    from bench.report.table import read_suites

    before, after = (read_suites(find_records([folder])) for folder in (base, now))
    if suites is not None:
        before, after = (
            {name: part[name] for name in suites if name in part} for part in (before, after)
        )
    return render_diff(before, after, (base.as_posix(), now.as_posix()))


def _plot(materials: Sequence[Material], folder: Path, suffix: str) -> None:
    from bench.report.html.pictures import pictures

    for material in materials:
        for path in pictures(material, folder, suffix):
            say(path)


def _write(path: Path, text: str) -> None:
    from bench.core.files import write_atomic

    content = text.encode()
    with writing(path, "-o"):
        write_atomic(path, content)
    say(f"{path} ({len(content) / 1e6:.2f} MB)")
