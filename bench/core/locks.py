"""Files that a run holds, so that others wait for it or go round it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


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
        yield True
    finally:
        lock.release()


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
