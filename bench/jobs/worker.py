"""A process that does jobs for another one: ``python -m bench.jobs.worker``.

It reads a request and then jobs, one JSON object a line, from standard input, and ends with it, so
that none is left behind however the process that started it ends. Reports and what jobs leave go to
standard output, see ``bench.core.reports``; all else that is printed goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from queue import SimpleQueue

from bench.core.errors import BenchError, CellError, named_error
from bench.core.files import out_of_room
from bench.core.libraries import quiet_libraries
from bench.core.reports import Reporter, own_output
from bench.jobs.job import Job, Request
from bench.jobs.workplace import Workplace

DONE, FAILED = "done", "failed"


def main() -> None:
    """Do jobs until the input ends."""
    reporter = Reporter(own_output())
    lines = SimpleQueue[bytes]()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    quiet_libraries()
    first = json.loads(lines.get())
    place: Workplace | None = None
    while True:
        job = Job.load(json.loads(lines.get()))
        try:
            place = place or Workplace(Request.load(first["request"]), first["place"])
            done = place.do(job, reporter)
        except Exception as error:
            traceback.print_exc()
            reporter.send(FAILED, *told(error))
        else:
            reporter.send(DONE, list(done.failures))


def _read(lines: SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    # A training would go on for hours for nobody; its last checkpoint is kept.
    os._exit(1)


def told(error: Exception) -> tuple[str, str]:
    """Type and text of an error that the user can fix, or of a cell's failure."""
    if isinstance(error, BenchError):
        return type(error).__name__, str(error)
    return CellError.__name__, out_of_room(error) or f"{type(error).__name__}: {error}"


def raised(kind: str, text: str) -> BenchError:
    """The error that ``told`` has told of."""
    return named_error(kind, text) or CellError(text)


if __name__ == "__main__":
    main()
