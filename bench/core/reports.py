"""Progress between processes: one JSON object a line, on a pipe that nothing else is written to."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from bench.core.progress import Progress

_KINDS = ("start", "advance", "note")


class Reporter:
    """Progress, as lines of JSON for the process that started this one.

    Args:
        descriptor: File descriptor that is written to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def start(self, label: str, total: int) -> None:
        """Begin a task."""
        self.send("start", label, total)

    def advance(self, done: int, label: str | None = None) -> None:
        """Tell how much of it is done."""
        self.send("advance", done, label)

    def note(self, message: str) -> None:
        """Tell something once."""
        self.send("note", message)

    def send(self, kind: str, *values: Any) -> None:
        """Tell anything that is JSON, in one line."""
        line = json.dumps({"kind": kind, "values": values}).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]


def own_output() -> int:
    """Keep standard output for reports; what is printed goes to standard error.

    Returns:
        Descriptor of what was the output.
    """
    sys.stdout.flush()
    reports = os.dup(1)
    os.dup2(2, 1)
    return reports


def read_report(line: bytes | str) -> tuple[str, list[Any]] | None:
    """Kind and values of a report, or None for anything else that libraries print."""
    try:
        report = json.loads(line)
        return str(report["kind"]), list(report["values"])
    except (ValueError, KeyError, TypeError):
        return None


def show(kind: str, values: list[Any], progress: Progress) -> None:
    """Show a report of progress; others are none of it, and malformed ones are left out."""
    if kind in _KINDS:
        try:
            getattr(progress, kind)(*values)
        except (TypeError, ValueError):
            return
