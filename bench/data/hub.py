"""Rows and files of data sets on the hub."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from bench.core.errors import DataError, first_line
from bench.data.rows import Row
from bench.data.sources import HubSource

_SECONDS = 8


def load_from_hub(label: str, hub: HubSource, split: str) -> list[Row]:
    """Read all rows of a pinned data set.

    Args:
        label: What it is called in an error.
        hub: The data set.
        split: Split, by its name there.

    Raises:
        DataError: It cannot be fetched.
    """
    if not Path(hub.hub).is_dir():
        refuse_unreachable(label)
    import datasets

    try:
        loaded = datasets.load_dataset(hub.hub, hub.config, revision=hub.revision, split=split)
    except Exception as error:
        raise DataError(f"{label}: {hub.hub} cannot be fetched: {first_line(error)}") from None
    return [dict(row) for row in loaded]


def hub_file(repository: str, filename: str, folders: Iterable[Path | None]) -> Path | None:
    """Find a file of a data set in caches of the hub; its folder is named by its commit.

    Args:
        repository: ``org/name``.
        filename: Its path there.
        folders: Caches, None being the one of the hub's own library.

    Returns:
        The file in the first of the caches that has it, or None.
    """
    from huggingface_hub import try_to_load_from_cache

    for folder in folders:
        cached = try_to_load_from_cache(repository, filename, folder, repo_type="dataset")
        if isinstance(cached, str):
            return Path(cached)
    return None


def fetch_hub_file(repository: str, filename: str, folder: Path) -> Path:
    """Download the newest version of a file of a data set into a cache of the hub.

    Raises:
        DataError: It cannot be fetched.
    """
    refuse_unreachable(repository)
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, filename, repo_type="dataset", cache_dir=folder))
    except Exception as error:
        raise DataError(f"{repository} cannot be fetched: {first_line(error)}") from None


def commit_of(path: Path, filename: str) -> str:
    """Commit of a file in a cache of the hub."""
    return path.parents[filename.count("/")].name


def refuse_unreachable(label: str) -> None:
    """Give up on a hub that does not answer within ten seconds, rather than after minutes.

    Raises:
        DataError: It does not answer.
    """
    if wrong := _unreachable():
        raise DataError(
            f"{label}: the hub cannot be reached ({wrong}); set HF_ENDPOINT, or go on "
            "with --offline"
        )


@cache
def _unreachable() -> str:
    """Why the hub does not answer; asked once."""
    from huggingface_hub import constants

    answers: list[str] = []

    def ask() -> None:
        import requests

        try:
            requests.head(constants.ENDPOINT, timeout=(_SECONDS, _SECONDS), allow_redirects=False)
            answers.append("")
        except requests.exceptions.RequestException as error:
            answers.append(type(error).__name__)

    # The name of a host may take longer to look up than any time-out of a connection.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_SECONDS + 1)
    return answers[0] if answers else f"no answer in {_SECONDS} s"
