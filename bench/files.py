"""Files that are complete or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_atomic(path: Path, content: bytes) -> None:
    """Write beside ``path``, flush to disk, then rename over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def make_folder_atomic(path: Path, fill: Callable[[Path], None]) -> None:
    """Fill a temporary folder beside ``path``, then rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        fill(temporary)
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    path.chmod(0o755)


def is_folder(name: str) -> bool:
    """Tell whether a name, which may be a spec too long for any path, is that of a folder."""
    return os.path.isdir(name)  # noqa: PTH112 - that of pathlib raises where a name is too long


def is_file(name: str) -> bool:
    """Tell whether a name, which may be a spec too long for any path, is that of a file."""
    return os.path.isfile(name)  # noqa: PTH113 - likewise
