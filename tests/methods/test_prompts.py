"""Prompts by role and by task: what a model reads, and that it is part of the identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bench.api import build_method, make_settings
from bench.core.spec import parse_method_spec
from bench.method import make_method
from bench.records.entries import Record
from bench.records.files import find_records, read_record
from tests.support.models import tiny_sentence_transformer
from tests.support.suites import WORDS, Bench

TEXTS = [f"the {word}" for word in WORDS]
SUITE = """
name = "asked"
title = "Pairs and queries"
convention = "senteval"
average = ["Pairs", "Answers"]

[[tasks]]
name = "Pairs"
kind = "sts"
data = { file = "pairs.jsonl" }

[[tasks]]
name = "Answers"
kind = "reranking"
data = { file = "answers.jsonl" }
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "saved"
    library = tiny_sentence_transformer(tmp_path / "tiny")
    library.prompts = {"query": "own query: ", "document": "own passage: "}
    library.save_pretrained(str(folder))
    return folder


def write_suite(folder: Path, prompts: str = "") -> Path:
    pairs = [
        {"sentence1": TEXTS[i % 10], "sentence2": TEXTS[i * 3 % 10], "score": i % 5}
        for i in range(20)
    ]
    answers = [
        {"query": TEXTS[i], "positive": [TEXTS[i - 1]], "negative": TEXTS[i + 1 : i + 4]}
        for i in range(6)
    ]
    for name, rows in (("pairs", pairs), ("answers", answers)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(lines)
    path = folder / "asked.toml"
    head, _, tail = SUITE.partition("\n[[tasks]]")
    path.write_text(f"{head}\n{prompts}\n[[tasks]]{tail}")
    return path


def read_texts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, suite: Path, spec: str
) -> tuple[set[str], Record]:
    """All that the tokenizer of a model is given in a run, and the record."""
    read: set[str] = set()
    from bench.encoding.batches import _PlannedTransformer

    original: Any = _PlannedTransformer._window

    def watched(self: Any, texts: list[str]) -> Any:
        read.update(self._prompt() + text for text in texts)
        return original(self, texts)

    monkeypatch.setattr(_PlannedTransformer, "_window", watched)
    code, _, err = bench("run", "--suite", suite, "--methods", spec, "--output", "now")
    assert code == 0, err
    (record,) = [read_record(path) for path in find_records([Path("now")])]
    return read, record


def starts(texts: set[str]) -> set[str]:
    return {text.partition("the ")[0] for text in texts}


@pytest.mark.parametrize(
    ("options", "prompts", "expected"),
    [
        ("", "", {"own query: ", "own passage: ", ""}),
        ("[query_prompt=Q:,document_prompt=D:]", "", {"Q:", "D:", ""}),
        ('[query_prompt="Q: "]', "", {"Q: ", "own passage: ", ""}),
        ('[prompt="P: ",query_prompt="Q: "]', "", {"P: ", "Q: "}),
        ("", 'query = "q: "', {"q: ", "own passage: ", ""}),
        ("", 'sts = "s: "\nquery = "q: "\ndocument = "d: "', {"s: ", "q: ", "d: "}),
        ("", 'Answers = "a: "\nquery = "q: "\nreranking-query = "r: "', {"a: ", ""}),
        ("", 'Answers-query = "aq: "\nAnswers = "a: "', {"aq: ", "a: ", ""}),
        ("", 'reranking-query = "rq: "\nquery = "q: "', {"rq: ", "own passage: ", ""}),
        ('[query_prompt="Q: "]', 'query = "q: "\ndocument = "d: "', {"Q: ", "d: ", ""}),
        ('[prompt="P: "]', 'Pairs = "s: "\nquery = "q: "', {"P: "}),
    ],
)
def test_what_is_put_before_texts(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    model: Path,
    options: str,
    prompts: str,
    expected: set[str],
) -> None:
    table = f"[prompts]\n{prompts}\n" if prompts else ""
    suite = write_suite(tmp_path, table)
    read, _ = read_texts(bench, monkeypatch, suite, f"sbert@{model}{options}")
    assert starts(read) == expected


def test_the_table_is_part_of_the_protocol_and_of_the_cell(bench: Bench, tmp_path: Path) -> None:
    def scored(prompts: str, output: str) -> Record:
        suite = write_suite(tmp_path, prompts)
        code, _, err = bench("run", "-s", suite, "-m", "random", "--output", output)
        assert code == 0, err
        (path,) = find_records([Path(output)])
        return read_record(path)

    plain = scored("", "plain")
    asked = scored('[prompts]\nPairs = "s: "\nquery = "q: "\n', "asked")
    assert (plain.tasks["Pairs"].protocol or {})["prompts"] == {}
    assert (asked.tasks["Pairs"].protocol or {})["prompts"] == {
        "text": "s: ",
        "query": "s: ",
        "document": "s: ",
    }
    assert (asked.tasks["Answers"].protocol or {})["prompts"] == {"query": "q: "}
    assert plain.cell_fingerprint != asked.cell_fingerprint
    # Methods that take no prompts read the texts alone.
    assert plain.average == asked.average
    code, _, err = bench("compare", "plain", "asked")
    assert code == 2
    assert "task Pairs differs in prompts" in err


def test_unknown_keys_are_named(bench: Bench, tmp_path: Path) -> None:
    suite = write_suite(tmp_path, '[prompts]\nPairz = "s: "\n')
    code, _, err = bench("run", "--suite", suite, "--methods", "random")
    assert code == 2
    assert "prompts has 'Pairz'" in err
    assert "did you mean 'Pairs'" in err
    assert len(err.strip().splitlines()) == 1


def test_maps_of_vectors_have_the_prompts_of_the_model(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Path
) -> None:
    suite = write_suite(tmp_path, '[prompts]\nsts = "s: "\nquery = "q: "\ndocument = "d: "\n')
    spec = f"truncate[dim=8,of=sbert@{model}]"
    read, _ = read_texts(bench, monkeypatch, suite, spec)
    assert starts(read) == {"s: ", "q: ", "d: "}


def identity(spec: str) -> str:
    parsed = parse_method_spec(spec)
    method = make_method(parsed, "local")
    return make_settings(profile="local").models.identity(method)


def test_prompts_are_part_of_the_identity(model: Path) -> None:
    specs = ["", "[prompt=a]", "[query_prompt=a]", "[document_prompt=a]", "[query_prompt=b]"]
    assert len({identity(f"sbert@{model}{options}") for options in specs}) == len(specs)


def test_vectors_are_those_of_the_library(model: Path) -> None:
    encoder: Any = build_method(f'sbert@{model}[query_prompt="find ",document_prompt="of "]')[0]
    model_of: SentenceTransformer = encoder.encoder
    wanted: Mapping[str, Any] = {
        "find ": model_of.encode_query(TEXTS),
        "of ": model_of.encode_document(TEXTS),
    }
    plain = SentenceTransformer(str(model), device="cpu")
    for prompt, vectors in wanted.items():
        np.testing.assert_allclose(plain.encode(TEXTS, prompt=prompt), vectors, atol=1e-6)
