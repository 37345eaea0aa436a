"""No network, a cache of the tests' own, and a way to call the command line."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.cli.main import main
from bench.core import registry
from tests.support import stub_methods
from tests.support.suites import Bench

if TYPE_CHECKING:
    from tests.support.classifiers import Stage

os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    # As many processes as cores: more threads would only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["BENCH_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The data folder, or a skip that says how to get it."""
    folder = os.environ.get("BENCH_DATA")
    if not folder or not (Path(folder) / "sts").is_dir():
        pytest.skip("needs data: bench data fetch all --to FOLDER, then BENCH_DATA=FOLDER")
    return Path(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what reads the data folder, so that it can be run by itself."""
    for item in items:
        if "data_folder" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.data)


@pytest.fixture(autouse=True)
def _own_methods() -> Iterator[None]:
    """Files that a test names are no methods of the next one."""
    known: list[dict[Any, Any]] = [registry._entries(registry.METHODS), registry._files]
    before = [dict(one) for one in known]
    yield
    for one, kept in zip(known, before, strict=True):
        one.clear()
        one.update(kept)


@pytest.fixture
def bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Bench:
    """Call ``bench`` in a folder of its own; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    stub_methods.register()

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="module", autouse=True)
def _quick_collections() -> None:
    """Libraries collect garbage at every step, which takes longer than it with all tests loaded.

    What lives when the tests of a file begin is not gone over again.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that no other test has written to."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT, saved as what a base is."""
    from tests.support.models import tiny_bert

    return tiny_bert(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[Stage]:
    """What each training of a classifier started from and left."""
    from tests.support.classifiers import note_stages

    return note_stages(monkeypatch)
