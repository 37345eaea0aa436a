"""``bench export``."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.options import Verb
from bench.cli.terminal import say
from bench.cli.writing import writing


@click.command("export", cls=Verb)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "style",
    type=click.Choice(["mteb"]),
    default="mteb",
    help="mteb: a tree of task results for mteb.ResultCache [mteb].",
)
@click.option(
    "--to", required=True, type=click.Path(path_type=Path), help="Folder to write the tree into."
)
def command(folders: tuple[Path, ...], style: str, to: Path) -> None:
    """Write the records below FOLDERS [results/runs] in the form of another tool."""
    from bench.core.errors import DataError
    from bench.integrations.mteb_results import export
    from bench.records.files import find_records, read_verified

    paths = find_records(folders)
    with writing(to):
        written, left_out, notes = export(map(read_verified, paths), to)
    for note in notes:
        say(f"bench: {note}", err=True)
    if not written:
        raise DataError(
            "nothing to export: only complete tasks that equal mteb's can be exported, "
            "e.g. of --suite sts7-mteb or 'mteb:[...]'"
        )
    say(f"{len(written)} task results written below {to}")
    if left_out:
        say(
            f"{left_out} scores left out: partial, not by MTEB's convention, or of a task "
            "that the suite gives no mteb name",
            err=True,
        )
