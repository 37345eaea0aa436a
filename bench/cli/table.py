"""``bench table``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bench.cli.terminal import say, terminal_width
from bench.cli.writing import check_generated, write_generated
from bench.core.errors import EXIT_OK
from bench.report.views import VIEWS, View

if TYPE_CHECKING:
    from bench.records.entries import GroupKey
    from bench.records.files import StoredRecord
    from bench.report.table import Table
    from bench.report.text import Style
    from bench.report.views import ReadItems

BASELINES = Path("results/baselines")
LEADERBOARDS = Path("results/leaderboards")
SCORES = "scores"
_HELP = "; ".join(["scores of tasks", *(f"{view.help} ({view.name})" for view in VIEWS)])
_DRAWN = " or ".join(view.name for view in VIEWS if view.drawings)


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
    type=click.Choice([SCORES, *(view.name for view in VIEWS)]),
    default=SCORES,
    help=f"What to show: {_HELP} [{SCORES}].",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help=f"Also draw the view {_DRAWN} into this file, .svg or .png (extra 'plot').",
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
    "--check", "action", flag_value="check", help="Fail if those files are not up to date."
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

    if action and (style != "text" or view != SCORES or results or suite):
        raise UsageError("--write and --check are for whole leaderboards; drop the other options")
    chosen = next((candidate for candidate in VIEWS if candidate.name == view), None)
    if plot is not None and (chosen is None or chosen.drawings is None):
        raise UsageError(f"--plot draws the curves of --view {_DRAWN}")
    paths = find_records(folders or ((BASELINES,) if action else ()))
    if action and paths:
        return _leaderboards(paths, action, leaderboards)
    if chosen is None:
        texts = _scores(paths, suite, results, style)
    else:
        texts = _view(chosen, paths, suite, results, style, plot)
    if not texts:
        raise DataError(_nothing(paths, suite, chosen))
    for text in texts:
        say(text if style in {"csv", "json"} else text + "\n")
    return EXIT_OK


def _nothing(paths: Sequence[Path], suite: str | None, view: View | None) -> str:
    """Say what there is not, and the command that makes it."""
    from bench.records.files import read_record

    suites = dict.fromkeys(read_record(path).suite for path in paths)
    if not suites:
        return "no records found to show; 'bench run' writes them"
    # Every record has scores, so that without a view it is the suite that there is not.
    if view is None or (suite is not None and suite not in suites):
        return f"no records of suite {suite} found to show, only of {', '.join(suites)}"
    return f"no record has {view.needs} to show; run e.g. 'bench run {view.command}'"


def _leaderboards(paths: Sequence[Path], action: str, folder: Path) -> int:
    from bench.report import leaderboard

    texts = {folder / name: text for name, text in leaderboard.leaderboards(paths).items()}
    if action == "write":
        return write_generated(texts, folder, "--leaderboards")
    return check_generated(texts, leaderboard.COMMAND)


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
            "--mteb needs records of MTEB's convention to show them with: "
            "bench run --suite sts7-mteb, or --suite 'mteb:[...]'"
        )
    return [with_models(table, models) for table in tables]


def _view(
    view: View,
    paths: Sequence[Path],
    suite: str | None,
    results: Sequence[Path],
    style: str,
    plot: Path | None,
) -> list[str]:
    from bench.core.errors import UsageError
    from bench.report.views.page import protocol_note

    if results:
        raise UsageError(f"result files of mteb have no {view.name}; drop --mteb or --view")
    if style not in {"text", "markdown"}:
        raise UsageError(f"--view {view.name} comes as text or markdown, not as {style}")
    stored = _stored(paths, suite)
    by_suite = {name: [record for _, record in of_suite] for name, of_suite in stored.items()}
    width = terminal_width() if style == "text" else None
    draw = view.draw()
    if plot is not None and draw is not None:
        draw(by_suite, plot)
    render, texts = view.render(_reader(stored)), []
    for name, records in by_suite.items():
        text = render(name, records, style=cast("Style", style), width=width)
        if text is not None:
            notes = protocol_note(records, style=cast("Style", style), width=width)
            texts.append("\n\n".join([text, *notes]))
    return texts


def _stored(paths: Sequence[Path], suite: str | None) -> dict[str, list[StoredRecord]]:
    """Read the records of a suite, or of all, whose figures follow from their items."""
    from bench.records.files import read_items
    from bench.report.table import read_suites
    from bench.verdicts.side import refuse_mixed_seeds

    by_suite: dict[str, list[StoredRecord]] = {}
    for name, of_suite in read_suites(paths).items():
        if suite not in (None, name):
            continue
        groups: dict[GroupKey, list[StoredRecord]] = {}
        for path, record in of_suite:
            read_items(path, record)
            groups.setdefault(record.group, []).append((path, record))
        for group in groups.values():
            refuse_mixed_seeds(group)
        by_suite[name] = of_suite
    return by_suite


def _reader(stored: Mapping[str, Sequence[StoredRecord]]) -> ReadItems:
    """Find the items of a record again by their checksum."""
    from bench.records.files import read_items

    paths = {record.items_sha256: path for group in stored.values() for path, record in group}
    return lambda record: read_items(paths[record.items_sha256])
