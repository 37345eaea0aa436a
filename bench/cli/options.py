"""Verbs and their options: what is given several times adds up, or is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import click

from bench.cli import completers
from bench.core.errors import UsageError
from bench.core.spec import split_list

Decorator = Callable[[Any], Any]


class Verb(click.Command):
    """A command that takes each option with one value once; the library would keep the last."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words of the command line.

        Raises:
            UsageError: An option with one value is given twice, or two that exclude each other.
        """
        if not ctx.resilient_parsing:
            _, _, order = self.make_parser(ctx).parse_args(args=[*args])
            _refuse_repeated([one for one in order if isinstance(one, click.Option)])
        return super().parse_args(ctx, args)


class VerbGroup(click.Group):
    """A command that has commands of its own."""

    command_class = Verb


def _refuse_repeated(given: Sequence[click.Option]) -> None:
    counts = Counter(option.name for option in given if _has_one_value(option))
    for option in given:
        if counts[option.name] < 2:
            continue
        names = dict.fromkeys(max(one.opts, key=len) for one in given if one.name == option.name)
        if len(names) > 1:
            raise UsageError(f"{' and '.join(names)} exclude each other: give one of them")
        raise UsageError(f"{next(iter(names))} is given more than once: give one value")


def _has_one_value(option: click.Option) -> bool:
    """Whether a second value would take the place of the first; a switch is on, however often."""
    return not (option.multiple or option.count or option.is_bool_flag)


def list_option(*names: str, text: str, **more: Any) -> Decorator:
    """An option that is a list: separated by commas, given several times, or both.

    The command gets a tuple, or None where it is not given.

    Args:
        names: Its names, and the parameter's where it is called otherwise.
        text: What its help says.
        more: Further arguments of ``click.option``.
    """
    return click.option(*names, multiple=True, callback=_parts, help=text, **more)


def _parts(
    ctx: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...] | None:
    parts = tuple(part for value in values for part in split_list(value))
    if values and not parts:
        raise UsageError(
            f"{option.opts[0]} {values[0]!r} names nothing; leave it out, or name something"
        )
    return parts if values else None


def methods_option(text: str) -> Decorator:
    """``--methods`` of a command that reads records, with files of Python by their methods' names.

    Args:
        text: What its help says.
    """
    return click.option(
        "--methods",
        "-m",
        multiple=True,
        callback=_methods,
        shell_complete=completers.methods,
        help=text,
    )


def _methods(
    ctx: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...] | None:
    from bench.method.files import with_files

    names = _parts(ctx, option, values)
    return None if names is None else tuple(map(with_files, names))


def suites_option(text: str = "Only these suites.") -> Decorator:
    """``--suite`` of a command that reads records; it gets the names that those have.

    Args:
        text: What its help says.
    """
    return click.option(
        "--suite",
        "-s",
        "suites",
        multiple=True,
        callback=_suites,
        shell_complete=completers.suites,
        help=text,
    )


def _suites(
    ctx: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...] | None:
    names = _parts(ctx, option, values)
    return None if names is None else recorded_names(names)


def recorded_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of suites as records have them: of a TOML file its suite's, of a group its members'.

    Raises:
        UsageError: A file does not exist, or is no suite.
    """
    from bench.core import registry
    from bench.suite import load_suites, split_part

    known = registry.names(registry.SUITES)
    loaded = [
        [suite.name for suite in load_suites(name)]
        if (whole := split_part(name)[0]) in known or whole.endswith(".toml")
        # Records may be of suites that are not installed here.
        else [name]
        for name in names
    ]
    return tuple(dict.fromkeys(name for members in loaded for name in members))
