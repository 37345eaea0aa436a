"""No function is over 60 lines, and no file over 400."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("bench", "methods", "tests")
FUNCTION, FILE = 60, 400


def sizes(path: Path, name: str) -> Iterator[tuple[str, int, int]]:
    """Name, lines and most lines of a file and of each function in it."""
    content = path.read_text(encoding="utf-8")
    yield name, len(content.splitlines()), FILE
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{name} {node.name}", (node.end_lineno or 0) - node.lineno + 1, FUNCTION


def too_long(root: Path) -> dict[str, int]:
    """Lines of what is over its limit, by file or file and function."""
    return {
        name: lines
        for folder in FOLDERS
        for path in sorted((root / folder).rglob("*.py"))
        for name, lines, most in sizes(path, path.relative_to(root).as_posix())
        if lines > most
    }


def test_nothing_is_too_long() -> None:
    assert too_long(ROOT) == {}


def test_a_long_file_and_a_long_function_are_found(tmp_path: Path) -> None:
    (tmp_path / "bench").mkdir()
    body = "    x = 1\n" * FUNCTION
    (tmp_path / "bench" / "one.py").write_text(f"def f():\n{body}")
    (tmp_path / "bench" / "two.py").write_text("x = 1\n" * (FILE + 1))
    (tmp_path / "bench" / "three.py").write_text(f"def f():\n{body[10:]}" + "x = 1\n" * 339)
    assert too_long(tmp_path) == {"bench/one.py f": FUNCTION + 1, "bench/two.py": FILE + 1}
