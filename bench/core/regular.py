"""Reading files that may come from strangers: regular ones alone, and no more than expected."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_regular(path: Path, limit: int) -> bytes:
    """Read a file, or what a link leads to, without ever waiting for it.

    Args:
        path: The file.
        limit: Most bytes that it may hold.

    Raises:
        OSError: It is missing, is not a regular file (a pipe, a device, a folder), or is larger.
    """
    # Told before it is opened, as opening is what some devices act on, and after, as it may be
    # another one by then.
    _check(path.stat(), limit)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as stream:
        _check(os.fstat(stream.fileno()), limit)
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise OSError(_too_large(limit))
    return content


def _check(status: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    if status.st_size > limit:
        raise OSError(_too_large(limit))


def _too_large(limit: int) -> str:
    return f"larger than {limit / 2**20:,.0f} MiB"
