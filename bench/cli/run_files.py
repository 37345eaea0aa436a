"""Reading of a run as a file, whose keys are the long options of ``bench run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bench.core.errors import UsageError
from bench.core.registry import did_you_mean
from bench.core.toml import read_toml

# Of one call, and no part of a run.
_NOT_IN_A_FILE = {"dry-run", "format", "help", "shard"}


def read_run_file(ctx: click.Context, argument: click.Parameter, value: str | None) -> str | None:
    """Take what a file says for what the command line does not say.

    Raises:
        UsageError: There is no such file, or a key or value of it is none of the command's.
    """
    if value is None or ctx.resilient_parsing:
        return value
    path = Path(value)
    if not value.endswith(".toml") or not path.is_file():
        raise UsageError(
            f"{value}: no such file; a run is a file that ends in .toml, and suites and methods "
            "are named by --suite and --methods"
        )
    content = read_toml(path)
    if "convention" in content:
        raise UsageError(f"{path} is a suite, not a run: bench run --suite {path}")
    options = {
        name.removeprefix("--"): option
        for option in ctx.command.params
        if isinstance(option, click.Option)
        for name in option.opts
        if name.startswith("--")
    }
    known = options.keys() - _NOT_IN_A_FILE
    ctx.default_map = {
        str(options[key].name): _checked(path, key, given, options[key], ctx)
        for key, given in content.items()
        if _refuse_unknown(path, key, sorted(known))
    }
    return value


def _refuse_unknown(path: Path, key: str, known: list[str]) -> bool:
    if key not in known:
        hint = did_you_mean(key, known) or f"it may have {', '.join(known)}"
        raise UsageError(f"{path}: unknown key {key!r}; {hint}")
    return True


def _checked(path: Path, key: str, given: Any, option: click.Option, ctx: click.Context) -> Any:
    """A value as the option takes it, which is read as that of the command line is.

    Raises:
        UsageError: It does not fit.
    """
    several = option.multiple
    texts = given if several and isinstance(given, list) else [given]
    for one in texts:
        kinds: tuple[type, ...] = (bool,) if option.is_flag else (str, int)
        if not isinstance(one, kinds) or (isinstance(one, bool) and not option.is_flag):
            number = isinstance(option.type, click.IntRange)
            one_of_it = "a whole number" if number else "a text"
            what = "true or false" if option.is_flag else one_of_it + " or a list" * several
            raise UsageError(f"{path}: key {key!r}: {one!r} is not {what}")
        try:
            option.type.convert(one, option, ctx)
        except click.BadParameter as error:
            raise UsageError(f"{path}: key {key!r}: {error.message}") from None
    return [str(one) for one in texts] if several else given
