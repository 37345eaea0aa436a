"""``bench data``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.cache import Cache, default_root
from bench.cli.terminal import listing
from bench.cli.writing import writing
from bench.errors import EXIT_INTERRUPTED, EXIT_OK, DataError, UsageError

if TYPE_CHECKING:
    from bench.data.catalog import SplitRef
    from bench.suite import FileData

NONE = "–"
_TO_HELP = "Data folder to write to [$BENCH_DATA, else the cache]."
_DATA_HELP = "Data folder [$BENCH_DATA]."


@click.group("data")
def command() -> None:
    """List, fetch, verify or import data sets."""


@command.command("list")
@click.option("--data", help=_DATA_HELP)
def list_data(data: str | None) -> None:
    """List data sets: rows, licence, source, and where they are here now."""
    from bench.data.catalog import catalog, parse_names

    places = _places(data)
    rows = []
    for ref in parse_names(catalog()):
        dataset = catalog()[ref.dataset]
        source = dataset.source.name if dataset.source else NONE
        here = [place for place, root in places.items() if (root / ref.filename).is_file()]
        count = f"{dataset.splits[ref.split].rows:,}"
        rows.append([str(ref), count, dataset.licence, source, here[0] if here else NONE])
    click.echo(listing(rows, ["Data", "Rows", "Licence", "Source", "Here"]))


@command.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME…")
@click.option("--to", help=_TO_HELP)
@click.option("--yes", is_flag=True, help="Agree to the licences without being asked.")
@click.option(
    "--mirror",
    help="Address that stands in for scheme and host of pinned URLs, e.g. http://127.0.0.1:8000 "
    "or file:///folder; checksums guard it. For the hub, set HF_ENDPOINT.",
)
@click.option("--offline", is_flag=True, help="Never ask the network.")
def fetch(
    names: tuple[str, ...], to: str | None, yes: bool, mirror: str | None, offline: bool
) -> int:
    """Fetch data sets, NAME being family/set or family/set:split, once you agree to the licence."""
    from bench.cli.bar import Bar
    from bench.data.access import is_offline, state
    from bench.data.catalog import parse_names
    from bench.data.fetch import Fetcher, check_fetchable

    refs = parse_names(names)
    folder = _target(to)
    found = {ref: state(folder / ref.filename, ref) for ref in refs}
    wanted = [ref for ref in refs if found[ref] != "ok"]
    check_fetchable(wanted, mirror=mirror, offline=is_offline(offline))
    _show(wanted, found)
    if wanted and not yes and not _agreed():
        click.echo("bench: nothing was fetched", err=True)
        return EXIT_INTERRUPTED
    with Bar() as bar, writing(folder):
        Fetcher(folder, mirror=mirror, progress=bar).fetch(wanted)
    rows = [
        [str(ref), "fetched" if ref in wanted else "present", str(folder / ref.filename)]
        for ref in refs
    ]
    click.echo(listing(rows, ["Data", "Status", "Path"]))
    return EXIT_OK


def _show(wanted: Sequence[SplitRef], found: Mapping[SplitRef, str]) -> None:
    from bench.data.catalog import catalog

    for ref in wanted:
        if found[ref] != "missing":
            click.echo(f"{ref} is here, but {found[ref]}; it will be replaced", err=True)
    for name in dict.fromkeys(ref.dataset for ref in wanted):
        dataset = catalog()[name]
        address = dataset.source.address if dataset.source else NONE
        click.echo(f"{name}\n  licence: {dataset.licence}\n  source: {address}", err=True)


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask whether you agree; pass --yes if you do")
    return click.confirm("Do you agree to the licences, and fetch?", err=True)


@command.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option("--data", help=_DATA_HELP)
def verify(names: tuple[str, ...], data: str | None) -> None:
    """Recompute rows and checksums of the data sets NAME, or of all, in data folder and cache."""
    from bench.cli.bar import Bar
    from bench.data.catalog import catalog, parse_names

    refs = parse_names(names or catalog())
    roots = list(_places(data).values())
    rows: list[list[str]] = []
    with Bar() as bar:
        bar.start("verify", len(refs))
        for done, ref in enumerate(refs, 1):
            rows += _findings(ref, roots)
            bar.advance(done)
    click.echo(listing(rows, ["Data", "Status", "Path"]))
    fine = {"ok"} if names else {"ok", "missing"}
    if bad := [name for name, status, _ in rows if status not in fine]:
        raise DataError(f"{len(bad)} of {len(rows)} are wrong or missing, see above; get them anew")


def _findings(ref: SplitRef, roots: Sequence[Path]) -> list[list[str]]:
    from bench.data.access import state

    paths = [root / ref.filename for root in roots if (root / ref.filename).is_file()]
    found = [[str(ref), state(path, ref), str(path)] for path in paths]
    return found or [[str(ref), "missing", NONE]]


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--as", "name", required=True, help="Its name: family/set:split.")
@click.option(
    "--column", "columns", multiple=True, help="Column by its name in the file: sentence1=a."
)
@click.option("--kind", help="Kind of task that reads it [the family, where it is a kind].")
@click.option("--to", help=_TO_HELP)
def import_table(
    file: Path, name: str, columns: tuple[str, ...], kind: str | None, to: str | None
) -> None:
    """Convert your own FILE (JSON lines, CSV, TSV, Parquet); prints a task for a suite's TOML."""
    from bench.data.convert import KINDS, convert, parse_own, row_columns

    ref = parse_own(name)
    family, _, short = ref.dataset.partition("/")
    if kind is None and family not in KINDS:
        raise UsageError(f"{family!r} is no kind of task; pass --kind, one of: {', '.join(KINDS)}")
    wanted = row_columns(kind or family)
    folder = _target(to)
    with writing(folder):
        data = convert(file, ref, wanted, _rename(columns, wanted), folder)
    click.echo(_task(short, kind or family, data))


def _rename(options: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    found = {}
    for option in options:
        column, equals, name = option.partition("=")
        if not equals:
            raise UsageError(f"--column {option!r}: expected COLUMN=NAME, e.g. {columns[0]}=a")
        if column not in columns:
            raise UsageError(f"--column {option!r}: columns of the kind are {', '.join(columns)}")
        found[column] = name
    return found


def _task(name: str, kind: str, data: FileData) -> str:
    # A text in JSON is one in TOML, unless it is escaped to ASCII.
    file = json.dumps(data.file, ensure_ascii=False)
    return (
        f'[[tasks]]\nname = "{name}"\nkind = "{kind}"\n'
        f'data = {{ file = {file}, rows = {data.rows}, sha256 = "{data.sha256}" }}'
    )


def _places(data: str | None) -> dict[str, Path]:
    from bench.data.access import find_folder

    folder = find_folder(data)
    given = {"data folder": folder} if folder else {}
    return {**given, "cache": Cache(default_root()).data}


def _target(to: str | None) -> Path:
    folder = to or os.environ.get("BENCH_DATA")
    return Path(folder) if folder else Cache(default_root()).data
