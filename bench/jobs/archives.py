"""Folders as bytes, for machines that share no file system."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from bench.core.errors import DataError
from bench.core.files import make_folder_atomic
from bench.core.sealed import damage


def pack(folder: Path) -> bytes:
    """All files below a sealed folder in one archive, the same bytes for the same files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = tarfile.TarInfo(path.relative_to(folder).as_posix())
            name.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(name, content)
    return stream.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Make a folder of an archive, whole or not at all.

    Raises:
        DataError: It is not the archive of a sealed folder.
    """

    def fill(temporary: Path) -> None:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r") as archive:
            archive.extractall(temporary, filter="data")
        if (wrong := damage(temporary)) is not None:
            raise DataError(f"the model {folder.name} arrived damaged: {wrong}")

    make_folder_atomic(folder, fill)
