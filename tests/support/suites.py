"""A small suite, and the type of a call of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bench.data.rows import rows_sha256

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
