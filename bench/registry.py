"""Methods and suites by name; built-in and third-party ones come through entry points."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.method import Method

METHODS = "bench.methods"
SUITES = "bench.suites"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known names, or return an empty string."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(repr(one) for one in near)}?" if near else ""


@cache
def _entries(group: str) -> dict[str, list[EntryPoint]]:
    # An editable install beside a stale build lists the same entry twice; only another
    # distribution is a clash.
    found: dict[str, dict[str | None, EntryPoint]] = {}
    for entry in entry_points(group=group):
        owner = entry.dist.name if entry.dist else None
        found.setdefault(entry.name, {})[owner] = entry
    return {name: list(by_owner.values()) for name, by_owner in sorted(found.items())}


def names(group: str) -> list[str]:
    """All registered names of a group, sorted."""
    return list(_entries(group))


def _entry(group: str, what: str, name: str) -> EntryPoint:
    known = _entries(group)
    if name not in known:
        hint = did_you_mean(name, known) or f"'bench list {what}s' shows them all"
        raise UsageError(f"unknown {what} {name!r}; {hint}")
    if len(known[name]) > 1:
        owners = " and ".join(sorted(str(e.dist.name) for e in known[name] if e.dist))
        raise UsageError(f"{what} {name!r} is registered by {owners}; uninstall one of them")
    return known[name][0]


def owner(group: str, name: str) -> str:
    """Name of the distribution that registered an entry."""
    entry = _entries(group)[name][0]
    return entry.dist.name if entry.dist else "?"


def method_class(name: str) -> type[Method]:
    """Load the class of a method.

    Raises:
        UsageError: The name is unknown, registered twice, or its module cannot be imported.
    """
    entry = _entry(METHODS, "method", name)
    try:
        loaded = entry.load()
    except Exception as error:
        raise UsageError(
            f"method {name!r} of {owner(METHODS, name)} cannot be loaded: {error}"
        ) from error
    from bench.method import Method

    if not (isinstance(loaded, type) and issubclass(loaded, Method)):
        raise UsageError(f"method {name!r}: {entry.value} is not a subclass of bench.method.Method")
    if missing := sorted(loaded.__abstractmethods__):
        raise UsageError(f"method {name!r}: {entry.value} has no {' and no '.join(missing)}")
    return loaded


def suite_path(name: str) -> Path:
    """Find the TOML file of a suite: a registered name, or a path ending in ``.toml``.

    The entry point of a suite names the package that holds ``<name>.toml``.

    Raises:
        UsageError: No such suite or file.
    """
    if name.endswith(".toml"):
        path = Path(name)
    else:
        entry = _entry(SUITES, "suite", name)
        path = Path(str(files(entry.value) / f"{name}.toml"))
    if not path.is_file():
        raise UsageError(f"suite file {path} does not exist")
    return path
