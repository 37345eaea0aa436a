"""Folders with the checksums of what is in them, so that damage is seen before anything is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bench.core.files import make_folder_atomic, write_atomic
from bench.core.fingerprint import canonical_json, file_sha256, fingerprint

SEAL = "checksums.json"


def seal(folder: Path) -> None:
    """Write down the checksums of all files of a folder, which then never change."""
    files = {name: file_sha256(folder / name) for name in _names(folder)}
    content = canonical_json({"files": files, "sha256": fingerprint(files)})
    write_atomic(folder / SEAL, content.encode())


def make_sealed_folder(path: Path, fill: Callable[[Path], None]) -> None:
    """Fill a temporary folder beside ``path``, seal it, then rename it into place."""

    def fill_and_seal(folder: Path) -> None:
        fill(folder)
        seal(folder)

    make_folder_atomic(path, fill_and_seal)


def damage(folder: Path, sha256: Callable[[Path], str] = file_sha256) -> str | None:
    """Say what of a sealed folder does not hold, or None where all does.

    Args:
        folder: The folder.
        sha256: Finds the checksum of a file.
    """
    try:
        content = json.loads((folder / SEAL).read_bytes())
        files = content["files"]
        if content["sha256"] != fingerprint(files):
            return f"{SEAL} is damaged"
        others = _names(folder) ^ set(files)
        if others:
            name = min(others)
            return f"{name} is missing" if name in files else f"{name} does not belong to it"
        changed = (name for name in sorted(files) if sha256(folder / name) != files[name])
        name = next(changed, None)
        return None if name is None else f"{name} has a different checksum"
    except FileNotFoundError:
        return f"{SEAL} is missing"
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return f"{SEAL} is damaged"


def _names(folder: Path) -> set[str]:
    """Files below a folder; hidden ones are none of ours."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name != SEAL and not path.name.startswith(".")
    }
