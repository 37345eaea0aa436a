"""Small data sets under the names of real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bench.data.catalog import Dataset, catalog
from bench.data.rows import Row, rows_sha256, write_rows

Sets = Mapping[str, Mapping[str, Sequence[Row]]]
N = 24


def small_sets() -> Sets:
    """Rows of all sets that methods train on, by name and split."""
    stsb = {split: _graded(split) for split in ("train", "dev", "test")}
    sick = {split: _graded(f"sick {split}", low=1) for split in ("train", "test")}
    tests = {f"sts/sts{year}": {"test": _graded(str(year))} for year in range(12, 17)}
    return {
        "classification/sst5": {split: _labelled(split) for split in ("train", "dev", "test")},
        "paraphrase/quora": {"dev": _duplicates()},
        "reranking/trecqa": {"train": _ranked()},
        "sts/stsb": stsb,
        "sts/sick": sick,
        **tests,
    }


def write_sets(folder: Path, monkeypatch: pytest.MonkeyPatch, sets: Sets) -> Path:
    """Write a data folder of some sets, for which the catalog forgets the real ones."""
    for name, splits in sets.items():
        columns = [*next(iter(splits.values()))[0]]
        known = {}
        for split, rows in splits.items():
            write_rows(folder / name / f"{split}.jsonl.gz", rows)
            known[split] = {"rows": len(rows), "sha256": rows_sha256(rows, columns)}
        entry = {"licence": "CC0 for tests", "columns": columns, "splits": known}
        monkeypatch.setitem(catalog(), name, Dataset.model_validate(entry))
    return folder


def _graded(text: str, low: int = 0) -> list[Row]:
    return [
        {"sentence1": f"{text} {i}", "sentence2": f"the {text} {i}", "score": float(low + i % 5)}
        for i in range(N)
    ]


def _labelled(text: str) -> list[Row]:
    return [{"text": f"{text} {'aekqz'[i % 5] * 3} {i}", "label": i % 5} for i in range(N)]


def _duplicates() -> list[Row]:
    return [
        {"sentence1": f"what is {i}", "sentence2": f"say what {i} is", "label": i % 2}
        for i in range(4 * N)
    ]


def _ranked() -> list[Row]:
    return [
        {
            "query": f"what is {i}",
            "positive": [f"it is {i}", f"{i} it is"],
            "negative": [f"no {i}", f"never {i}"],
        }
        for i in range(N)
    ]
