"""``bench list``."""

from __future__ import annotations

from collections.abc import Callable

import click

from bench.cli.options import Verb
from bench.cli.terminal import listing, say
from bench.core import registry
from bench.core.errors import UsageError

OWN = "sentence-bench"


@click.command("list", cls=Verb)
@click.argument("what", type=click.Choice(["methods", "suites", "data"]))
def command(what: str) -> None:
    """List methods, suites or data sets."""
    if what == "data":
        from bench.cli.data import overview

        say(overview(None))
        return
    rows, headers = {"methods": _methods, "suites": _suites}[what]()
    say(listing(rows, headers))


def _methods() -> tuple[list[list[str]], list[str]]:
    rows = [_row(registry.METHODS, name, _method_row) for name in registry.names(registry.METHODS)]
    return rows, ["Method", "Kind", "", "What it is", "Paper", "From"]


def _method_row(name: str) -> list[str]:
    from bench.method import method_class

    info = method_class(name).info
    source = f"arXiv:{info.arxiv}" if info.arxiv else info.paper or ""
    return [name, info.kind, "trains" if info.trains else "", info.title, source]


def _suites() -> tuple[list[list[str]], list[str]]:
    rows = [_row(registry.SUITES, name, _suite_row) for name in registry.names(registry.SUITES)]
    return rows, ["Suite", "Convention", "Tasks", "What it is", "From"]


def _suite_row(name: str) -> list[str]:
    from bench.suite import Suite, read_suite

    suite = read_suite(name)
    protocol = suite.convention if isinstance(suite, Suite) else "several"
    size = f"{len(suite.tasks)}" if isinstance(suite, Suite) else f"{len(suite.suites)} suites"
    return [name, protocol, size, suite.title]


def _row(group: str, name: str, row: Callable[[str], list[str]]) -> list[str]:
    """A row of the table; of what cannot be loaded, why not."""
    try:
        cells = row(name)
    except UsageError as error:
        # A broken package of another author must not hide all the others.
        cells = [name, "", "", str(error), *([""] if group == registry.METHODS else [])]
    owner = registry.owner(group, name)
    return [*cells, "" if owner == OWN else owner]
