"""``bench completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from bench.cli.options import Verb
from bench.cli.terminal import say
from bench.core.errors import UsageError

COMMANDS = ("bench", "sentence-bench")
# What the library asks for, by the name that the command line has for it.
_VARIABLE = "_BENCH_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print what makes SHELL complete commands, options, methods, suites and data sets.

    Once for all: eval "$(bench completion bash)" in ~/.bashrc, the same with zsh in ~/.zshrc, or
    bench completion fish > ~/.config/fish/completions/bench.fish.
    """
    source = get_completion_class(shell)
    if source is None:
        raise UsageError(f"nothing is completed in {shell}")
    group = click.get_current_context().find_root().command
    for name in COMMANDS:
        say(source(group, {}, name, _VARIABLE).source())
