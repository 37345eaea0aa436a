"""``bench compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from bench.cli import completers
from bench.cli.options import Verb, list_option, recorded_names
from bench.cli.terminal import say
from bench.core.errors import DataError, UsageError
from bench.core.files import is_file, is_folder

if TYPE_CHECKING:
    from bench.report.changes import ItemRows
    from bench.report.comparison import Form
    from bench.suite import Suite
    from bench.verdicts.side import Side


@click.command("compare", cls=Verb)
@click.argument("methods", nargs=-1, required=True, shell_complete=completers.methods)
@click.option(
    "--runs",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folders of records [results/runs].",
)
@list_option(
    "--suite",
    "-s",
    "suites",
    text="Only these suites: names or TOML files.",
    shell_complete=completers.suites,
)
@click.option("--profile", help="Only records of this profile.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown", "csv", "json"]),
    default="text",
    help="csv and json have a line of each task, with unrounded fractions.",
)
@click.option(
    "--items",
    type=click.IntRange(min=1),
    help="Also show the items that differ most, and what both answered.",
)
@click.option("--data", help="Data folder for the texts of --items [$BENCH_DATA].")
def command(
    methods: tuple[str, ...],
    folders: tuple[Path, ...],
    suites: tuple[str, ...] | None,
    profile: str | None,
    style: str,
    items: int | None,
    data: str | None,
) -> None:
    """Compare METHODS, all with the last of them.

    Each is a method spec, a label, a record (.json), or a folder that holds one method.
    """
    from bench.report.comparison import render, to_csv, to_json
    from bench.suite import load_suite
    from bench.verdicts.difference import compare

    if len(methods) < 2:
        raise UsageError("name two methods or more: bench compare METHOD… AGAINST")
    if items and style in {"csv", "json"}:
        raise UsageError(f"--items comes as text or markdown, not as {style}")
    files = [load_suite(name) for name in suites or () if name.endswith(".toml")]
    own = {suite.name: suite for suite in files}
    names = None if suites is None else recorded_names(suites)
    pairs = _pairs([_sides(wanted, folders, names, profile) for wanted in methods], methods)
    compared = {name: [compare(a, b) for a, b in of_suite] for name, of_suite in pairs.items()}
    if style in {"csv", "json"}:
        lines = [comparison for of_suite in compared.values() for comparison in of_suite]
        say(to_csv(lines) if style == "csv" else to_json(lines))
        return
    form = cast("Form", style)
    for name, comparisons in compared.items():
        say(render(comparisons, style=form) + "\n")
        if items:
            scored = _rows(own.get(name) or _registered(name), pairs[name][0][0], data)
            for text in _changes(pairs[name], scored, items, form):
                say(text + "\n")


def _pairs(
    sides: Sequence[Mapping[str, Side]], methods: Sequence[str]
) -> dict[str, list[tuple[Side, Side]]]:
    """Every method with the last of them, by suite.

    Raises:
        DataError: A method has no suite in common with it.
    """
    *others, against = sides
    for method, side in zip(methods, others, strict=False):
        if not side.keys() & against.keys():
            raise DataError(
                f"{method} and {methods[-1]} have no suite in common; 'bench run' them on the same "
                "one first"
            )
    return {
        name: [(side[name], against[name]) for side in others if name in side]
        for name in dict.fromkeys(name for side in others for name in side)
        if name in against
    }


def _sides(
    wanted: str, folders: Sequence[Path], suites: Sequence[str] | None, profile: str | None
) -> dict[str, Side]:
    from bench.core.spec import parse_method_spec
    from bench.method.files import with_files
    from bench.records.entries import GroupKey
    from bench.records.files import StoredRecord, find_records, read_record, without_repeats
    from bench.verdicts.side import Side

    place, file, folder = Path(wanted), is_file(wanted), is_folder(wanted)
    paths = [place] if file else find_records([place] if folder else folders)
    known = set() if file or folder else {wanted, str(parse_method_spec(with_files(wanted)))}
    by_suite: dict[str, dict[GroupKey, list[StoredRecord]]] = {}
    records = [(path, read_record(path)) for path in paths]
    asked = [entry for entry in records if profile in (None, entry[1].profile)]
    for path, record in without_repeats(asked):
        called = known & {record.method.spec, record.method.label}
        if (called or not known) and (suites is None or record.suite in suites):
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
        where = f" on {', '.join(suites)}" if suites is not None else ""
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


def _rows(suite: Suite, side: Side, data: str | None) -> dict[str, ItemRows]:
    """The rows of a suite that a method was scored on, by task."""
    from bench.api import make_settings
    from bench.report.changes import ItemRows
    from bench.tasks.loading import load_tasks

    settings = make_settings(profile=side.first.profile, data=data)
    return {
        task.spec.name: ItemRows(task.item_rows(), getattr(task, "classes", ()))
        for task in load_tasks(suite, settings.data, side.first.limit)
    }


def _changes(
    pairs: Sequence[tuple[Side, Side]], tasks: Mapping[str, ItemRows], count: int, form: Form
) -> list[str]:
    from bench.report.changes import render_changes
    from bench.report.comparison import letters_of

    *letters, last = letters_of(len(pairs) + 1)
    return [
        render_changes(a, b, tasks, count, letters=(letter, last), style=form)
        for letter, (a, b) in zip(letters, pairs, strict=True)
    ]
