"""Memory of a training."""

from __future__ import annotations

import ctypes
from contextlib import suppress

from torch import nn

from bench.core.errors import UsageError

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


def refuse_uncheckpointed(model: nn.Module) -> None:
    """Check that gradient checkpointing has something to act on; the library would only warn.

    Args:
        model: The model to be trained.

    Raises:
        UsageError: No part of the model supports it.
    """
    if not any(getattr(part, "supports_gradient_checkpointing", False) for part in model.modules()):
        raise UsageError(
            "gradient_checkpointing=true needs a transformer that supports it; leave it out for "
            "this base"
        )
