"""``bench table``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bench.cli.terminal import say, terminal_width
from bench.cli.writing import writing
from bench.core.errors import EXIT_OK, EXIT_STALE

if TYPE_CHECKING:
    from bench.records.entries import Group, Record
    from bench.report.table import Table
    from bench.report.text import Style

BASELINES = Path("results/baselines")
LEADERBOARDS = Path("results/leaderboards")
# What a view shows, and what makes records of it.
_MAKES = {
    "phenomena": ("items that say what they probe", "--suite mini"),
    "grid": ("scores of cut models", "--suite sts7 --methods matryoshka-2d"),
    "geometry": ("measures of its vectors", "--suite mini --rerun all"),
    "curve": ("vectors cut to smaller sizes", "--suite redundancy --methods minilm"),
    "diagnostics": (
        "what was learned from a pool",
        "--suite pseudo-label --methods hierarchical-ensemble",
    ),
}


@click.command("table")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown", "latex", "csv", "json"]),
    default="text",
)
@click.option("--suite", help="Only this suite.")
@click.option(
    "--view",
    type=click.Choice(["scores", "phenomena", "grid", "geometry", "curve", "diagnostics"]),
    default="scores",
    help="Scores of tasks, of the phenomena that their items probe, of each layer and dimension, "
    "or of vectors cut to smaller sizes (curve); how the vectors lie; or what ensembles are made "
    "of (diagnostics) [scores].",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="Also draw the view curve into this file, .svg or .png (extra 'plot').",
)
@click.option(
    "--mteb",
    "results",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of result files of mteb, whose models join the tables of MTEB's convention.",
)
@click.option(
    "--write", "action", flag_value="write", help=f"Write {LEADERBOARDS}/SUITE.md instead."
)
@click.option(
    "--check", "action", flag_value="check", help="Fail where those files are not up to date."
)
@click.option(
    "--leaderboards",
    type=click.Path(path_type=Path),
    default=LEADERBOARDS,
    help=f"Folder to write or to check [{LEADERBOARDS}].",
)
def command(
    folders: tuple[Path, ...],
    style: str,
    suite: str | None,
    view: str,
    plot: Path | None,
    results: tuple[Path, ...],
    action: str | None,
    leaderboards: Path,
) -> int:
    """Print the tables of the records below FOLDERS [results/runs].

    With --write or --check, the records are those of [results/baselines].
    """
    from bench.core.errors import DataError, UsageError
    from bench.records.files import find_records

    if action and (style != "text" or view != "scores" or results or suite):
        raise UsageError("--write and --check make whole leaderboards; drop the other options")
    if plot is not None and view != "curve":
        raise UsageError("--plot draws the curves of --view curve")
    paths = find_records(folders or ((BASELINES,) if action else ()))
    if action and paths:
        return _leaderboards(paths, action, leaderboards)
    if view == "scores":
        texts = _scores(paths, suite, results, style)
    else:
        texts = _view(view, paths, suite, results, style, plot)
    if not texts:
        raise DataError(_nothing(paths, suite, view))
    for text in texts:
        say(text if style in {"csv", "json"} else text + "\n")
    return EXIT_OK


def _nothing(paths: Sequence[Path], suite: str | None, view: str) -> str:
    """Say what there is not, and the command that makes it."""
    from bench.records.files import read_record

    suites = dict.fromkeys(read_record(path).suite for path in paths)
    if not suites:
        return "no records found to show; 'bench run' writes them"
    if suite is not None and suite not in suites:
        return f"no records of suite {suite} found to show, only of {', '.join(suites)}"
    what, command = _MAKES[view]
    return f"no record has {what} to show; run e.g. 'bench run {command}'"


def _leaderboards(paths: Sequence[Path], action: str, folder: Path) -> int:
    from bench.report import leaderboard

    texts = leaderboard.leaderboards(paths)
    if action == "write":
        with writing(folder, "--leaderboards"):
            written = leaderboard.write(texts, folder)
        for path in written:
            say(path)
        return EXIT_OK
    found = leaderboard.stale(texts, folder)
    for path in found:
        say(f"bench: {path} is stale; run '{leaderboard.COMMAND}'", err=True)
    return EXIT_STALE if found else EXIT_OK


def _scores(
    paths: Sequence[Path], suite: str | None, results: Sequence[Path], style: str
) -> list[str]:
    from bench.report.export import to_csv, to_json
    from bench.report.text import render

    tables = _tables(paths, suite, results)
    if style == "csv":
        return [to_csv(tables)] * bool(tables)
    if style == "json":
        return [to_json(tables)] * bool(tables)
    width = terminal_width() if style == "text" else None
    return [render(table, style=cast("Style", style), width=width) for table in tables]


def _tables(paths: Sequence[Path], suite: str | None, results: Sequence[Path]) -> list[Table]:
    from bench.core.errors import UsageError
    from bench.report.imported import read_models, with_models
    from bench.report.table import load_tables

    tables = [table for table in load_tables(paths) if suite in (None, table.suite)]
    models, notes = read_models(results)
    for note in notes:
        say(f"bench: {note}", err=True)
    if models and all(table.convention != "mteb" for table in tables):
        raise UsageError(
            "--mteb needs records of MTEB's convention to stand beside: "
            "bench run --suite sts7-mteb, or --suite 'mteb:[...]'"
        )
    return [with_models(table, models) for table in tables]


def _view(
    view: str,
    paths: Sequence[Path],
    suite: str | None,
    results: Sequence[Path],
    style: str,
    plot: Path | None,
) -> list[str]:
    from bench.core.errors import UsageError
    from bench.report.views import curve, diagnostics, geometry, grid, phenomena
    from bench.report.views.page import protocol_note

    if results:
        raise UsageError(f"result files of mteb have no {view}; drop --mteb or --view")
    if style not in {"text", "markdown"}:
        raise UsageError(f"--view {view} comes as text or markdown, not as {style}")
    by_suite = _records(paths, suite)
    width = terminal_width() if style == "text" else None
    views = {
        "phenomena": phenomena.render,
        "grid": grid.render,
        "geometry": geometry.render,
        "curve": curve.render,
        "diagnostics": diagnostics.render,
    }
    if plot is not None:
        _plot(by_suite, plot)
    found = []
    for name, records in by_suite.items():
        text = views[view](name, records, style=cast("Style", style), width=width)
        if text is not None:
            notes = protocol_note(records, style=cast("Style", style), width=width)
            found.append("\n\n".join([text, *notes]))
    return found


def _records(paths: Sequence[Path], suite: str | None) -> dict[str, list[Record]]:
    from bench.records.files import read_items
    from bench.report.table import read_suites
    from bench.verdicts.side import refuse_mixed_seeds

    found: dict[str, list[Record]] = {}
    for name, of_suite in read_suites(paths).items():
        if suite not in (None, name):
            continue
        groups: dict[Group, list[tuple[Path, Record]]] = {}
        for path, record in of_suite:
            read_items(path, record)
            groups.setdefault(record.group, []).append((path, record))
        for group in groups.values():
            refuse_mixed_seeds(group)
        found[name] = [record for _, record in of_suite]
    return found


def _plot(by_suite: Mapping[str, Sequence[Record]], path: Path) -> None:
    from bench.core.errors import DataError, UsageError
    from bench.report.views.curve import find_curves
    from bench.report.views.plot import draw

    found = {suite: curves for suite, group in by_suite.items() if (curves := find_curves(group))}
    if not found:
        raise DataError("no cuts found to draw; 'bench run --suite redundancy' writes them")
    if len(found) > 1:
        raise UsageError(
            f"--plot draws one suite; name one of them with --suite: {', '.join(found)}"
        )
    ((suite, curves),) = found.items()
    draw(suite, curves, path)
