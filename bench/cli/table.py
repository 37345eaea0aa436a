"""``bench table``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from bench.cli.options import Verb, list_option, methods_option, suites_option
from bench.cli.terminal import complain, say, terminal_width
from bench.cli.writing import check_generated, write_generated
from bench.core.errors import EXIT_OK
from bench.report.views import VIEWS, View

if TYPE_CHECKING:
    from bench.records.files import StoredRecord
    from bench.report.selection import TableSelection
    from bench.report.table import Table
    from bench.report.text import Style
    from bench.report.views import ReadItems

BASELINES = Path("results/baselines")
LEADERBOARDS = Path("results/leaderboards")
SCORES = "scores"
_HELP = "; ".join(["scores of tasks", *(f"{view.help} ({view.name})" for view in VIEWS)])
_DRAWN = " or ".join(view.name for view in VIEWS if view.drawings)


@click.command("table", cls=Verb)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown", "latex", "csv", "json"]),
    default="text",
)
@suites_option()
@list_option("--base", "bases", text="Only rows of these bases, comma-separated; none: without.")
@methods_option("Only these: labels, specs, or names with whatever options.")
@click.option("--sort", metavar="COLUMN", help="Sort the rows of a base; -COLUMN: the other way.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help="Only so many rows, the best over all bases, and their untrained bases.",
)
@list_option("--columns", text="Columns to show, comma-separated, in this order.")
@click.option(
    "--digits",
    type=click.IntRange(0, 6),
    help="Digits of scores after the decimal point [2].",
)
@click.option(
    "--view",
    type=click.Choice([SCORES, *(view.name for view in VIEWS)]),
    default=SCORES,
    help=f"What to show: {_HELP} [{SCORES}].",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help=f"Also draw the scores, or the view {_DRAWN}, into this file, .svg or .png (extra "
    "'plot').",
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
    suites: tuple[str, ...] | None,
    view: str,
    plot: Path | None,
    results: tuple[Path, ...],
    action: str | None,
    leaderboards: Path,
    **asked: Any,
) -> int:
    """Print the tables of the records below FOLDERS [results/runs].

    With --write or --check, the records are those of [results/baselines].
    """
    from bench.core.errors import DataError, UsageError
    from bench.records.files import find_records
    from bench.report.charts.files import check_drawable

    chosen_rows = any(value is not None for value in asked.values())
    if action and (style != "text" or view != SCORES or results or suites or chosen_rows):
        raise UsageError("--write and --check are for whole leaderboards; drop the other options")
    chosen = next((candidate for candidate in VIEWS if candidate.name == view), None)
    if plot is not None and chosen is not None and chosen.drawings is None:
        raise UsageError(f"--plot draws scores, and --view {_DRAWN}")
    if plot is not None:
        check_drawable(plot)
    if chosen is not None and chosen_rows:
        raise UsageError(f"--view {view} shows all rows; --suite and FOLDERS choose its records")
    paths = find_records(folders or ((BASELINES,) if action else ()))
    if action and paths:
        return _leaderboards(paths, action, leaderboards)
    if chosen is None:
        is_any = _scores(_tables(paths, suites, results), paths, style, plot, **asked)
    else:
        texts = _view(chosen, paths, suites, results, style, plot)
        is_any = bool(texts)
        for text in texts:
            say(text + "\n")
    if not is_any:
        raise DataError(_nothing(paths, suites, chosen))
    return EXIT_OK


def _nothing(paths: Sequence[Path], asked: Sequence[str] | None, view: View | None) -> str:
    """Say what there is not, and the command that makes it."""
    from bench.records.files import read_record

    suites = dict.fromkeys(read_record(path).suite for path in paths)
    if not suites:
        return "no records found to show; 'bench run' writes them"
    # Every record has scores, so that without a view it is the suite that there is not.
    if view is None or (asked is not None and suites.keys().isdisjoint(asked)):
        wanted = ", ".join(asked or ())
        return f"no records of suite {wanted} found to show, only of {', '.join(suites)}"
    return f"no record has {view.needs} to show; run e.g. 'bench run {view.command}'"


def _leaderboards(paths: Sequence[Path], action: str, folder: Path) -> int:
    from bench.report import leaderboard

    texts = {folder / name: text for name, text in leaderboard.leaderboards(paths).items()}
    if action == "write":
        return write_generated(texts, folder, "--leaderboards")
    return check_generated(texts, leaderboard.COMMAND)


def _scores(
    tables: Sequence[Table], paths: Sequence[Path], style: str, plot: Path | None, **asked: Any
) -> bool:
    """Write the tables, and return whether there are any."""
    from bench.report.selection import check_names, select_rows

    selection = _selection(style, **asked)
    if not tables:
        return False
    check_names(tables, selection)
    shown = [part for table in tables if (part := select_rows(table, selection)).rows]
    if plot is not None:
        from bench.report.charts.scores import draw_tables

        draw_tables(shown, plot)
    if style == "text":
        from bench.cli.pages import show_tables

        show_tables(shown, selection, paged=True)
    elif style in {"csv", "json"}:
        from bench.report.export import to_csv, to_json

        say(to_csv(shown) if style == "csv" else to_json(shown))
    elif style == "markdown":
        from bench.report.text import render

        for table in shown:
            say(render(table, style="markdown", selection=selection) + "\n")
    else:
        _latex(shown, paths, selection)
    return True


def _latex(tables: Sequence[Table], paths: Sequence[Path], selection: TableSelection) -> None:
    from bench.report.latex import render_latex
    from bench.report.significance import against_bases
    from bench.report.table import read_suites

    stored = read_suites(paths)
    for table in tables:
        significance = against_bases(table.suite, stored[table.suite])
        say(render_latex(table, selection, significance) + "\n")


def _selection(
    style: str,
    *,
    bases: tuple[str, ...] | None,
    methods: tuple[str, ...] | None,
    sort: str | None,
    top: int | None,
    columns: tuple[str, ...] | None,
    digits: int | None,
) -> TableSelection:
    from bench.core.errors import UsageError
    from bench.report.columns import DIGITS
    from bench.report.selection import TableSelection

    if style in {"csv", "json"} and (columns is not None or digits is not None):
        raise UsageError(
            f"{style} has all columns with all digits; leave out --columns and --digits"
        )
    return TableSelection(
        sort=sort,
        top=top,
        columns=columns or (),
        bases=bases or (),
        methods=methods or (),
        digits=DIGITS if digits is None else digits,
    )


def _tables(
    paths: Sequence[Path], suites: Sequence[str] | None, results: Sequence[Path]
) -> list[Table]:
    from bench.core.errors import UsageError
    from bench.report.imported import read_models, with_models
    from bench.report.table import load_tables, only_suites

    known = {table.suite: table for table in load_tables(paths)}
    tables = [*only_suites(known, suites, complain).values()]
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
    suites: Sequence[str] | None,
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
    stored = _stored(paths, suites)
    by_suite = {name: [record for _, record in of_suite] for name, of_suite in stored.items()}
    width = terminal_width() if style == "text" else None
    # What draws is an extra, and its files are imported where something is drawn alone.
    if plot is not None and (draw := view.draw()) is not None:
        draw(by_suite, plot)
    render, texts = view.render(_reader(stored)), []
    for name, records in by_suite.items():
        text = render(name, records, style=cast("Style", style), width=width)
        if text is not None:
            notes = protocol_note(records, style=cast("Style", style), width=width)
            texts.append("\n\n".join([text, *notes]))
    return texts


def _stored(paths: Sequence[Path], suites: Sequence[str] | None) -> dict[str, list[StoredRecord]]:
    """Read the records of some suites, or of all, whose figures follow from their items."""
    from bench.records.files import read_items
    from bench.report.table import group_rows, only_suites, read_suites
    from bench.verdicts.side import refuse_mixed_seeds

    by_suite: dict[str, list[StoredRecord]] = {}
    for name, of_suite in only_suites(read_suites(paths), suites, complain).items():
        for path, record in of_suite:
            read_items(path, record)
        for group in group_rows(name, of_suite).values():
            refuse_mixed_seeds(group)
        by_suite[name] = of_suite
    return by_suite


def _reader(stored: Mapping[str, Sequence[StoredRecord]]) -> ReadItems:
    """Find the items of a record again by their checksum."""
    from bench.records.files import read_items

    paths = {record.items_sha256: path for group in stored.values() for path, record in group}
    return lambda record: read_items(paths[record.items_sha256])
