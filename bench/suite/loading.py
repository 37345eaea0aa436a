"""Suites by name or file."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from bench.core.defaults import USUAL
from bench.core.errors import UsageError
from bench.core.registry import SUITES, entry_point
from bench.core.toml import fit, read_toml
from bench.suite.part import (
    is_of_mteb,
    parts_of_suites,
    refuse_unknown,
    split_part,
    tasks_of_part,
)
from bench.suite.suite import Group, Suite


def load_suites(name: str) -> list[Suite]:
    """Read a suite by registered name or path, those of a group, or make one of tasks of mteb.

    Args:
        name: ``sts7``, ``my.toml``, ``mteb:[STS12,SICK-R]`` or ``mteb:MTEB(eng, v2)``; some of its
            tasks behind it in brackets, ``sts7[STS12,STS-B]``.

    Raises:
        UsageError: Unknown name, TOML that is malformed (the file and key are named), a group
            that is among its own suites, or a task that there is not.
    """
    whole, part = split_part(name)
    suites = _load(whole, ())
    return parts_of_suites(suites, tasks_of_part(part), whole) if part else suites


def only_tasks(names: Sequence[str], tasks: Sequence[str]) -> list[str]:
    """Names of the parts of some suites that have some tasks.

    Args:
        names: Names of suites, see ``load_suites``.
        tasks: Names of tasks, each of which one of the suites has.

    Raises:
        UsageError: No suite has one of the tasks, a suite has none of them, or none is named.
    """
    by_name = {name: load_suites(name) for name in names}
    loaded = [suite for suites in by_name.values() for suite in suites]
    refuse_unknown(loaded, tasks, " and ".join(by_name))
    parts = []
    for name, suites in by_name.items():
        there = dict.fromkeys(task.name for suite in suites for task in suite.tasks)
        kept = [task for task in there if task in tasks]
        if not kept:
            raise UsageError(
                f"{name} has none of the tasks {', '.join(tasks) or 'named'}; leave it out, or "
                f"choose of {', '.join(there)}"
            )
        whole = split_part(name)[0]
        is_all = [suite.name for suite in parts_of_suites(suites, kept, name)] == [
            suite.name for suite in suites
        ]
        parts.append(name if is_all else f"{whole}[{','.join(kept)}]")
    return parts


def default_profile(names: Sequence[str]) -> str:
    """The profile of a run of some suites that names none.

    Args:
        names: Names of suites, see ``load_suites``.

    Raises:
        UsageError: They have several.
    """
    by_profile: dict[str, str] = {}
    for name in names:
        suites = [] if is_of_mteb(name) else load_suites(name)
        for suite in suites:
            by_profile.setdefault(suite.profile, suite.name)
        if not suites:
            by_profile.setdefault(USUAL, name)
    if len(by_profile) > 1:
        told = " and ".join(f"{name} in {profile}" for profile, name in by_profile.items())
        raise UsageError(f"without --profile {told} would run; choose one: --profile NAME")
    return next(iter(by_profile), USUAL)


def _load(name: str, within: tuple[str, ...]) -> list[Suite]:
    if is_of_mteb(name):
        # Imported late: mteb takes seconds, and only such suites need it.
        from bench.suite.mteb import make_suite

        return [make_suite(name)]
    if name in within:
        circle = " → ".join((*within[within.index(name) :], name))
        raise UsageError(f"group {name!r} is among its own suites: {circle}; take it out there")
    suite_or_group = read_suite(name)
    if isinstance(suite_or_group, Suite):
        return [suite_or_group]
    return [suite for member in suite_or_group.suites for suite in _load(member, (*within, name))]


def load_suite(name: str) -> Suite:
    """Read one suite, see ``load_suites``.

    Raises:
        UsageError: As there, or the name is that of a group.
    """
    suites = load_suites(name)
    if len(suites) != 1:
        raise UsageError(
            f"{name!r} is a group of several suites: {', '.join(s.name for s in suites)}"
        )
    return suites[0]


def read_suite(name: str) -> Suite | Group:
    """Read the TOML file of a registered name, or of a path.

    Raises:
        UsageError: Unknown name, or TOML that is malformed (the file and key are named).
    """
    path = suite_path(name)
    content = read_toml(path)
    if "suites" in content:
        return fit(Group, content, path, "suite")
    return fit(Suite, {**content, "path": path}, path, "suite")


def suite_path(name: str) -> Path:
    """Find the TOML file of a suite: a registered name, or a path ending in ``.toml``.

    The entry point of a suite names the package that holds ``<name>.toml``.

    Raises:
        UsageError: No such suite or file.
    """
    if name.endswith(".toml"):
        path = Path(name)
    else:
        entry = entry_point(SUITES, "suite", name)
        path = Path(str(files(entry.value) / f"{name}.toml"))
    if not path.is_file():
        raise UsageError(f"suite file {path} does not exist")
    return path
