"""What killed runs leave: temporary files and folders whose owner is dead, and finished work."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.core.cache import Cache
from bench.core.files import TEMPORARY, is_abandoned, remove_abandoned, remove_folder

# What versions before the mark have left: all that is hidden in folders of ours was temporary.
_OLD = re.compile(r"\..+\.[a-z0-9_]{8}|tmp[a-z0-9_]{8}|grid-[a-z0-9_]{8}")
_OLD_OF_RECORDS = re.compile(
    r"\..+-seed\d+(\.items\.safetensors|\.failed\.json|\.json)\.[a-z0-9_]{8}|\.write-\d+"
)


def find_leftovers(cache: Cache) -> list[Path]:
    """Temporary files and folders of a cache whose owner is dead."""
    return [path for path in _temporary_in(cache) if is_abandoned(path)]


def remove_leftovers(cache: Cache, output: Path | None = None) -> None:
    """Delete what killed runs have left; what a run works on now, or can go on with, stays.

    Args:
        cache: The cache.
        output: Folder of records.
    """
    remove_abandoned(_temporary_in(cache))
    if output is not None:
        remove_abandoned(_temporary_of_records(output))
    _remove_finished_work(cache)


def _temporary_in(cache: Cache) -> Iterator[Path]:
    folders = [cache.root, cache.models, cache.work, cache.vectors, cache.data, cache.locks]
    folders += [*_below(cache.vectors, 1), *_below(cache.models, 1), *_below(cache.data, 2)]
    # Unfinished work is where runs go on, so that what was temporary there is gone with it.
    for folder in folders:
        yield from (path for path in _in(folder) if _is(_OLD, path))


def _temporary_of_records(output: Path) -> Iterator[Path]:
    for folder in [output, *_below(output, 1)]:
        for path in _in(folder):
            if _is(_OLD_OF_RECORDS, path):
                yield path


def _below(folder: Path, depth: int) -> list[Path]:
    """Folders below another, up to so many levels."""
    folders = [path for path in _in(folder) if path.is_dir() and not path.name.startswith(".")]
    return folders + [below for path in folders if depth > 1 for below in _below(path, depth - 1)]


def _in(folder: Path) -> Iterable[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _is(old: re.Pattern[str], path: Path) -> bool:
    return any(pattern.fullmatch(path.name) for pattern in (TEMPORARY, old))


def _remove_finished_work(cache: Cache) -> None:
    """Delete work whose model is in its place, as of a run that was killed in between."""
    for workdir in _in(cache.work):
        if (cache.models / workdir.name).is_dir():
            with cache.alone(workdir.name) as alone:
                if alone and (cache.models / workdir.name).is_dir():
                    remove_folder(workdir)
