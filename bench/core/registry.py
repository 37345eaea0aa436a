"""Names of methods and suites; built-in and third-party ones come through entry points."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from bench.core.errors import UsageError

METHODS = "bench.methods"
SUITES = "bench.suites"
EXECUTORS = "bench.executors"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known names, or return an empty string."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(repr(candidate) for candidate in near)}?" if near else ""


@cache
def _entries(group: str) -> dict[str, list[EntryPoint]]:
    # An editable install beside a stale build lists the same entry twice; only another
    # distribution is a clash.
    by_name: dict[str, dict[str | None, EntryPoint]] = {}
    for entry in entry_points(group=group):
        owner = entry.dist.name if entry.dist else None
        by_name.setdefault(entry.name, {})[owner] = entry
    return {name: list(by_owner.values()) for name, by_owner in sorted(by_name.items())}


# What registered an entry of this process: the file of Python that was named.
_files: dict[tuple[str, str], str] = {}


def register(entry: EntryPoint, file: str) -> None:
    """Register a name in this process alone.

    Args:
        entry: Its entry point.
        file: The file that it is of; the same name of the same file takes the other's place.

    Raises:
        UsageError: Something else has the name.
    """
    known = _entries(entry.group)
    key = entry.group, entry.name
    if entry.name in known and _files.get(key) != file:
        raise UsageError(
            f"{file}: {entry.name!r} is the name of a method of {owner(*key)} too; change info.name"
        )
    _files[key] = file
    known[entry.name] = [entry]


def names(group: str) -> list[str]:
    """All registered names of a group, sorted."""
    return list(_entries(group))


def entry_point(group: str, what: str, name: str) -> EntryPoint:
    """Find the entry point of a name.

    Args:
        group: Its group.
        what: What the group registers, for errors.
        name: The name.

    Raises:
        UsageError: The name is unknown, or registered twice.
    """
    known = _entries(group)
    if name not in known:
        hint = did_you_mean(name, known) or f"'bench list {what}s' shows them all"
        raise UsageError(f"unknown {what} {name!r}; {hint}")
    if len(known[name]) > 1:
        owners = " and ".join(sorted(str(e.dist.name) for e in known[name] if e.dist))
        raise UsageError(f"{what} {name!r} is registered by {owners}; uninstall one of them")
    return known[name][0]


def owner(group: str, name: str) -> str:
    """Name of the distribution, or the file, that registered an entry."""
    entry = _entries(group)[name][0]
    return entry.dist.name if entry.dist else _files.get((group, name), "?")
