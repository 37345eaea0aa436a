"""Which modules a module runs, found by its import statements alone.

Nothing is imported: modules of methods bring libraries that take seconds, and a fingerprint is
asked for before any of them is needed.
"""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path

_PARSER = threading.Lock()


@cache
def imported(module: str, within: tuple[str, ...]) -> tuple[str, ...]:
    """Modules within some packages that a module imports, directly or through one another.

    Imports inside functions count, those under ``TYPE_CHECKING`` do not, as they never run.

    Args:
        module: Full name of the module.
        within: Full names of packages and modules; others are not looked into.

    Returns:
        Full names, sorted, without the module itself.

    Raises:
        ModuleNotFoundError: There is no such module.
    """
    reached: set[str] = set()
    open_ = [module]
    while open_:
        named = {name for name in _named(open_.pop()) if _is_within(name, within)}
        new = {name for name in named if _is_module(name)} - reached
        reached |= new
        open_ += sorted(new)
    return tuple(sorted(reached - {module}))


def _is_within(module: str, within: Sequence[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in within)


@cache
def _named(module: str) -> frozenset[str]:
    """Names in a module's import statements: of modules, and of what may be one."""
    path = source_file(module)
    names = _Names(module if path.name == "__init__.py" else module.rpartition(".")[0])
    # Python 3.11 counts the depth of all threads' trees together (CPython issue 106905).
    with _PARSER:
        tree = ast.parse(path.read_bytes())
    names.visit(tree)
    return frozenset(names.modules)


@cache
def _is_module(name: str) -> bool:
    try:
        source_file(name)
    except ModuleNotFoundError:
        return False
    return True


def source_file(module: str) -> Path:
    """File of a module, that of its ``__init__`` for a package.

    Raises:
        ModuleNotFoundError: There is no such module, or it has no file of Python.
    """
    spec = _spec(module)
    place = spec.origin if spec is not None else None
    if place is None:
        # What a user runs as a script is found by nobody.
        place = getattr(sys.modules.get(module), "__file__", None)
    if place is None or not place.endswith(".py"):
        raise ModuleNotFoundError(f"there is no source of a module {module!r}")
    return Path(place)


@cache
def _spec(module: str) -> ModuleSpec | None:
    """What the import system knows of a module, whose packages are not imported for it."""
    package, _, _ = module.rpartition(".")
    path = None
    if package:
        above = _spec(package)
        if above is None or above.submodule_search_locations is None:
            return None
        path = list(above.submodule_search_locations)
    specs = (finder.find_spec(module, path) for finder in sys.meta_path)
    return next((spec for spec in specs if spec is not None), None)


class _Names(ast.NodeVisitor):
    """Collects what import statements name."""

    def __init__(self, package: str) -> None:
        self.modules: set[str] = set()
        self._package = package

    def visit_If(self, node: ast.If) -> None:
        """Leave out what only type checkers read."""
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)
            return
        for statement in node.orelse:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        """Take ``import a.b``."""
        self.modules |= {alias.name for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Take ``from a import b``: a, and b, which may be a module of it."""
        base = node.module or ""
        if node.level:
            above = self._package.split(".")
            kept = above[: len(above) - node.level + 1]
            base = ".".join([*kept, base]) if base else ".".join(kept)
        self.modules |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
