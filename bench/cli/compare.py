"""``bench compare``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cli.terminal import say
from bench.core.errors import DataError, UsageError
from bench.core.files import is_file, is_folder

if TYPE_CHECKING:
    from bench.suite import Suite
    from bench.verdicts.side import Side


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option(
    "--runs",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folders of records [results/runs].",
)
@click.option("--suite", help="Only this suite: its name or TOML file.")
@click.option("--profile", help="Only records of this profile.")
@click.option("--items", type=click.IntRange(min=1), help="Also show the items that differ most.")
@click.option("--data", help="Data folder for the texts of --items [$BENCH_DATA].")
def command(
    a: str,
    b: str,
    folders: tuple[Path, ...],
    suite: str | None,
    profile: str | None,
    items: int | None,
    data: str | None,
) -> None:
    """Compare A with B: method specs, records (.json), or folders that hold one method each."""
    from bench.report.comparison import render
    from bench.suite import load_suite
    from bench.verdicts.difference import compare

    own = load_suite(suite) if suite is not None and suite.endswith(".toml") else None
    name = suite if own is None else own.name
    sides = [_sides(wanted, folders, name, profile) for wanted in (a, b)]
    shared = [name for name in sides[0] if name in sides[1]]
    if not shared:
        raise DataError(
            f"{a} and {b} have no suite in common; 'bench run' them on the same one first"
        )
    for name in shared:
        side_a, side_b = sides[0][name], sides[1][name]
        say(render(compare(side_a, side_b)) + "\n")
        if items:
            say(_changes(own or _registered(name), side_a, side_b, items, data) + "\n")


def _sides(
    wanted: str, folders: Sequence[Path], suite: str | None, profile: str | None
) -> dict[str, Side]:
    from bench.core.spec import parse_method_spec
    from bench.records.entries import GroupKey
    from bench.records.files import StoredRecord, find_records, read_record, without_repeats
    from bench.verdicts.side import Side

    place, file, folder = Path(wanted), is_file(wanted), is_folder(wanted)
    paths = [place] if file else find_records([place] if folder else folders)
    spec = None if file or folder else str(parse_method_spec(wanted))
    by_suite: dict[str, dict[GroupKey, list[StoredRecord]]] = {}
    records = [(path, read_record(path)) for path in paths]
    asked = [entry for entry in records if profile in (None, entry[1].profile)]
    for path, record in without_repeats(asked):
        if spec in (None, record.method.spec) and suite in (None, record.suite):
            groups = by_suite.setdefault(record.suite, {})
            groups.setdefault(record.group, []).append((path, record))
    for name, groups in by_suite.items():
        if len(groups) > 1:
            several = ", ".join(_called(*key) for key in groups)
            raise UsageError(
                f"{wanted} matches several methods on {name}: {several}; name one spec "
                "and --profile, or a record's file"
            )
    if not by_suite:
        where = f" on {suite}" if suite is not None else ""
        raise DataError(f"no records of {wanted}{where}; 'bench table' shows what there is")
    return {name: Side(next(iter(groups.values()))) for name, groups in by_suite.items()}


def _called(spec: str, profile: str, limit: int | None, setup: str) -> str:
    named = f"{spec} {profile}" + (f" --limit {limit}" if limit is not None else "")
    return f"{named} ({setup})" if setup else named


def _registered(name: str) -> Suite:
    from bench.suite import load_suite

    try:
        return load_suite(name)
    except UsageError:
        raise UsageError(
            f"--items needs the rows of {name}, which is not registered; name its file with --suite"
        ) from None


def _changes(suite: Suite, a: Side, b: Side, count: int, data: str | None) -> str:
    from bench.api import make_settings
    from bench.report.changes import render_changes
    from bench.tasks.loading import load_tasks

    settings = make_settings(profile=a.first.profile, data=data)
    tasks = load_tasks(suite, settings.data, a.first.limit)
    return render_changes(a, b, {task.spec.name: task.item_rows() for task in tasks}, count)
