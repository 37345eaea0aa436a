"""Runs as files: what was asked for, in TOML, by the names of the options of ``bench run``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.escape import toml_text
from bench.core.files import write_atomic
from bench.core.fingerprint import fingerprint

_FIRST = "# bench run THIS-FILE repeats the run; options on the command line win.\n"
_ID = 8


def run_file(options: Mapping[str, Any]) -> str:
    """Write down a run; the same text for the same run.

    Args:
        options: Texts, numbers and lists of texts by the long name of the option, without its
            hyphens in front; what is None is left out.
    """
    lines = [f"{name} = {_toml(value)}" for name, value in options.items() if value is not None]
    return _FIRST + "".join(f"{line}\n" for line in lines)


def keep_run_file(text: str, output: Path) -> Path:
    """Keep a run beside its records, under a name that follows from what it is.

    Args:
        text: What ``run_file`` has made.
        output: Folder of the records.
    """
    path = output / f"run-{fingerprint(text)[:_ID]}.toml"
    if not path.is_file():
        write_atomic(path, text.encode())
    return path


def _toml(value: str | int | Sequence[str]) -> str:
    if isinstance(value, str):
        return toml_text(value)
    if isinstance(value, int):
        return str(value)
    return "[" + ", ".join(toml_text(one) for one in value) + "]"
