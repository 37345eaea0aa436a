"""Tiny decoders of several kinds, each made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.models import tiny_decoder
from tests.support.prepending import LAYERS


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the folder of a decoder by its kind."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tiny_decoder(tmp_path_factory.mktemp(kind) / "m", kind, layers=LAYERS)
        return made[kind]

    return folder
