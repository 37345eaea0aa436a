"""Suites by name or file."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from bench.core.errors import UsageError
from bench.core.registry import SUITES, entry_point
from bench.core.toml import fit, read_toml
from bench.suite.kinds import MTEB_PREFIX
from bench.suite.suite import Group, Suite


def load_suites(name: str) -> list[Suite]:
    """Read a suite by registered name or path, those of a group, or make one of tasks of mteb.

    Args:
        name: ``sts7``, ``my.toml``, ``mteb:[STS12,SICK-R]`` or ``mteb:MTEB(eng, v2)``.

    Raises:
        UsageError: Unknown name, TOML that is malformed (the file and key are named), or a group
            that is among its own suites.
    """
    return _load(name, ())


def _load(name: str, within: tuple[str, ...]) -> list[Suite]:
    if name.startswith(MTEB_PREFIX):
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
