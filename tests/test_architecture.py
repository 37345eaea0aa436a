"""Rooms import downward only, and no file is part of a circle.

Imports at the top of a file, inside functions and under ``TYPE_CHECKING`` count alike, and modules
named in strings have to exist.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the ground up; rooms of one storey do not know each other.
STOREYS = (
    ("core",),
    ("metrics", "stats"),
    ("data", "records"),
    ("suite",),
    ("encoding",),
    ("method",),
    ("models", "tasks", "verdicts"),
    ("training", "transforms", "execution", "report"),
    ("api", "methods"),
    ("integrations", "testing"),
    ("cli",),
)
HEIGHT = {room: height for height, rooms in enumerate(STOREYS) for room in rooms}
# What is at the root, or stands for data beside the code.
ROOMS = {"__main__": "cli", "suites": "suite"}
# A package of data.
_DATA = "bench.suites"
FACE = "bench"
_STRING = re.compile(r"bench(?:\.[a-z_][a-z0-9_]*)+")

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


def imports(files: Mapping[str, Path]) -> Imports:
    """What each file imports of the others, wherever in it."""
    # The face of the package hands out what others make, when it is asked for it.
    return {
        name: frozenset(_imported(path, files)) - {name, FACE}
        for name, path in files.items()
        if name != FACE
    }


def _imported(path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in files)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = [f"{node.module}.{one.name}" for one in node.names]
            yield from (one for one in named if one in files)
            if node.module in files and not all(one in files for one in named):
                yield node.module


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


def strings(files: Mapping[str, Path]) -> set[str]:
    """Names of modules in strings that are neither docstrings nor there."""
    return {
        f"{module}: {node.value}"
        for module, path in files.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _STRING.fullmatch(node.value)
        and not _is_known(node.value, files)
    }


def _is_known(name: str, files: Mapping[str, Path]) -> bool:
    return name == _DATA or any(name == one or one.startswith(f"{name}.") for one in files)


FILES = modules(ROOT)
ARROWS = imports(FILES)


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
    assert strings(FILES) == set()


TYPING = (
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from bench.cli.run import command"
)


@pytest.mark.parametrize(
    "planted",
    ["from bench.cli import run", "def f():\n    import bench.cli.run", TYPING],
)
def test_a_planted_import_of_any_sort_is_found(planted: str, tmp_path: Path) -> None:
    path = tmp_path / "errors.py"
    path.write_text(planted)
    arrows = imports({**FILES, "bench.core.errors": path})
    assert upward(arrows) == {"bench.core.errors -> bench.cli.run"}
    assert any("bench.core.errors" in circle for circle in circles(arrows))


def test_a_planted_name_of_no_module_is_found(tmp_path: Path) -> None:
    path = tmp_path / "errors.py"
    path.write_text('NAME = "bench.cli.no_such"')
    assert strings({**FILES, "bench.core.errors": path}) == {"bench.core.errors: bench.cli.no_such"}
