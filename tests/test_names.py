"""Names say what a thing is: none is ``found`` for long, and no two rooms name a class alike."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise

import pytest

from tests.test_architecture import FILES, room

VAGUE = "found"
# Names of classes and of types that several rooms define, and why.
SHARED: Mapping[str, str] = {
    "Arrays": "the same type, by rooms that do not know each other",
    "Floats": "the same type, abbreviated",
}


def vague(tree: ast.AST) -> Iterator[int]:
    """Lines that call something ``found`` without returning it in the next statement."""
    returned = set(_returned(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                pass
            case ast.Attribute(attr=name, ctx=ast.Store()) | ast.FunctionDef(name=name):
                pass
            case _:
                continue
        if name == VAGUE and node not in returned:
            yield node.lineno


def _returned(tree: ast.AST) -> Iterator[ast.AST]:
    """Names that a statement assigns and the one behind it returns, or what it makes of them."""
    for node in ast.walk(tree):
        for body in (getattr(node, field, None) for field in ("body", "orelse", "finalbody")):
            for before, behind in pairwise(body if isinstance(body, list) else ()):
                if isinstance(behind, ast.Return) and _reads(behind):
                    yield from _assigned(before)


def _assigned(statement: ast.stmt) -> list[ast.expr]:
    match statement:
        case ast.Assign(targets=targets):
            return targets
        case ast.AnnAssign(target=target):
            return [target]
    return []


def _reads(statement: ast.stmt) -> bool:
    return any(
        isinstance(node, ast.Name) and node.id == VAGUE and isinstance(node.ctx, ast.Load)
        for node in ast.walk(statement)
    )


def defined(tree: ast.Module) -> Iterator[str]:
    """Names of all classes of a file, and of the types that it gives a name at its top."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name
    for statement in tree.body:
        for target in _assigned(statement):
            if isinstance(target, ast.Name) and _is_type(target.id, statement):
                yield target.id


def _is_type(name: str, statement: ast.stmt) -> bool:
    bare = name.lstrip("_")
    # Variables of types are read in the file alone.
    variable = "TypeVar" in ast.unparse(statement)
    return bare[:1].isupper() and not bare.isupper() and not variable


def shared(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Rooms of each name that several of them define."""
    rooms = defaultdict(set)
    for module, tree in trees.items():
        for name in defined(tree):
            rooms[name].add(room(module))
    return {name: where for name, where in rooms.items() if len(where) > 1}


TREES = {
    module: ast.parse(path.read_text(encoding="utf-8"))
    for module, path in FILES.items()
    if module.count(".")
}


def test_what_is_found_has_a_name() -> None:
    assert [(module, line) for module, tree in TREES.items() for line in vague(tree)] == []


def test_no_two_rooms_define_a_class_of_one_name() -> None:
    assert {name: rooms for name, rooms in shared(TREES).items() if name not in SHARED} == {}


def test_what_is_defined_once_is_no_exception() -> None:
    assert SHARED.keys() - shared(TREES).keys() == set()


@pytest.mark.parametrize(
    "planted",
    [
        "def f():\n    found = []\n    found.append(1)\n    return found",
        "def f():\n    found = 1\n    return 2",
        "def f(found):\n    return found",
        "def f(rows):\n    return [found for found in rows]",
        "def f():\n    with open('x') as found:\n        return found",
        "class Rows:\n    found: int",
        "def f(self):\n    self.found = 1",
    ],
)
def test_a_planted_find_is_named(planted: str) -> None:
    assert len([*vague(ast.parse(planted))]) == 1


@pytest.mark.parametrize(
    "planted",
    [
        "def f():\n    found = 1\n    return found",
        "def f():\n    if True:\n        found: list[int] = g()\n        return sorted(found)",
    ],
)
def test_what_is_returned_at_once_may_be_found(planted: str) -> None:
    assert [*vague(ast.parse(planted))] == []


@pytest.mark.parametrize("planted", ["class _Kept:\n    pass", "_Kept = tuple[int, str]"])
def test_a_planted_class_of_a_known_name_is_named(planted: str) -> None:
    trees = {
        "bench.core.one": ast.parse(planted),
        "bench.core.two": ast.parse(planted),
        "bench.data.one": ast.parse(planted),
    }
    assert shared(trees) == {"_Kept": {"core", "data"}}
    assert shared({name: trees[name] for name in ("bench.core.one", "bench.core.two")}) == {}
