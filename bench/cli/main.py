"""Dispatch of the verbs, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

import bench
from bench import __version__
from bench.cli.ending import bug, end_by_signals, exit_of
from bench.cli.namesakes import mixed_line
from bench.cli.streams import complaint, guard
from bench.cli.terminal import say
from bench.core.errors import EXIT_BUG, EXIT_OK, EXIT_USAGE, BenchError, UsageError
from bench.core.files import out_of_room
from bench.core.libraries import LibraryWarnings
from bench.core.registry import did_you_mean

_VERBS = {
    "run": "Train or load methods, evaluate them on a suite, print the table.",
    "list": "List methods, suites or data sets.",
    "show": "Say what a method, suite, data set or claim is.",
    "data": "List, fetch, verify or import data sets.",
    "table": "Print the table of records on disk.",
    "report": "Write records as one page for a browser.",
    "view": "Serve that page, with all items, to this machine.",
    "compare": "Compare two methods: differences, intervals, p-values.",
    "gate": "Fail where records are worse than a baseline.",
    "history": "Show scores over commits.",
    "claims": "Answer what papers claim from measured records.",
    "export": "Write records for other tools, and trained models with a card.",
    "push": "Upload a trained model with its card to the hub.",
    "check": "Check that a method keeps the contract.",
    "cache": "Show or clear what is kept between runs.",
    "completion": "Print what makes a shell complete all this.",
}


class _LazyGroup(click.Group):
    """Loads a verb's module only when that verb is called, so that help is instant."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            # The library would print an empty line.
            raise click.Abort from interrupt

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _VERBS and ctx.resilient_parsing:
            return None
        if cmd_name not in _VERBS:
            hint = did_you_mean(cmd_name, _VERBS) or "'bench --help' shows them all"
            raise UsageError(f"unknown command {cmd_name!r}; {hint}")
        module = importlib.import_module(f"bench.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # The library's own would load the module of every verb.
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(verb, help=text)
            for verb, text in _VERBS.items()
            if verb.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bench")
def cli() -> None:
    """Benchmark methods that make sentence embeddings."""
    click.get_current_context().with_resource(_one_line_of_warnings())
    if (mixed := mixed_line(Path(bench.__file__).parent)) is not None:
        say(f"bench: {mixed}", err=True)


@contextmanager
def _one_line_of_warnings() -> Iterator[None]:
    """Tell at the end, in one line, what libraries would have written to stderr."""
    with LibraryWarnings() as heard:
        try:
            yield
        finally:
            if (line := heard.summary()) is not None:
                say(f"bench: {line}", err=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        result: Any = cli.main(arguments, prog_name="bench", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort) as interrupt:
        return _fail(*exit_of(interrupt, sys.argv[1:] if arguments is None else arguments))
    except BenchError as error:
        return _fail(str(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message(), err=True)
        return EXIT_USAGE
    except click.ClickException as error:
        return _fail(error.format_message(), EXIT_USAGE)
    except Exception as error:
        known = out_of_room(error) or _too_long(error)
        return _fail(known, EXIT_USAGE) if known else _fail(bug(error), EXIT_BUG)
    return result if isinstance(result, int) else EXIT_OK


def _too_long(error: Exception) -> str | None:
    """That a name is too long for the file system, wherever that came up."""
    if not isinstance(error, OSError) or error.errno != errno.ENAMETOOLONG:
        return None
    return f"{str(error.filename)[:100]}…: this file name is too long"


def _fail(message: str, code: int) -> int:
    say(f"bench: {' '.join(message.split())}", err=True)
    return code


def entry() -> None:
    """Console script."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    output = guard()
    end_by_signals()
    code = main()
    unwritten = complaint(output)
    if unwritten:
        code = _fail(unwritten, code or EXIT_USAGE)
    sys.exit(code)
