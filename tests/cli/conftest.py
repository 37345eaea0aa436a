"""A small suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.suites import write_suite


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The small suite."""
    return write_suite(tmp_path)
