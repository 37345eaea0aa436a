"""Files that a run holds, so that others wait for it or go round it.

Two locks stand for one. That of the system ends with its process, however that happens, but on a
file system that machines share it may be known to its own machine alone. So there is a lease
beside it: a file that names the machine and that its holder touches every few seconds. Others take
it over where nobody has touched it for a minute. Should both hold at once, as behind a machine that
has slept, the work is done twice and leaves the same.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.core.files import MACHINE, temporary_folder, write_atomic

_SECONDS_OF_LEASE = 60.0
# So many touches of a lease may be late.
_TOUCHES = 6


@contextmanager
def held(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock, which ends with this process; whether that is so, which waiting makes sure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(blocking=wait)
    except Timeout:
        yield False
        return
    try:
        lease = _Lease(path.with_name(f"{path.name}.lease"))
        with lease.held(wait=wait) as alone:
            yield alone
    finally:
        lock.release()


class _Lease:
    """What tells other machines that somebody holds a lock.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = f"{MACHINE} {os.getpid()} {secrets.token_hex(8)}"
        self._ended = threading.Event()

    @contextmanager
    def held(self, *, wait: bool) -> Iterator[bool]:
        """Hold it; whether that is so, which waiting makes sure."""
        while self._is_anothers():
            if not wait:
                yield False
                return
            time.sleep(_SECONDS_OF_LEASE / _TOUCHES / 2)
        write_atomic(self._path, self._text.encode())
        toucher = threading.Thread(target=self._touch, daemon=True)
        toucher.start()
        try:
            yield True
        finally:
            self._ended.set()
            toucher.join()
            if self._read()[0] == self._text:
                self._path.unlink(missing_ok=True)

    def _is_anothers(self) -> bool:
        """Whether another machine holds it; the system's lock tells who does on this one."""
        text, touched = self._read()
        if not text or text.startswith(MACHINE):
            return False
        # By the clock of the file system, as those of machines differ.
        with temporary_folder(self._path.parent, "clock") as now:
            return now.stat().st_mtime - touched < _SECONDS_OF_LEASE

    def _read(self) -> tuple[str, float]:
        """Its text and when it was touched last; no text where there is none."""
        try:
            # What is opened is asked for anew, where what is known of a path may be a minute old.
            with self._path.open(encoding="ascii") as file:
                return file.read(), os.fstat(file.fileno()).st_mtime
        except (OSError, UnicodeDecodeError):
            return "", 0.0

    def _touch(self) -> None:
        while not self._ended.wait(_SECONDS_OF_LEASE / _TOUCHES):
            with contextlib.suppress(OSError):
                os.utime(self._path)


@contextmanager
def one_at_a_time(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock, and wait for whoever holds it now.

    Args:
        path: The lock.
        waiting: Called where there is someone to wait for.
    """
    with held(path) as alone:
        if alone:
            yield
            return
    waiting()
    with held(path, wait=True):
        yield
