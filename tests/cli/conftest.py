"""A small suite and a way to call the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cli.main import main
from bench.data.rows import rows_sha256
from tests import stub_methods

WORDS = ["apple", "bread", "candle", "dust", "echo", "farm", "glass", "hill", "iron", "lamp"]
Bench = Callable[..., tuple[int, str, str]]


def write_suite(folder: Path, *, sha256: str | None = None, empty: bool = False) -> Path:
    """Write a suite of 30 own pairs and return its path."""
    rows = [
        {
            "sentence1": f"the {WORDS[i % 10]} and the {WORDS[(i * 3) % 10]} {i}",
            "sentence2": "" if empty and i == 3 else f"a {WORDS[(i * 7) % 10]} with {i} things",
            "score": float(i % 6),
        }
        for i in range(30)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sha256 = sha256 or rows_sha256(rows, ("sentence1", "sentence2", "score"))
    path = folder / "small.toml"
    path.write_text(
        'name = "small"\ntitle = "Thirty pairs"\nconvention = "simcse"\naverage = ["pairs"]\n'
        '[[tasks]]\nname = "pairs"\nkind = "sts"\n'
        f'data = {{ file = "rows.jsonl", rows = 30, sha256 = "{sha256}" }}\n'
    )
    return path


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The small suite."""
    return write_suite(tmp_path)


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
