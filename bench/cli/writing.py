"""Where a command writes what its user named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.core.errors import UsageError


@contextmanager
def writing(place: Path, option: str = "--to") -> Iterator[None]:
    """Tell in one line that a place cannot be written.

    Args:
        place: File or folder.
        option: The option that names it.

    Raises:
        UsageError: It cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{place} cannot be written: {error.strerror}; choose another {option}"
        ) from None
