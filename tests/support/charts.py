"""Modules that draw, where the libraries for it are installed."""

from __future__ import annotations

import importlib
from typing import Any

import pytest


def drawing(module: str) -> Any:
    """A module of ``bench.report.charts`` or ``bench.report.html``, or a skip without the extra."""
    for library in ("altair", "vl_convert", "jinja2"):
        pytest.importorskip(library, reason="needs the extra 'report'")
    return importlib.import_module(f"bench.report.{module}")
