"""Memory of a training on the CPU."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# Parameters of glibc's mallopt.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next step, where the C library is glibc.

    It returns large gradients to the system after every step, whose fresh pages cost about a
    tenth of a training's time.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, -1)
