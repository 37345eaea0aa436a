"""A tiny base, a cache of its own for each test, and a look at what is learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.method import Item
from bench.methods.ensemble import members, neural
from tests.support.models import tiny_bert


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[list[Item]]:
    """Texts of every fit from now on."""
    seen: list[list[Item]] = []
    for cls in (neural.NeuralMember, members.TfidfMember):
        fit = cls.fit

        def noted(self: Any, stages: Any, seed: int, fit: Any = fit) -> None:
            seen.append([item for stage in stages for item in stage.items])
            fit(self, stages, seed)

        monkeypatch.setattr(cls, "fit", noted)
    return seen
