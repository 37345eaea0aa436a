"""The commands ``bench`` and ``sentence-bench``, where another package may be called bench too."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_AGAIN = "pip install --force-reinstall --no-deps sentence-bench"


def entry() -> None:
    """Run the command line, or say in one line that another package is in its place."""
    spec = importlib.util.find_spec("bench")
    place = None if spec is None else spec.origin
    # What the import system knows of the modules below may be of an editable installation.
    if place is None or not (Path(place).parent / "cli" / "main.py").is_file():
        sys.stderr.write(f"bench: {_foreign(place)}\n")
        sys.exit(2)
    from bench.cli.main import entry as run

    run()


def _foreign(place: str | None) -> str:
    if place is None:
        return f"the package bench is not whole; {_AGAIN}"
    return (
        f"{place} is the package bench of something else than sentence-bench; install "
        f"sentence-bench in an environment of its own, or uninstall the other one and run {_AGAIN}"
    )
