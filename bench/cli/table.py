"""``bench table``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click


@click.command("table")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--format", "style", type=click.Choice(["text", "markdown"]), default="text")
@click.option("--suite", help="Only this suite.")
def command(folders: tuple[Path, ...], style: str, suite: str | None) -> None:
    """Print the tables of the records below FOLDERS [results/runs]."""
    from bench.errors import DataError
    from bench.record import find_records
    from bench.report.model import load_tables
    from bench.report.text import render

    paths = find_records(folders or (Path("results/runs"),))
    tables = [table for table in load_tables(paths) if suite in (None, table.suite)]
    if not tables:
        raise DataError("no records found; 'bench run' writes them")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for table in tables:
        click.echo(render(table, markdown=style == "markdown", width=width) + "\n")
