"""The commands ``bench`` and ``sentence-bench``, where another package may be called bench too."""

from __future__ import annotations

import importlib.util
import sys


def entry() -> None:
    """Run the command line, or say in one line that another package is in its place."""
    if importlib.util.find_spec("bench") is None or not _is_ours():
        sys.stderr.write(f"bench: {_foreign()}\n")
        sys.exit(2)
    from bench.cli.main import entry as run

    run()


def _is_ours() -> bool:
    try:
        return importlib.util.find_spec("bench.cli.main") is not None
    except ImportError:
        return False


def _foreign() -> str:
    spec = importlib.util.find_spec("bench")
    if spec is None:
        return "the package bench is gone; pip install --force-reinstall --no-deps sentence-bench"
    place = spec.origin or ", ".join(spec.submodule_search_locations or ())
    return (
        f"{place} is the package bench of something else than sentence-bench; install "
        "sentence-bench in an environment of its own, or uninstall the other one and run "
        "pip install --force-reinstall --no-deps sentence-bench"
    )
