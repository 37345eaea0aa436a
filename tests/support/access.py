"""Access to models without a network, with a cache of its own."""

from __future__ import annotations

from pathlib import Path

from bench.core.cache import Cache
from bench.core.progress import Progress, Silent
from bench.data.access import DataAccess
from bench.models.access import Models
from bench.models.runtime import Runtime


def local_models(folder: Path, progress: Progress | None = None) -> Models:
    """Models that are loaded to the CPU, with a cache in a folder."""
    cache = Cache(folder / "cache")
    data = DataAccess(None, cache.data, cache.hashes(), offline=True)
    return Models(
        Runtime(
            profile="smoke",
            device="cpu",
            cache=cache,
            data=data,
            progress=progress or Silent(),
        )
    )
