"""``bench table``."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click


@click.command("table")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--format", "style", type=click.Choice(["text", "markdown"]), default="text")
@click.option("--suite", help="Only this suite.")
@click.option(
    "--view",
    type=click.Choice(["scores", "phenomena"]),
    default="scores",
    help="Scores of tasks, or of the phenomena that their items probe [scores].",
)
@click.option(
    "--mteb",
    "results",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder of result files of mteb, whose models join the tables of MTEB's convention.",
)
def command(
    folders: tuple[Path, ...], style: str, suite: str | None, view: str, results: tuple[Path, ...]
) -> None:
    """Print the tables of the records below FOLDERS [results/runs]."""
    from bench.errors import DataError
    from bench.record import find_records

    paths = find_records(folders)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    printed = 0
    shown = _phenomena if view == "phenomena" else _scores
    for text in shown(paths, suite, results, style == "markdown", width):
        click.echo(text + "\n")
        printed += 1
    if not printed:
        raise DataError("no records found to show; 'bench run' writes them")


def _scores(
    paths: Sequence[Path],
    suite: str | None,
    results: Sequence[Path],
    markdown: bool,
    width: int | None,
) -> list[str]:
    from bench.errors import UsageError
    from bench.report.imported import read_models, with_models
    from bench.report.model import load_tables
    from bench.report.text import render

    tables = [table for table in load_tables(paths) if suite in (None, table.suite)]
    models = read_models(results)
    if models and all(table.convention != "mteb" for table in tables):
        raise UsageError(
            "--mteb needs records of MTEB's convention to stand beside: "
            "bench run --suite sts7-mteb, or --suite 'mteb:[...]'"
        )
    return [render(with_models(one, models), markdown=markdown, width=width) for one in tables]


def _phenomena(
    paths: Sequence[Path],
    suite: str | None,
    results: Sequence[Path],
    markdown: bool,
    width: int | None,
) -> list[str]:
    from bench.errors import UsageError
    from bench.record import Record, read_record
    from bench.report.phenomena import render

    if results:
        raise UsageError("result files of mteb name no phenomena; drop --mteb or --view")
    by_suite: dict[str, list[Record]] = {}
    for record in map(read_record, paths):
        if suite in (None, record.suite):
            by_suite.setdefault(record.suite, []).append(record)
    found = [
        render(name, records, markdown=markdown, width=width) for name, records in by_suite.items()
    ]
    return [text for text in found if text is not None]
