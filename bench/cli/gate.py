"""``bench gate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli.terminal import say
from bench.core.errors import EXIT_GATE, EXIT_NOT_JUDGED, EXIT_OK

DEFAULT_BOUNDS = "avg:0"


@click.command("gate")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--baseline", required=True, type=click.Path(path_type=Path), help="Folder of its records."
)
@click.option(
    "--fail-on",
    "bounds",
    default=DEFAULT_BOUNDS,
    help="Largest drops that pass, in points, and most added time in percent: "
    "avg:0.3,STS12:0.5,time:25 [avg:0].",
)
@click.option(
    "--bisect", is_flag=True, help="Exit 125 for what cannot be judged, as git bisect run expects."
)
def command(folders: tuple[Path, ...], baseline: Path, bounds: str, bisect: bool) -> int:
    """Fail if the records below FOLDERS [results/runs] are worse than those of a baseline."""
    try:
        from bench.records.files import find_records

        return judge(find_records(folders), baseline, bounds)
    except Exception as error:
        # Not only what is expected: a crash would exit with 1, which says that a commit is bad.
        if not bisect:
            raise
        say(f"bench: cannot be judged: {type(error).__name__}: {error}", err=True)
        return EXIT_NOT_JUDGED


def check_judgeable(baseline: Path, bounds: str) -> None:
    """Refuse at once what would be refused after a long run.

    Raises:
        UsageError: The bounds have another form.
        DataError: The folder of the baseline does not exist.
    """
    from bench.records.files import find_records
    from bench.verdicts.gate import parse_bounds

    parse_bounds(bounds)
    find_records([baseline])


def judge(paths: Sequence[Path], baseline: Path, bounds: str, *, partial: bool = False) -> int:
    """Print the summary of records at some paths and return the exit code.

    Raises:
        UsageError: See ``bench.verdicts.gate``.
        DataError: The folder does not exist, or a record is damaged.
    """
    from bench.records.files import find_records
    from bench.report.gate import summary
    from bench.verdicts.gate import check, parse_bounds

    checks, warnings = check(paths, find_records([baseline]), parse_bounds(bounds), partial=partial)
    say(summary(checks))
    for warning in warnings:
        say(f"bench: {warning}", err=True)
    return EXIT_GATE if any(judged.failed for judged in checks) else EXIT_OK
