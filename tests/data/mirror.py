"""A made-up data set in a pinned archive, and a server that stands in for its host."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.data.catalog import Dataset, catalog

NAME = "nli/made"
ADDRESS = "https://made.example.org/files/made.zip"
COLUMNS = {"premise": "sentence1", "hypothesis": "sentence2", "label": "gold_label"}
RAW = [
    {"sentence1": "A \u2028 line", "sentence2": "trailing blank ", "gold_label": "neutral"},
    {"sentence1": "dropped", "sentence2": "dropped", "gold_label": "-"},
    {"sentence1": "Zwei\nZeilen", "sentence2": "ü", "gold_label": "entailment", "parse": "(ROOT)"},
]
ROWS = [
    {"premise": "A \u2028 line", "hypothesis": "trailing blank ", "label": "neutral"},
    {"premise": "Zwei\nZeilen", "hypothesis": "ü", "label": "entailment"},
]


def archive() -> bytes:
    """A zip archive with two splits, and a member whose path leads out of any folder."""
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in RAW).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("made/train.jsonl", lines)
        made.writestr("../test.jsonl", lines)
    return content.getvalue()


def put(folder: Path, content: bytes, name: str = "made.zip") -> str:
    """Lay a file where the mirror of a folder looks for it, and return its checksum."""
    path = folder / "files" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def dataset(sha256: str, **changes: Any) -> Dataset:
    """The catalog's entry for the archive."""
    split = {"rows": 2, "columns": COLUMNS, "skip": {"gold_label": ["-"]}}
    facts = {
        "licence": "CC0 for tests",
        "columns": list(COLUMNS),
        "url": {"url": ADDRESS, "sha256": sha256},
        "splits": {
            "train": {**split, "member": "made/train.jsonl"},
            "test": {**split, "member": "../test.jsonl"},
        },
    }
    return Dataset.model_validate(facts | changes)


def add(monkeypatch: pytest.MonkeyPatch, entry: Dataset) -> None:
    """Enter a data set in the catalog."""
    monkeypatch.setitem(catalog(), NAME, entry)  # type: ignore[arg-type]  # a dict in fact


def files(folder: Path) -> list[str]:
    """All files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Count the requests."""
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; gives the address and the paths asked for so far."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder))
    )
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
