"""A set of each format, from a server to rows: bench data fetch does them all at once."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest

from bench.data.catalog import Dataset
from bench.data.rows import read_rows, rows_sha256
from tests.support.mirror import AT, add, serve
from tests.support.suites import Bench


def _zip(name: str, content: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(name, content)
    return made.getvalue()


QUESTIONS = (
    b"<QApairs id='1'>\n<question>\na\tb\n</question>\n<positive>\nc\n</positive>\n</QApairs>\n"
)
SETS: dict[str, tuple[dict[str, Any], bytes, dict[str, Any]]] = {
    "tsv": ({"format": "tsv", "columns": ["text", ""]}, b'"a\tx\n', {"text": '"a'}),
    "beside": ({"format": "beside", "columns": [["text"]]}, b"a\n", {"text": "a"}),
    "label_first": ({"format": "label_first"}, b"1 a b\n", {"label": "1", "text": "a b"}),
    "csv": ({"format": "csv", "columns": ["text"]}, b'"a, b"\n', {"text": "a, b"}),
    "json": ({"format": "json"}, b'{"text": "a"}\n', {"text": "a"}),
    "questions": (
        {"format": "questions"},
        QUESTIONS,
        {"query": "a b", "positive": ["c"], "negative": []},
    ),
    "wordnet": (
        {"format": "wordnet"},
        b"01-n: {members: [tea], definition: [a drink]}\n",
        {"word": "tea", "definition": "a drink", "pos": "n", "synset": "01-n"},
    ),
    "brown": ({"format": "brown"}, _zip("brown/ca01", b"\ta/at b/nn\n"), {"text": "a b"}),
    "wikitext": ({"format": "wikitext"}, b" = A =\n a @-@ b .\n", {"text": "a-b ."}),
    "gzip": ({"format": "json"}, gzip.compress(b'{"text": "a"}\n'), {"text": "a"}),
    "member": ({"format": "json"}, _zip("in/a.jsonl", b'{"text": "a"}\n'), {"text": "a"}),
}
ENDINGS = {"gzip": ".jsonl.gz", "brown": ".zip", "member": ".zip"}


def test_a_set_of_each_format(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "served" / "files").mkdir(parents=True)
    for name, (read, content, row) in SETS.items():
        file = f"{name}{ENDINGS.get(name, '.txt')}"
        (tmp_path / "served" / "files" / file).write_bytes(content)
        member = {"member": "in/a.jsonl"} if name == "member" else {}
        sha256 = hashlib.sha256(content).hexdigest()
        source = {"at": AT, "read": read, "files": [{"url": file, "sha256": sha256, **member}]}
        facts = {"rows": 1, "sha256": rows_sha256([row], sorted(row))}
        entry = {"licence": "x", "columns": sorted(row), "splits": {"all": facts}}
        add(monkeypatch, Dataset.model_validate({**entry, "sources": [source]}), f"made/{name}")
    with serve(tmp_path / "served") as served:
        code, out, err = bench("data", "fetch", "made/*", "--to", "to", "--mirror", served.address)
    assert code == 0, err
    assert out.count("fetched") == len(SETS)
    for name, (_, _, row) in SETS.items():
        assert read_rows(tmp_path / "to" / "made" / name / "all.jsonl.gz") == [row]
