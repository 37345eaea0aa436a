"""A limit takes rows from all over a file, and of each label its share."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.rows import Row, write_rows
from bench.tasks.loading import spread
from tests.support.suites import Bench


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(2, 80))
def test_each_label_keeps_its_share(labels: list[int], limit: int) -> None:
    rows: list[Row] = [{"text": str(i), "label": label} for i, label in enumerate(labels)]
    kept = spread(rows, limit)
    assert len(kept) == min(limit, len(rows))
    places = [int(row["text"]) for row in kept]
    assert places == sorted(set(places))
    have, want = Counter(row["label"] for row in kept), Counter(labels)
    for label, count in want.items():
        assert abs(have[label] - count * len(kept) / len(rows)) < 1 + 1e-9


def test_rows_without_labels_are_spread() -> None:
    rows: list[Row] = [{"score": i} for i in range(100)]
    assert [row["score"] for row in spread(rows, 4)] == [0, 25, 50, 75]


def _suite(folder: Path, labels: int, rows: int) -> Path:
    write_rows(
        folder / "rows.jsonl.gz",
        [{"text": f"text {i} of {i % labels}", "label": i % labels} for i in range(rows)],
    )
    path = folder / "own.toml"
    path.write_text(
        'name = "own"\ntitle = "x"\nconvention = "senteval"\naverage = ["t"]\n[[tasks]]\n'
        'name = "t"\nkind = "classification"\ndata = { file = "rows.jsonl.gz" }\n'
    )
    return path


def test_a_small_limit_has_fewer_folds(bench: Bench, tmp_path: Path) -> None:
    path = _suite(tmp_path, labels=10, rows=300)
    code, out, err = bench("run", "--suite", path, "--methods", "random", "--limit", "50")
    assert code == 0, err
    assert "only 50 rows of each task" in " ".join(out.split())


@pytest.mark.parametrize("limit", ["20", "30"])
def test_the_smallest_limit_that_works_is_named(bench: Bench, tmp_path: Path, limit: str) -> None:
    path = _suite(tmp_path, labels=10, rows=300)
    code, _, err = bench("run", "--suite", path, "--methods", "random", "--limit", limit)
    assert code == 2
    (least,) = [word.rstrip(".") for word in err.splitlines()[-1].split()[-1:]]
    assert "the smallest --limit that works is" in err
    assert bench("run", "--suite", path, "--methods", "random", "--limit", least)[0] == 0
