"""``bench cache``."""

from __future__ import annotations

import click
from tabulate import tabulate

from bench.cache import Cache, default_root


@click.group("cache")
def command() -> None:
    """Show or clear what is kept between runs: models, vectors, unfinished trainings, data."""


@command.command("size")
def size() -> None:
    """Show files and bytes of each part."""
    cache = Cache(default_root())
    rows = [[part, count, f"{used / 1e6:,.1f} MB"] for part, (count, used) in cache.sizes().items()]
    click.echo(str(cache.root))
    click.echo(tabulate(rows, ["Part", "Files", "Size"], colalign=("left", "right", "right")))


@command.command("clear")
@click.argument("parts", nargs=-1, type=click.Choice(Cache.PARTS))
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(parts: tuple[str, ...], yes: bool) -> None:
    """Delete PARTS of the cache, or all of it."""
    cache = Cache(default_root())
    chosen = parts or Cache.PARTS
    if not yes:
        click.confirm(f"delete {', '.join(chosen)} in {cache.root}?", abort=True, err=True)
    cache.clear(chosen)
