"""``bench show``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from bench.cli import completers
from bench.cli.options import Verb
from bench.cli.terminal import say, terminal_width
from bench.core import registry
from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec

if TYPE_CHECKING:
    from bench.core.descriptions import Description

KINDS = ("method", "suite", "data", "claim")


@click.command("show", cls=Verb)
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME…", shell_complete=completers.anything
)
@click.option("--kind", type=click.Choice(KINDS), help="Only what is of this kind.")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "markdown"]),
    default="text",
    help="markdown: a section of a page [text].",
)
def command(names: tuple[str, ...], kind: str | None, style: str) -> None:
    """Say what NAME is: a method, suite, data set or claim, with options, data and an example.

    A suite may also be a TOML file.
    """
    from bench.method.files import with_files
    from bench.report.descriptions import as_markdown, as_text

    descriptions = [one for name in map(with_files, names) for one in _describe(name, kind)]
    if style == "markdown":
        say("\n".join(map(as_markdown, descriptions)).rstrip())
        return
    width = terminal_width()
    say("\n\n".join(as_text(one, width) for one in descriptions))


def _describe(name: str, kind: str | None) -> list[Description]:
    """What is called by a name, of one kind or of all.

    Raises:
        UsageError: Nothing is.
    """
    if name.endswith(".toml") and kind in (None, "suite"):
        return [_describer("suite")(name)]
    if name.startswith("mteb:"):
        raise UsageError(f"{name}: mteb describes its tasks, as mteb.get_task(NAME).metadata")
    wanted = KINDS if kind is None else (kind,)
    known = {one: _known(one) for one in wanted}
    matching = [one for one in wanted if name in known[one]]
    if not matching and "method" in wanted:
        # A spec with options, a checkpoint or a model is of a method.
        with suppress(UsageError):
            method = parse_method_spec(name).name
            matching, name = (["method"], method) if method in known["method"] else ([], name)
    if not matching:
        candidates = dict.fromkeys(other for names in known.values() for other in names)
        what = kind or "method, suite, data set or claim"
        others = "'bench claims'" if kind == "claim" else "'bench list' and 'bench claims'"
        hint = registry.did_you_mean(name, candidates) or f"see {others}"
        raise UsageError(f"unknown {what} {name!r}; {hint}")
    return [_describer(one)(name) for one in matching]


def _known(kind: str) -> Collection[str]:
    if kind in ("method", "suite"):
        return registry.names(registry.METHODS if kind == "method" else registry.SUITES)
    if kind == "data":
        from bench.data.catalog import catalog

        return catalog()
    from bench.verdicts.description import claims_by_name

    return claims_by_name()


def _describer(kind: str) -> Callable[[str], Description]:
    if kind == "method":
        from bench.method.description import describe_method

        return describe_method
    if kind == "suite":
        from bench.suite.description import describe_suite

        return describe_suite
    if kind == "data":
        from bench.data.description import describe_data

        return describe_data
    from bench.verdicts.description import describe_claim

    return describe_claim
