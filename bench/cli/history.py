"""``bench history``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bench.cli.gate import bounds_option
from bench.cli.options import Verb, methods_option, suites_option
from bench.cli.terminal import say, terminal_width

if TYPE_CHECKING:
    from bench.records.files import StoredRecord
    from bench.report.history import HistoryForm

BENCHMARK = "github-action-benchmark"


@click.command("history", cls=Verb)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@suites_option()
@methods_option("Only these: labels, specs, or names with whatever options.")
@bounds_option(
    "Tasks to show, each with the largest drop from a commit to the next, in points: "
    "avg:0.3,STS12:0.5 [avg:0]."
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown", "csv", "json", BENCHMARK]),
    default="text",
    help=f"{BENCHMARK}: the last commit, for its tool customBiggerIsBetter [text].",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="Also draw them into this file, .svg or .png (extra 'plot').",
)
def command(
    folders: tuple[Path, ...],
    suites: tuple[str, ...] | None,
    methods: tuple[str, ...] | None,
    bounds: str,
    style: str,
    plot: Path | None,
) -> None:
    """Show scores over commits, from the records below FOLDERS [results/runs]."""
    from bench.core.errors import DataError, UsageError
    from bench.report.charts.files import check_drawable
    from bench.report.history import (
        render_histories,
        to_csv,
        to_github_action_benchmark,
        to_json,
    )
    from bench.verdicts.gate import parse_bounds
    from bench.verdicts.history import histories

    stored = _asked(folders, suites, methods)
    if not stored:
        raise UsageError(
            "no record is of what --suite and --methods ask for; 'bench table' shows what there is"
        )
    known = [entry for entry in stored if entry[1].commit is not None]
    if not known:
        raise DataError(
            "no records with a commit to show; 'bench run' in a working tree of git writes them"
        )
    if left_out := len(stored) - len(known):
        say(f"bench: {left_out} records have no commit and are left out", err=True)
    shown = histories(known, parse_bounds(bounds))
    if not shown:
        raise UsageError(f"--fail-on {bounds!r} names no task of these records")
    if plot is not None:
        check_drawable(plot)
        from bench.report.charts.history import draw

        draw(shown, plot)
    programs = {"csv": to_csv, "json": to_json, BENCHMARK: to_github_action_benchmark}
    if style in programs:
        say(programs[style](shown))
        return
    width = terminal_width() if style == "text" else None
    say(render_histories(shown, style=cast("HistoryForm", style), width=width) + "\n")


def _asked(
    folders: Sequence[Path], suites: Sequence[str] | None, methods: Sequence[str] | None
) -> list[StoredRecord]:
    from bench.core.spec import is_called
    from bench.records.files import find_records, read_record

    stored = [(path, read_record(path)) for path in find_records(folders)]
    return [
        (path, record)
        for path, record in stored
        if (suites is None or record.suite in suites)
        and (
            not methods
            or any(is_called(name, record.method.spec, record.method.label) for name in methods)
        )
    ]
