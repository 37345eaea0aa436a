"""How a run ends other than well: by a signal, or by a bug."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from types import FrameType

from bench.core.errors import EXIT_HUNG_UP, EXIT_INTERRUPTED, EXIT_TERMINATED

_EXITS = {signal.SIGTERM: EXIT_TERMINATED}
# Windows has no such signal.
if hasattr(signal, "SIGHUP"):
    _EXITS[signal.SIGHUP] = EXIT_HUNG_UP
_GO_ON = "finished cells and checkpoints are kept: run the same command to go on"


class Ended(KeyboardInterrupt):
    """A signal ends the run, as Ctrl-C does.

    Attributes:
        exit_code: Exit code that it leads to.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__()
        self.exit_code = exit_code


def end_by_signals() -> None:
    """Let SIGTERM and SIGHUP end the run as Ctrl-C does, unless somebody had them ignored."""
    for number in _EXITS:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    # A second one ends at once.
    signal.signal(number, signal.SIG_DFL)
    raise Ended(_EXITS[signal.Signals(number)])


def exit_of(interrupt: BaseException, arguments: Sequence[str]) -> tuple[str, int]:
    """What is said of an interruption of a command, and its exit code."""
    seen: BaseException | None = interrupt
    while seen is not None and not isinstance(seen, Ended):
        seen = seen.__cause__ or seen.__context__
    if not isinstance(seen, Ended):
        return f"interrupted{_kept(arguments)}", EXIT_INTERRUPTED
    how = "terminated" if seen.exit_code == EXIT_TERMINATED else "hung up"
    return f"{how}{_kept(arguments)}", seen.exit_code


def _kept(arguments: Sequence[str]) -> str:
    is_run = arguments[:1] == ["run"] or "--run" in arguments
    return f"; {_GO_ON}" if is_run else ""


def bug(error: Exception) -> str:
    """Keep the traceback of a bug in a file, and say in one line what happened and where it is."""
    what = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300].rstrip(": ")
    text = "".join(traceback.format_exception(error))
    command = " ".join(sys.argv)
    try:
        handle, path = tempfile.mkstemp(prefix="bench-traceback-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{command}\n\n{text}")
    except OSError as full:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{frame.filename}:{frame.lineno}"
        return f"this is a bug: {what} at {place}; no traceback was kept: {full.strerror}"
    return f"this is a bug, please report it: {what}; the traceback is in {path}"
