"""Where a command writes what its user named, and whether that is up to date."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.cli.terminal import say
from bench.core.errors import EXIT_OK, EXIT_STALE, UsageError


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


def write_generated(texts: Mapping[Path, str], place: Path, option: str) -> int:
    """Write files that a command makes, name each, and return the exit code.

    Args:
        texts: What each file is to hold.
        place: File or folder that the user may choose.
        option: The option that names it.

    Raises:
        UsageError: A file cannot be written.
    """
    from bench.core.files import write_atomic

    with writing(place, option):
        for path, text in texts.items():
            write_atomic(path, text.encode())
    for path in texts:
        say(path)
    return EXIT_OK


def check_generated(texts: Mapping[Path, str], command: str) -> int:
    """Name each file that is missing or holds something else, and return the exit code.

    Args:
        texts: What each file is to hold.
        command: Command that writes them.
    """
    stale = [path for path, text in texts.items() if not _holds(path, text)]
    for path in stale:
        say(f"bench: {path} is stale; run '{command}'", err=True)
    return EXIT_STALE if stale else EXIT_OK


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()
