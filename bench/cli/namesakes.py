"""Other distributions that install a package of the name bench."""

from __future__ import annotations

from importlib.metadata import Distribution, distributions
from pathlib import Path

OWN = "sentence-bench"
PACKAGE = "bench"


def namesakes(folder: Path) -> list[str]:
    """Distributions whose package lies in the same folder as this one.

    The library's own function reads every list of files, which takes most of a second.

    Args:
        folder: Folder of this package.
    """
    named = {
        f"{dist.name} {dist.version}"
        for dist in distributions()
        if dist.name and dist.name.lower().replace("_", "-") != OWN and _has_package(dist)
        if Path(str(dist.locate_file(PACKAGE))).resolve() == folder.resolve()
    }
    return sorted(named)


def _has_package(dist: Distribution) -> bool:
    top = dist.read_text("top_level.txt")
    if top is not None:
        return PACKAGE in top.split()
    listed = dist.read_text("RECORD") or ""
    return listed.startswith(f"{PACKAGE}/") or f"\n{PACKAGE}/" in listed


def mixed_line(folder: Path) -> str | None:
    """Say that the files of two packages are mixed, and what to do; None where they are not.

    Args:
        folder: Folder of this package.
    """
    others = namesakes(folder)
    if not others:
        return None
    names = " and ".join(name.split()[0] for name in others)
    return (
        f"{folder} holds files of {' and '.join(others)} too, and of files of one name those that "
        f"were installed last count; pip uninstall {names}, then pip install --force-reinstall "
        f"--no-deps {OWN}"
    )
