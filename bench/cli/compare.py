"""``bench compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bench.cli import completers
from bench.cli.options import Verb, list_option, recorded_names
from bench.cli.terminal import say
from bench.core.errors import UsageError

if TYPE_CHECKING:
    from bench.report.changes import ItemRows
    from bench.report.comparison import Form
    from bench.suite import Suite
    from bench.verdicts.side import Side


@click.command("compare", cls=Verb)
@click.argument("methods", nargs=-1, required=True, shell_complete=completers.methods)
@click.option(
    "--runs",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folders of records [results/runs].",
)
@list_option(
    "--suite",
    "-s",
    "suites",
    text="Only these suites: names or TOML files.",
    shell_complete=completers.suites,
)
@click.option("--profile", help="Only records of this profile.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown", "csv", "json"]),
    default="text",
    help="csv and json have a line of each task, with unrounded fractions.",
)
@click.option(
    "--items",
    type=click.IntRange(min=1),
    help="Also show the items that differ most, and what both answered.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="Also draw the differences into this file, .svg or .png (extra 'plot').",
)
@click.option("--data", help="Data folder for the texts of --items [$BENCH_DATA].")
def command(
    methods: tuple[str, ...],
    folders: tuple[Path, ...],
    suites: tuple[str, ...] | None,
    profile: str | None,
    style: str,
    items: int | None,
    plot: Path | None,
    data: str | None,
) -> None:
    """Compare METHODS, all with the last of them.

    Each is a method spec, a label, a record (.json), or a folder that holds one method.
    """
    from bench.report.charts.files import check_drawable
    from bench.report.comparison import render, to_csv, to_json
    from bench.suite import load_suite
    from bench.verdicts.matching import compare_pairs, pairs_of, sides_of

    if len(methods) < 2:
        raise UsageError("name two methods or more: bench compare METHOD… AGAINST")
    if items and style in {"csv", "json"}:
        raise UsageError(f"--items comes as text or markdown, not as {style}")
    files = [load_suite(name) for name in suites or () if name.endswith(".toml")]
    own = {suite.name: suite for suite in files}
    names = None if suites is None else recorded_names(suites)
    pairs = pairs_of([sides_of(wanted, folders, names, profile) for wanted in methods], methods)
    compared = compare_pairs(pairs)
    if plot is not None:
        check_drawable(plot)
        from bench.report.charts.scores import draw_comparisons

        draw_comparisons(compared, plot)
    if style in {"csv", "json"}:
        lines = [comparison for of_suite in compared.values() for comparison in of_suite]
        say(to_csv(lines) if style == "csv" else to_json(lines))
        return
    form = cast("Form", style)
    for name, comparisons in compared.items():
        say(render(comparisons, style=form) + "\n")
        if items:
            scored = _rows(own.get(name) or _registered(name), pairs[name][0][0], data)
            for text in _changes(pairs[name], scored, items, form):
                say(text + "\n")


def _registered(name: str) -> Suite:
    from bench.suite import load_suite

    try:
        return load_suite(name)
    except UsageError:
        raise UsageError(
            f"--items needs the rows of {name}, which is not registered; name its file with --suite"
        ) from None


def _rows(suite: Suite, side: Side, data: str | None) -> dict[str, ItemRows]:
    """The rows of a suite that a method was scored on, by task."""
    from bench.api import make_settings
    from bench.report.changes import ItemRows
    from bench.tasks.loading import load_tasks

    settings = make_settings(profile=side.first.profile, data=data)
    return {
        task.spec.name: ItemRows(task.item_rows(), getattr(task, "classes", ()))
        for task in load_tasks(suite, settings.data, side.first.limit)
    }


def _changes(
    pairs: Sequence[tuple[Side, Side]], tasks: Mapping[str, ItemRows], count: int, form: Form
) -> list[str]:
    from bench.report.changes import render_changes
    from bench.report.comparison import letters_of

    *letters, last = letters_of(len(pairs) + 1)
    return [
        render_changes(a, b, tasks, count, letters=(letter, last), style=form)
        for letter, (a, b) in zip(letters, pairs, strict=True)
    ]
