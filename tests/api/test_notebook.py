"""The notebook of the documentation runs, and shows tables."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"


@pytest.mark.nightly
def test_the_notebook_runs_and_shows_tables(tmp_path: Path) -> None:
    pytest.importorskip("nbconvert", reason="needs nbconvert")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    (tmp_path / NOTEBOOK.name).write_bytes(NOTEBOOK.read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--execute", NOTEBOOK.name],
        cwd=tmp_path,
        env={**os.environ, "BENCH_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "notebook.html").read_text(encoding="utf-8")
    assert page.count("<table") == 6
    assert "A is better" in page or "B is better" in page or "C is better" in page
    assert "True" in page
    # Nothing went to stderr, which a notebook shows in red.
    assert 'data-mime-type="application/vnd.jupyter.stderr"' not in page


def test_the_notebook_is_kept_without_what_it_printed() -> None:
    assert '"outputs": [\n' not in NOTEBOOK.read_text(encoding="utf-8")
