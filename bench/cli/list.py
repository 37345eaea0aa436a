"""``bench list``."""

from __future__ import annotations

import click
from tabulate import tabulate

from bench import registry


@click.command("list")
@click.argument("what", type=click.Choice(["methods", "suites", "data"]))
def command(what: str) -> None:
    """List methods, suites or data sets."""
    rows, headers = {"methods": _methods, "suites": _suites, "data": _data}[what]()
    click.echo(tabulate(rows, headers, tablefmt="simple", disable_numparse=True))


def _methods() -> tuple[list[list[str]], list[str]]:
    rows = []
    for name in registry.names(registry.METHODS):
        info = registry.method_class(name).info
        source = f"arXiv:{info.arxiv}" if info.arxiv else info.paper or ""
        trains = "trains" if info.trains else ""
        rows.append([name, info.kind, trains, info.title, source, _owner(registry.METHODS, name)])
    return rows, ["Method", "Kind", "", "What it is", "Paper", "From"]


def _suites() -> tuple[list[list[str]], list[str]]:
    from bench.suite import Suite, read_suite

    rows = []
    for name in registry.names(registry.SUITES):
        suite = read_suite(name)
        protocol = suite.convention if isinstance(suite, Suite) else "several"
        size = f"{len(suite.tasks)}" if isinstance(suite, Suite) else f"{len(suite.suites)} suites"
        rows.append([name, protocol, size, suite.title, _owner(registry.SUITES, name)])
    return rows, ["Suite", "Convention", "Tasks", "What it is", "From"]


def _data() -> tuple[list[list[str]], list[str]]:
    from bench.data.catalog import catalog

    rows = [
        [f"{name}:{split}", f"{facts.rows:,}", dataset.licence]
        for name, dataset in catalog().items()
        for split, facts in dataset.splits.items()
    ]
    return rows, ["Data", "Rows", "Licence"]


def _owner(group: str, name: str) -> str:
    return registry.owner(group, name)
