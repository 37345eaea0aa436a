"""Every package says what lives there, what it may import and where a new thing goes.

What it says is true: modules that it names exist, and rooms are those that its files import.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from tests.test_architecture import ARROWS, FACE, FILES, HEIGHT, ROOT, Imports, room

PACKAGES = {name: path for name, path in FILES.items() if path.name == "__init__.py"}
LINES = range(5, 9)
_QUOTED = re.compile(r"``([^`]+)``")
_IMPORTED = re.compile(r"\bImported\s+(?:is|are)\b(.*?)[.;:](?:\s|$)", re.DOTALL)
_NEW = re.compile(r"\bnew\b")


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def faults(package: str, text: str, arrows: Imports) -> list[str]:
    """What is wrong with the docstring of a package."""
    found = []
    if (lines := len(text.splitlines())) not in LINES:
        found.append(f"{lines} lines")
    if not _NEW.search(text):
        found.append("where does a new thing go?")
    inhabitants = [name for name in _QUOTED.findall(text) if f"{package}.{name}" in FILES]
    if not inhabitants:
        found.append("who lives there?")
    found += [f"no {name}" for name in _QUOTED.findall(text) if not exists(package, name)]
    # The face of all packages hands out what they make, and is part of no room.
    return found if package == FACE else found + wrong_imports(package, text, arrows)


def wrong_imports(package: str, text: str, arrows: Imports) -> list[str]:
    """What is wrong with what a package says that it may import."""
    said = _IMPORTED.search(text)
    if said is None:
        return ["what may it import?"]
    own = room(package)
    named = {word for word in re.findall(r"[a-z_]+", said[1]) if word in HEIGHT} - {own}
    imported = {
        room(other)
        for module, others in arrows.items()
        for other in others
        if module == package or module.startswith(f"{package}.")
    }
    above = {one for one in named if HEIGHT[one] >= HEIGHT[own]}
    return [
        *(f"{one} is not below {own}" for one in sorted(above)),
        *(f"it imports {one} too" for one in sorted(imported - named - {own})),
    ]


def exists(package: str, name: str) -> bool:
    """Whether a name in a docstring is a module, a path, or what a file of the package defines."""
    if f"{package}.{name}" in FILES or name in FILES or (ROOT / name).exists():
        return True
    if name.startswith("from "):
        return name.split()[1] in FILES
    return name in _defined(package)


def _defined(package: str) -> set[str]:
    found: set[str] = set()
    for path in PACKAGES[package].parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {one.id for one in targets if isinstance(one, ast.Name)}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_says_what_is_true(package: str) -> None:
    assert faults(package, docstring(PACKAGES[package]), ARROWS) == []


GOOD = docstring(PACKAGES["bench.suite"])
PLANTED: Mapping[str, tuple[str, str, list[str]]] = {
    "too long": ("\n\n", "\n\n\n\n\n\n", [f"{len(GOOD.splitlines()) + 4} lines"]),
    "no such module": ("``mteb``", "``senteval``", ["no senteval"]),
    "no room of what is imported": (
        "Imported are core and data",
        "Imported are core and nothing",
        ["it imports data too"],
    ),
    "a room above": ("core and data", "core, data and report", ["report is not below suite"]),
    "no place for new things": ("A new kind", "A kind", ["where does a new thing go?"]),
    "nothing on imports": ("Imported are", "There are", ["what may it import?"]),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    old, new, expected = PLANTED[fault]
    assert old in GOOD
    assert faults("bench.suite", GOOD.replace(old, new, 1), ARROWS) == expected


def test_a_package_of_one_line_is_found() -> None:
    assert faults("bench.suite", "Suites.", ARROWS) == [
        "1 lines",
        "where does a new thing go?",
        "who lives there?",
        "what may it import?",
    ]


# Folders of tests that are of no room: contracts, what tests share, runs of a kind of their own.
BESIDE = {
    "contract",
    "faults",
    "perf",
    "plugin_package",
    "reference",
    "support",
    "types",
}
# Tests of the tree as a whole, and of what is at the root of bench.
WHOLE = {
    "api",
    "architecture",
    "bisect",
    "contributing",
    "documentation",
    "first_hours",
    "linters",
    "names",
    "packaging",
    "releases",
    "rooms",
    "sizes",
    "workflows",
}


def homeless(tests: Path, packages: Iterable[str]) -> list[str]:
    """Test files that lie in the folder of no package, by their path."""
    folders = {name.removeprefix(f"{FACE}.").replace(".", "/") for name in packages}
    found = []
    for path in sorted(tests.rglob("test_*.py")):
        name, folder = path.relative_to(tests), path.parent.relative_to(tests).as_posix()
        at_home = folder in folders or name.parts[0] in BESIDE
        if folder == ".":
            at_home = path.stem.removeprefix("test_") in WHOLE
        if not at_home:
            found.append(name.as_posix())
    return found


def test_tests_lie_in_the_folder_of_their_room() -> None:
    assert homeless(ROOT / "tests", PACKAGES) == []


def test_a_test_in_no_room_is_found(tmp_path: Path) -> None:
    for name in ("test_new.py", "test_api.py", "core/test_spec.py", "kitchen/test_oven.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert homeless(tmp_path, ["bench", "bench.core"]) == ["kitchen/test_oven.py", "test_new.py"]
