"""Runs of the command line in forked processes, which can be killed where the campaign wants.

Everything is imported once, so that a run takes as long as its own work. Nothing here computes
before it forks: threads of libraries do not survive that.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Names of the audit events of Python by which the file system changes; "open" where for writing.
_CHANGES = frozenset(
    {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod", "os.truncate"}
)
_SECONDS = 300


@dataclass(frozen=True)
class Kill:
    """Where a run is killed.

    Attributes:
        event: Number of the file-system event before which it is, from 1.
        seconds: Time after which it is.
    """

    event: int | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        return f"event {self.event}" if self.event else f"{self.seconds:.3f} s"


@dataclass(frozen=True)
class Ended:
    """What a run left.

    Attributes:
        code: Exit code, negative where a signal ended it.
        out: Its stdout.
        err: Its stderr.
        events: File-system events below its folder.
        seconds: How long it took.
    """

    code: int
    out: str
    err: str
    events: int
    seconds: float


def run(
    folder: Path, arguments: Sequence[str], kill: Kill | None = None, room: int | None = None
) -> Ended:
    """Run the command line in a folder, and wait for its end.

    Args:
        folder: World of the run, the working directory too.
        arguments: Arguments of ``bench``.
        kill: Where it is killed, or None.
        room: Most bytes of a file, or None for no limit.
    """
    return wait(start(folder, arguments, kill, room), kill)


@dataclass(frozen=True)
class Started:
    """A run that goes on."""

    pid: int
    notes: Path
    since: float


def start(
    folder: Path, arguments: Sequence[str], kill: Kill | None = None, room: int | None = None
) -> Started:
    """Start a run."""
    notes = folder.parent / "notes" / f"{time.monotonic_ns()}"
    notes.mkdir(parents=True)
    sys.stdout.flush()
    since = time.monotonic()
    pid = os.fork()
    if pid == 0:
        _child(folder, arguments, kill, room, notes)
    return Started(pid, notes, since)


def wait(started: Started, kill: Kill | None = None) -> Ended:
    """Wait for the end of a run, which is killed when its time has come."""
    limit = kill.seconds if kill and kill.seconds is not None else _SECONDS
    while True:
        pid, status = os.waitpid(started.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() - started.since > limit:
            with contextlib.suppress(ProcessLookupError):
                os.kill(started.pid, signal.SIGKILL)
            _, status = os.waitpid(started.pid, 0)
            break
        time.sleep(0.002)
    notes = {path.name: path.read_text(errors="replace") for path in started.notes.iterdir()}
    return Ended(
        os.waitstatus_to_exitcode(status),
        notes.get("out", ""),
        notes.get("err", ""),
        int(notes.get("events") or 0),
        time.monotonic() - started.since,
    )


def _child(
    folder: Path, arguments: Sequence[str], kill: Kill | None, room: int | None, notes: Path
) -> None:
    """Be the run; never returns."""
    code = 99
    try:
        for number, name in ((1, "out"), (2, "err")):
            handle = os.open(notes / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, number)
            os.close(handle)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - for the life of the run
        sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
        os.chdir(folder)
        os.environ["BENCH_CACHE"] = str(folder / "cache")
        count = _watch(folder, kill.event if kill else None)
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        from bench.cli.main import main

        code = main([*arguments])
        sys.stdout.flush()
        (notes / "events").write_text(str(count[0]))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _watch(folder: Path, at: int | None) -> list[int]:
    """Count the changes of files below a folder; kill this process before one of them."""
    count, root = [0], str(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _CHANGES and not (event == "open" and _writes(arguments)):
            return
        path = arguments[0]
        # Paths may be relative to the folder, or to a descriptor of one below it.
        inside = isinstance(path, int) or not str(path).startswith("/")
        if inside or str(path).startswith(root):
            count[0] += 1
            if count[0] == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return count


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
