"""The supervised track scores what a method itself predicts."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

import pytest

from bench import registry
from bench.method import LabelledTexts
from bench.record import find_records, read_items, read_record
from tests.small import WORDS, Bench
from tests.stub_methods import Stub, _Letters


class Oracle(_Letters):
    """Learns a text's first word by heart, and notes what it was given."""

    given: ClassVar[list[tuple[int, int, int]]] = []

    def predict(self, texts, train: LabelledTexts, dev, *, seed: int):
        self.given.append((len(train.texts), len(dev.texts), seed))
        known = {one[0].split()[0]: label for one, label in zip(*vars(train).values(), strict=True)}
        return [known[one[0].split()[0]] for one in texts]


class OracleMethod(Stub):
    def build(self, ctx):
        return Oracle()


class Liar(Oracle):
    def predict(self, texts, train, dev, *, seed):
        return ["no such label"] * len(texts)


class LiarMethod(Stub):
    def build(self, ctx):
        return Liar()


@pytest.fixture
def suite(tmp_path: Path, bench: Bench) -> Path:
    """Two classes by first word, one test row of six labelled wrongly."""
    for part, n in (("train", 20), ("dev", 10), ("test", 12)):
        rows = [
            {"text": f"{WORDS[i % 10]} number {i}", "label": i % 10 % 2 == (i != 3) or i == 3}
            for i in range(n)
        ]
        if part != "test":
            rows[3]["label"] = True
        for row in rows:
            row["label"] = "odd" if row["label"] else "even"
        if part == "test":
            rows[4]["label"] = "odd" if rows[4]["label"] == "even" else "even"
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{part}.jsonl").write_text(lines)
    path = tmp_path / "small.toml"
    parts = {"data": "test", "train": "train", "dev": "dev"}
    data = "".join(f'{key} = {{ file = "{part}.jsonl" }}\n' for key, part in parts.items())
    path.write_text(
        'name = "small"\ntitle = "x"\nconvention = "senteval"\naverage = ["words"]\n[[tasks]]\n'
        f'name = "words"\nkind = "classification"\ntrack = "supervised"\n{data}'
    )
    for name in ("Oracle", "Liar"):
        entry = EntryPoint(name.lower(), f"{__name__}:{name}Method", registry.METHODS)
        registry._entries(registry.METHODS)[name.lower()] = [entry]
    return path


def test_predictions_are_scored(bench: Bench, suite: Path, tmp_path: Path) -> None:
    Oracle.given.clear()
    code, out, err = bench(
        "run", "--suite", suite, "--methods", "oracle,tfidf", "--profile", "smoke"
    )
    assert code == 0, err
    path = next(p for p in find_records([tmp_path / "results"]) if "oracle" in p.name)
    record = read_record(path)
    assert Oracle.given == [(20, 10, 0)]
    assert record.average == pytest.approx(11 / 12)
    assert (record.dimension, record.encoding.texts) == (None, 0)
    assert read_items(path)["words/value"].sum() == 11
    assert "tfidf" in out


@pytest.mark.parametrize(
    ("method", "message"), [("good", "has no predict"), ("liar", "which is no label there")]
)
def test_methods_that_cannot(bench: Bench, suite: Path, method: str, message: str) -> None:
    code, _, err = bench("run", "--suite", suite, "--methods", method)
    assert code == 3
    assert message in err
    assert "Traceback" not in err
