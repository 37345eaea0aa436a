"""Standard streams that never fail: what cannot be written or shown ends no run.

A run that is measured is worth more than its output. So writing goes on silently where nobody
reads, as in ``| head``, and where a disk is full that is said once, at the end.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TextIO


class Output(io.FileIO):
    """Writes to a file descriptor that is not closed here, until that fails once.

    Attributes:
        error: Why it failed, or None.
    """

    error: OSError | None = None

    def write(self, data: object) -> int:
        """Write all, or drop all once writing has failed; the number of bytes given."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # as io says
        done = 0
        while self.error is None and done < len(view):
            try:
                # Where others have made a pipe one that does not wait, this does.
                if os.name == "posix":
                    select.select([], [self], [])
                done += super().write(view[done:]) or 0
            except OSError as error:
                self.error = error
        return len(view)


def guard() -> Output:
    """Put streams in place of stdout and stderr that never fail; returns what stdout writes to.

    Descriptors that are closed are opened on nothing, since the first file that is opened would
    get the number, and all output.
    """
    given = sys.stdout, sys.stderr
    for number in (0, 1, 2):
        _open_on_nothing(number)
    outputs = Output(1, "w", closefd=False), Output(2, "w", closefd=False)
    sys.stdout = _text(outputs[0], given[0], "replace")
    sys.stderr = _text(outputs[1], given[1], "backslashreplace")
    if given[0] is None:
        outputs[0].error = OSError(errno.EBADF, "it is closed")
    return outputs[0]


def complaint(output: Output) -> str | None:
    """Why not all could be written, or None; a reader that had enough is no reason to complain."""
    sys.stdout.flush()
    error = output.error
    if error is None or isinstance(error, BrokenPipeError):
        return None
    return f"stdout cannot be written: {error.strerror}; everything else is done"


def _open_on_nothing(number: int) -> None:
    try:
        os.fstat(number)
    except OSError:
        nothing = os.open(os.devnull, os.O_RDWR)
        if nothing != number:
            os.dup2(nothing, number)
            os.close(nothing)


def _text(output: Output, given: TextIO | None, errors: str) -> TextIO:
    encoding = getattr(given, "encoding", None) or "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=encoding,
        errors=errors,
        line_buffering=output.isatty() or output.fileno() == 2,
    )
