"""``bench cache``."""

from __future__ import annotations

import click
from tabulate import tabulate

from bench.cli.options import VerbGroup
from bench.cli.terminal import say
from bench.core.cache import Cache, default_root, list_entries
from bench.core.files import remove_abandoned

LEFTOVERS = "leftovers"
_KINDS = (*Cache.PARTS, LEFTOVERS)


@click.group("cache", cls=VerbGroup)
def command() -> None:
    """Show or clear what is kept between runs.

    That is models, vectors, unfinished work, data, and leftovers of runs that were killed, which
    the next run removes.
    """


@command.command("size")
def size() -> None:
    """Show number, files, bytes and age of each part."""
    from bench.execution.leftovers import find_leftovers

    cache = Cache(default_root())
    rows = []
    for kind in _KINDS:
        left = kind == LEFTOVERS
        entries = list_entries(find_leftovers(cache)) if left else cache.entries(kind)
        files, used = sum(entry.files for entry in entries), sum(entry.size for entry in entries)
        oldest = f"{max(entry.days for entry in entries):.0f} days" if entries else ""
        rows.append([kind, len(entries), files, f"{used / 1e6:,.1f} MB", oldest])
    say(str(cache.root))
    headers = ["Part", "Entries", "Files", "Size", "Oldest"]
    say(tabulate(rows, headers, colalign=("left", "right", "right", "right", "right")))


@command.command("clear")
@click.argument("parts", nargs=-1, type=click.Choice(_KINDS))
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    default=0,
    help="Only what was last written to at least this many days ago.",
)
@click.option("--yes", is_flag=True, help="Delete without asking.")
def clear(parts: tuple[str, ...], days: float, yes: bool) -> None:
    """Delete PARTS of the cache, or all of it; what a run is using stays."""
    from bench.execution.leftovers import find_leftovers

    cache = Cache(default_root())
    chosen = parts or _KINDS
    age = f" older than {days:g} days" if days else ""
    if not yes:
        click.confirm(f"delete {', '.join(chosen)}{age} in {cache.root}?", abort=True, err=True)
    if LEFTOVERS in chosen:
        left = list_entries(find_leftovers(cache))
        remove_abandoned(entry.path for entry in left if entry.days >= days)
    cache.clear(tuple(part for part in Cache.PARTS if part in chosen), days)
