"""``bench check``."""

from __future__ import annotations

import click

from bench.cli import completers
from bench.cli.options import Verb
from bench.cli.terminal import say
from bench.core.spec import split_list


@click.command("check", cls=Verb)
@click.argument("methods", nargs=-1, required=True, shell_complete=completers.methods)
@click.option("--data", help="Data folder [$BENCH_DATA].")
def command(methods: tuple[str, ...], data: str | None) -> int:
    """Check that METHODS keep the contract: build in profile smoke, then encode or answer."""
    from bench.core.bar import Bar
    from bench.testing import check_method

    broken = 0
    with Bar() as bar:
        for spec in (part for text in methods for part in split_list(text)):
            for finding in check_method(spec, data=data, progress=bar):
                broken += not finding.holds
                say(f"{'ok  ' if finding.holds else 'FAIL'} {spec}: {finding.rule}")
    return 3 if broken else 0
