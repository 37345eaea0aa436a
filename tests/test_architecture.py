"""Rooms import downward only, and no file is part of a circle.

Imports at the top of a file, inside functions and under ``TYPE_CHECKING`` count alike, relative
ones and those through ``bench`` itself too. Modules named in strings have to exist, and those above
are named for a reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the ground up; rooms of one storey do not know each other.
STOREYS = (
    ("core",),
    ("metrics", "stats"),
    ("data", "records"),
    ("suite",),
    ("encoding", "tracking"),
    ("method",),
    ("models", "tasks", "verdicts"),
    ("training", "transforms", "execution", "report"),
    ("jobs",),
    ("api", "methods"),
    ("integrations", "testing"),
    ("cli",),
)
HEIGHT = {room: height for height, rooms in enumerate(STOREYS) for room in rooms}
# What is at the root, or stands for data beside the code.
ROOMS = {"__main__": "cli", "suites": "suite"}
# A package of data, and a group of entry points that lie in a room of another name.
_NO_MODULES = {"bench.suites", "bench.executors"}
FACE = "bench"
_STRING = re.compile(r"(bench(?:\.[a-z_][a-z0-9_]*)+)(?::\w+)?")
# Who names modules above without importing them, and why.
NAMES: Mapping[str, str] = {
    "bench.core.registry": "entry points of methods lie in the group bench.methods",
    "bench.models.build": "a fingerprint reads the code that makes vectors",
    "bench.transforms.method": "a fingerprint reads the code that maps vectors",
}

Imports = Mapping[str, frozenset[str]]


def modules(root: Path) -> dict[str, Path]:
    """All files of a tree by the name under which they are imported."""
    found = {}
    for folder, package in (("bench", "bench"), ("methods", "bench.methods")):
        for path in (root / folder).rglob("*.py"):
            parts = path.relative_to(root / folder).with_suffix("").parts
            names = [package, *(part for part in parts if part != "__init__")]
            found[".".join(names)] = path
    return found


@cache
def parsed(path: Path) -> ast.Module:
    """The tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(files: Mapping[str, Path]) -> Imports:
    """What each file imports of the others, wherever in it."""
    # The face of the package hands out what others make, when it is asked for it.
    behind = {
        f"{FACE}.{one.name}": node.module
        for node in ast.walk(parsed(files[FACE]))
        if isinstance(node, ast.ImportFrom) and node.module in files.keys() - {FACE}
        for one in node.names
    }
    found = {}
    for name, path in files.items():
        named = {*_imported(name, path, files)}
        if FACE in named:
            named |= {*behind.values()}
        through = {behind.get(one, one) for one in named}
        found[name] = frozenset(through & files.keys()) - {name, FACE}
    del found[FACE]
    return found


def _imported(module: str, path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    """Modules that a file imports, and names that it imports from ``bench`` itself."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _source(module, node, is_package=files[module].name == "__init__.py")
            named = [f"{source}.{one.name}" for one in node.names]
            yield from named
            if source != FACE and not all(one in files for one in named):
                yield source


def _source(module: str, node: ast.ImportFrom, *, is_package: bool) -> str:
    """Full name of what an import is from, which a relative one says in dots."""
    parts = module.split(".")
    above = parts[: len(parts) - node.level + is_package] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


def room(module: str) -> str:
    """The room that a file belongs to, which is the folder it lies in."""
    name = module.split(".")[1]
    return ROOMS.get(name, name)


def upward(arrows: Imports) -> set[str]:
    """Imports of a room above, or beside on the same storey."""
    return {
        f"{module} -> {other}"
        for module, others in arrows.items()
        for other in others
        if room(module) != room(other) and HEIGHT[room(other)] >= HEIGHT[room(module)]
    }


def circles(arrows: Imports) -> list[set[str]]:
    """Files that reach each other, by Tarjan (1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(one: str) -> None:
        index[one] = low[one] = len(index)
        stack.append(one)
        for other in arrows[one]:
            if other not in index:
                visit(other)
                low[one] = min(low[one], low[other])
            elif other in stack:
                low[one] = min(low[one], index[other])
        if low[one] == index[one]:
            place = stack.index(one)
            if len(stack) - place > 1:
                found.append(set(stack[place:]))
            del stack[place:]

    for one in arrows:
        if one not in index:
            visit(one)
    return found


def strings(files: Mapping[str, Path]) -> Imports:
    """Modules that each file names in strings of nothing else, whether they exist or not."""
    return {
        module: frozenset(
            whole[1]
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            if (whole := _STRING.fullmatch(node.value)) and whole[1] not in _NO_MODULES
        )
        for module, path in files.items()
    }


def unknown(named: Imports, files: Mapping[str, Path]) -> set[str]:
    """Names in strings that are of no module."""
    return {
        f"{module} -> {name}"
        for module, names in named.items()
        for name in names
        if not _is_known(name, files)
    }


def named_above(named: Imports, files: Mapping[str, Path]) -> set[str]:
    """Modules of a room above, or beside, that strings name, except where ``NAMES`` says why."""
    known = {
        module: frozenset(name for name in names if _is_known(name, files))
        for module, names in named.items()
        if module not in NAMES
    }
    return upward(known)


def _is_known(name: str, files: Mapping[str, Path]) -> bool:
    return any(name == one or one.startswith(f"{name}.") for one in files)


FILES = modules(ROOT)
ARROWS = imports(FILES)
NAMED = strings(FILES)


def test_rooms_import_downward_only() -> None:
    assert upward(ARROWS) == set()


def test_what_judges_records_knows_nothing_of_what_makes_them() -> None:
    making = {"models", "tasks", "training", "transforms", "execution", "api", "methods"}
    known = {
        f"{module} -> {other}"
        for module, others in ARROWS.items()
        for other in others
        if room(module) in {"verdicts", "report"} and room(other) in making
    }
    assert known == set()


def test_no_file_is_part_of_a_circle() -> None:
    assert circles(ARROWS) == []


def test_modules_named_in_strings_exist() -> None:
    assert unknown(NAMED, FILES) == set()


def test_modules_above_are_not_named_in_strings() -> None:
    assert named_above(NAMED, FILES) == set()


def test_who_names_none_above_is_no_exception() -> None:
    assert {module for module in NAMES if not upward({module: NAMED[module]})} == set()


TYPING = (
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bench.cli.run import command"
)


@pytest.mark.parametrize(
    "planted",
    [
        "from bench.cli import run",
        "from bench.cli.run import *",
        "from ..cli import run",
        "from ..cli.run import command",
        "def f():\n    import bench.cli.run",
        TYPING,
    ],
)
def test_a_planted_import_of_any_sort_is_found(planted: str, tmp_path: Path) -> None:
    path = tmp_path / "errors.py"
    path.write_text(planted)
    arrows = imports({**FILES, "bench.core.errors": path})
    assert upward(arrows) == {"bench.core.errors -> bench.cli.run"}
    assert any("bench.core.errors" in circle for circle in circles(arrows))


@pytest.mark.parametrize(
    "planted",
    ["from bench import run", "from .. import run", "from .. import api", "import bench"],
)
def test_a_planted_import_through_the_face_is_found(planted: str, tmp_path: Path) -> None:
    path = tmp_path / "errors.py"
    path.write_text(planted)
    arrows = imports({**FILES, "bench.core.errors": path})
    assert upward(arrows) == {"bench.core.errors -> bench.api"}


def test_the_version_is_for_all(tmp_path: Path) -> None:
    path = tmp_path / "errors.py"
    path.write_text("from bench import __version__")
    assert imports({**FILES, "bench.core.errors": path})["bench.core.errors"] == frozenset()


def test_a_planted_name_of_no_module_is_found(tmp_path: Path) -> None:
    path = tmp_path / "errors.py"
    path.write_text('NAME = "bench.cli.no_such"')
    files = {**FILES, "bench.core.errors": path}
    assert unknown(strings(files), files) == {"bench.core.errors -> bench.cli.no_such"}


@pytest.mark.parametrize("planted", ["bench.cli.run", "bench.cli.run:command"])
def test_a_planted_name_of_a_module_above_is_found(planted: str, tmp_path: Path) -> None:
    path = tmp_path / "errors.py"
    path.write_text(f'NAME = "{planted}"')
    files = {**FILES, "bench.core.errors": path}
    assert named_above(strings(files), files) == {"bench.core.errors -> bench.cli.run"}
