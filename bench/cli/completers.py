"""What shells complete in place of values: methods, suites, data sets and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

from bench.core import registry
from bench.core.defaults import DEFAULT_SUITE, PROFILES
from bench.core.errors import BenchError

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
_Words = Callable[[click.Context], Iterable[str]]


def completes(words: _Words, *, listed: bool = True) -> Completer:
    """What completes an option or argument.

    Args:
        words: All words there are.
        listed: Whether several may be joined by commas, of which the last is completed.
    """

    def complete(
        ctx: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",") if listed else ("", "", incomplete)
        if last.startswith((".", "/", "~")):
            return [CompletionItem(incomplete, type="file")]
        try:
            return [
                CompletionItem(f"{before}{comma}{word}")
                for word in words(ctx)
                if word.startswith(last)
            ]
        except BenchError:
            # Of what cannot be read nothing is known; the command itself says so.
            return []

    return complete


def _methods(ctx: click.Context) -> Iterable[str]:
    return registry.names(registry.METHODS)


def _suites(ctx: click.Context) -> Iterable[str]:
    return registry.names(registry.SUITES)


def _data(ctx: click.Context) -> Iterable[str]:
    from bench.data.catalog import catalog

    return catalog()


def _tasks(ctx: click.Context) -> Iterable[str]:
    from bench.suite import load_suites

    named = ctx.params.get("suites") or (DEFAULT_SUITE,)
    suites = [suite for name in named for suite in load_suites(name)]
    return dict.fromkeys(task.name for suite in suites for task in suite.tasks)


methods = completes(_methods)
suites = completes(_suites)
tasks = completes(_tasks)
data = completes(_data, listed=False)
profiles = completes(lambda ctx: PROFILES, listed=False)
executors = completes(lambda ctx: registry.names(registry.EXECUTORS), listed=False)
anything = completes(lambda ctx: [*_methods(ctx), *_suites(ctx), *_data(ctx)], listed=False)
