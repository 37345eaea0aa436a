"""No network, and a cache of the tests' own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["BENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The data folder, or a skip that says how to get it."""
    folder = os.environ.get("BENCH_DATA")
    if not folder or not (Path(folder) / "sts").is_dir():
        pytest.skip("needs BENCH_DATA, a folder with sts/<set>/<split>.jsonl.gz")
    return Path(folder)
