"""``bench gate``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.options import Decorator, Verb, recorded_names
from bench.cli.terminal import say
from bench.cli.writing import writing
from bench.core.errors import EXIT_GATE, EXIT_NOT_JUDGED, EXIT_OK, BenchError, UsageError

if TYPE_CHECKING:
    from bench.report.gate import GateReport

DEFAULT_BOUNDS = "avg:0"


def bounds_option(text: str, default: str | None = DEFAULT_BOUNDS) -> Decorator:
    """``--fail-on``, whose bounds add up where it is given several times.

    Args:
        text: What its help says.
        default: What holds where it is not given.
    """

    def joined(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> str | None:
        return ",".join(values) if values else default

    return click.option("--fail-on", "bounds", multiple=True, callback=joined, help=text)


@click.command("gate", cls=Verb)
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--baseline", required=True, type=click.Path(path_type=Path), help="Folder of its records."
)
@bounds_option(
    "Largest drops that pass, in points, and most added time in percent: "
    "avg:0.3,STS12:0.5,time:25 [avg:0]."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json", "junit", "github"]),
    default="text",
    help="github: annotations, and a summary of the step in $GITHUB_STEP_SUMMARY [text].",
)
@click.option("--label", help="What to call what is judged [FOLDERS].")
@click.option("--baseline-label", help="What to call the baseline [its folder].")
@click.option(
    "--bisect", is_flag=True, help="Exit 125 for what cannot be judged, as git bisect run expects."
)
def command(
    folders: tuple[Path, ...],
    baseline: Path,
    bounds: str,
    form: str,
    label: str | None,
    baseline_label: str | None,
    bisect: bool,
) -> int:
    """Fail if the records below FOLDERS [results/runs] are worse than those of a baseline."""
    try:
        from bench.records.files import DEFAULT_OUTPUT, find_records

        now = label or ", ".join(path.as_posix() for path in folders or (DEFAULT_OUTPUT,))
        names = now, baseline_label or baseline.as_posix()
        return judge(find_records(folders), baseline, bounds, form=form, names=names)
    except Exception as error:
        # Not only what is expected: a crash would exit with 1, which says that a commit is bad.
        if not bisect:
            raise
        why = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        say(f"bench: cannot be judged: {why}", err=True)
        return EXIT_NOT_JUDGED


def check_judgeable(baseline: Path, bounds: str, suites: Sequence[str]) -> None:
    """Refuse at once what would be refused after a long run.

    Args:
        baseline: Folder of the records to compare with.
        bounds: Largest drops that pass.
        suites: Suites of the run.

    Raises:
        UsageError: The bounds have another form or name no task of the baseline, or it has no
            records, or none of the suites.
        DataError: The folder of the baseline does not exist, or a record is damaged.
    """
    from bench.records.files import find_records, read_record
    from bench.verdicts.gate import parse_bounds, refuse_unknown

    asked = parse_bounds(bounds)
    records = [read_record(path) for path in find_records([baseline])]
    if not records:
        raise UsageError(f"{baseline} holds no records; point --baseline to a folder that does")
    refuse_unknown(asked, records)
    known = dict.fromkeys(record.suite for record in records)
    wanted = recorded_names(suites)
    # What tasks of mteb are called is known once mteb has been imported, which takes seconds.
    if known.keys().isdisjoint(wanted) and not any("mteb:" in name for name in wanted):
        raise UsageError(
            f"{baseline} has records of {', '.join(known)}, and none of {', '.join(wanted)}"
        )


def judge(
    paths: Sequence[Path],
    baseline: Path,
    bounds: str,
    *,
    names: tuple[str, str],
    form: str = "text",
    partial: bool = False,
) -> int:
    """Print the summary of records at some paths and return the exit code.

    Args:
        paths: Records to judge.
        baseline: Folder of the records to compare with.
        bounds: Largest drops that pass.
        names: What both are called.
        form: Name of a form of ``bench.report.gate``.
        partial: Whether methods of the baseline may be missing.

    Raises:
        UsageError: See ``bench.verdicts.gate``; or the summary of the step cannot be written.
        DataError: The folder does not exist, or a record is damaged.
    """
    from bench.records.files import find_records
    from bench.report import gate

    old = find_records([baseline])
    report = gate.judge(paths, old, bounds, names=names, partial=partial)
    say(gate.FORMS[form](report))
    for warning in report.warnings:
        say(f"bench: {warning}", err=True)
    if form == "github" and (place := os.environ.get("GITHUB_STEP_SUMMARY")):
        _append_summary(Path(place), report)
    return EXIT_GATE if report.failed else EXIT_OK


def _append_summary(place: Path, report: GateReport) -> None:
    """Add a report to the summary of a step of GitHub, which other commands add to as well."""
    from bench.report.gate import to_markdown

    with writing(place, "$GITHUB_STEP_SUMMARY"), place.open("a", encoding="utf-8") as summary:
        summary.write(to_markdown(report) + "\n")
