"""Whether pictures can be drawn, and into which files; altair is imported on use."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from bench.core.errors import UsageError

FORMATS = (".svg", ".png")
_LIBRARIES = ("altair", "vl_convert")


def check_drawable(path: Path) -> None:
    """Check that a file can be drawn.

    Raises:
        UsageError: Its name ends otherwise than in .svg or .png, or a library is missing.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"--plot {path}: name a file that ends in {' or '.join(FORMATS)}")
    check_libraries("--plot", "plot")


def check_libraries(what: str, extra: str, *more: str) -> None:
    """Check that what draws is installed.

    Args:
        what: What needs it.
        extra: The extra that has it.
        more: Further libraries that are needed.

    Raises:
        UsageError: A library is missing.
    """
    missing = [name for name in (*_LIBRARIES, *more) if find_spec(name) is None]
    if missing:
        named = " and ".join(name.replace("_", "-") for name in missing)
        raise UsageError(f"{what} needs {named}: pip install 'sentence-bench[{extra}]'")
