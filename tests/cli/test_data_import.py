"""``bench data import``: rows of one's own as a task."""

from __future__ import annotations

import csv
import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.core.fingerprint import FileHashes
from bench.data.access import DataAccess
from bench.data.catalog import SplitRef
from bench.data.convert import convert
from bench.data.rows import read_rows, write_rows
from bench.suite import KINDS, load_suite, row_columns
from bench.tasks.rows import task_sha256
from tests.support.mirror import NAME, ROWS, add, dataset, files
from tests.support.suites import Bench

PAIRS = [
    {"a": 'one "quoted", with a comma', "b": " blanks kept ", "gold": 1.5},
    {"a": "zwei ü", "b": "two", "gold": 4.0},
]
STS = [{"sentence1": row["a"], "sentence2": row["b"], "score": row["gold"]} for row in PAIRS]
RENAMES = ["--column", "sentence1=a", "--column", "sentence2=b", "--column", "score=gold"]


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        frame = pd.DataFrame(rows)
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_csv(path, index=False, sep="\t", quoting=csv.QUOTE_NONE, quotechar=None)
    return path


def _suite(folder: Path, task: str, name: str) -> Path:
    path = folder / "own.toml"
    path.write_text(
        f'name = "own"\ntitle = "Own"\nconvention = "simcse"\naverage = ["{name}"]\n{task}'
    )
    return path


@pytest.mark.parametrize("name", ["own.csv", "own.tsv", "own.jsonl", "own.parquet"])
def test_import_gives_a_task(bench: Bench, tmp_path: Path, name: str) -> None:
    _write(tmp_path / name, PAIRS)
    code, out, _ = bench("data", "import", name, "--as", "sts/mine:test", "--to", "to", *RENAMES)
    assert code == 0
    path = tmp_path / "to/sts/mine/test.jsonl.gz"
    assert read_rows(path) == STS
    suite = load_suite(str(_suite(tmp_path, out, "mine")))
    access = DataAccess(None, tmp_path, FileHashes(tmp_path / "h.json"), offline=True)
    counted = access.table_sha256(path, ("sentence1", "sentence2", "score"), {})
    assert f"2:{task_sha256(suite, suite.tasks[0], access)}" == counted
    assert f'file = "{path}", rows = 2, sha256 = "{counted[2:]}"' in out


def test_import_of_other_kinds(bench: Bench, tmp_path: Path) -> None:
    rows = [{"query": "q", "positive": ["yes"], "negative": ["no", "never"]}]
    _write(tmp_path / "own.parquet", rows)
    code, out, _ = bench("data", "import", "own.parquet", "--as", "reranking/own:test")
    assert code == 0
    assert 'kind = "reranking"' in out
    assert read_rows(tmp_path / "cache/data/reranking/own/test.jsonl.gz") == rows
    _write(tmp_path / "own.csv", [{"text": "a", "label": 0}, {"text": "b", "label": 1}])
    arguments = ("data", "import", "own.csv", "--as", "mine/own:all", "--to", "to")
    assert "not a kind of task; pass --kind" in bench(*arguments)[2]
    code, out, _ = bench(*arguments, "--kind", "classification")
    assert load_suite(str(_suite(tmp_path, out, "own"))).tasks[0].kind == "classification"


def test_every_kind_of_task_with_rows_can_be_imported() -> None:
    last = {kind: row_columns(kind)[-1] for kind in KINDS}
    known = {
        "sts": "score",
        "classification": "label",
        "nli": "label",
        "pair_classification": "label",
        "reranking": "negative",
        "clustering": "label",
        "relatedness": "score",
    }
    assert last.items() >= known.items()


def test_import_overwrites_nothing(bench: Bench, tmp_path: Path) -> None:
    arguments = ("data", "import", "own.jsonl", "--as", "sts/mine:test", "--to", "to")
    _write(tmp_path / "own.jsonl", STS)
    first = bench(*arguments)
    path = tmp_path / "to/sts/mine/test.jsonl.gz"
    content = path.read_bytes()
    assert bench(*arguments) == first
    _write(tmp_path / "own.jsonl", STS[:1])
    code, out, err = bench(*arguments)
    assert (code, out) == (2, "")
    assert "exists with other rows" in err
    assert path.read_bytes() == content
    path.write_bytes(content[:-9])
    assert bench(*arguments)[0] == 2


def test_import_under_a_known_name_must_be_the_known_rows(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, dataset("0" * 64))
    arguments = ("data", "import", "own.jsonl", "--as", f"{NAME}:train", "--to", "to")
    _write(tmp_path / "own.jsonl", ROWS[:1])
    code, _, err = bench(*arguments)
    assert code == 4
    assert f"differs from the known {NAME}:train: 1 rows, expected 2" in err
    assert files(tmp_path / "to") == []
    _write(tmp_path / "own.jsonl", ROWS)
    assert bench(*arguments)[0] == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"sentence1": " \t"}, "row 2: sentence1 is an empty text"),
        ({"sentence2": 7}, "row 2: sentence2 is not a text: 7"),
        ({"score": "much"}, "row 2: score is not a number: 'much'"),
        ({"score": None}, "row 2: score is not a number: None"),
        ({"score": float("nan")}, "line 2 has NaN, which is not a JSON number"),
        ({"other": float("nan")}, "line 2 has NaN, which is not a JSON number"),
        ({"score": True}, "row 2: score is not a number: True"),
        ({"sentence1": "\ud800"}, "line 2 has half of a surrogate pair"),
    ],
)
def test_import_names_the_row_to_mend(
    bench: Bench, tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    _write(tmp_path / "own.jsonl", [STS[0], {**STS[1], **row}])
    code, out, err = bench("data", "import", "own.jsonl", "--as", "sts/mine:test", "--to", "to")
    assert (code, out) == (4, "")
    assert f"own.jsonl: {message}" in err
    assert files(tmp_path / "to") == []


def test_import_names_what_rows_of_json_cannot_hold(bench: Bench, tmp_path: Path) -> None:
    rows = [{**STS[0], "when": datetime.date(2020, 1, 1)}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    code, out, err = bench("data", "import", "own.parquet", "--as", "sts/mine:test", "--to", "to")
    assert (code, out) == (4, "")
    assert "own.parquet: row 1: when is '2020-01-01' (date), neither a text nor a number" in err
    assert files(tmp_path / "to") == []


def test_import_of_csv_names_the_cell_without_a_number(bench: Bench, tmp_path: Path) -> None:
    _write(tmp_path / "own.csv", [STS[0], {**STS[1], "score": ""}])
    code, _, err = bench("data", "import", "own.csv", "--as", "sts/mine:test", "--to", "to")
    assert code == 4
    assert "row 2: score is not a number: ''" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["own.jsonl", "--as", "sts/mine:x", "--column", "score=points"], 4, "no column 'points'"),
        (["own.jsonl", "--as", "sts/mine:x", "--column", "text=a"], 2, "this kind has the columns"),
        (["own.jsonl", "--as", "sts/mine:x", "--column", "a"], 2, "expected COLUMN=NAME"),
        (["own.jsonl", "--as", "nli/mine:x"], 4, "no column 'premise'"),
        (["own.jsonl", "--as", "sts/mine:x", "--kind", "nlli"], 2, "did you mean 'nli'"),
        (["own.jsonl", "--as", "sts/mine"], 2, "not of the form family/set:split"),
        (["own.jsonl", "--as", "sts/../../x:y"], 2, "not of the form family/set:split"),
        (["own.jsonl", "--as", "sts/..:y"], 2, "not of the form family/set:split"),
        (["own.txt", "--as", "sts/mine:x"], 4, "not a table; use .jsonl"),
        (["none.jsonl", "--as", "sts/mine:x"], 4, "none.jsonl: cannot be read"),
        (["empty.jsonl", "--as", "sts/mine:x"], 4, "empty.jsonl has no rows"),
        (["damaged.jsonl.gz", "--as", "sts/mine:x"], 4, "damaged.jsonl.gz: cannot be read"),
        (["own.jsonl", "--as", "sts/mine:x", "--to", "own.txt"], 2, "own.txt cannot be written"),
    ],
)
def test_what_cannot_be_imported(
    bench: Bench, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    _write(tmp_path / "own.jsonl", STS)
    (tmp_path / "own.txt").touch()
    (tmp_path / "empty.jsonl").touch()
    write_rows(tmp_path / "damaged.jsonl.gz", STS)
    content = (tmp_path / "damaged.jsonl.gz").read_bytes()
    (tmp_path / "damaged.jsonl.gz").write_bytes(content[:20] + b"\xff" * 30 + content[50:])
    got, out, err = bench("data", "import", *arguments)
    assert (got, out) == (code, "")
    assert message in err.splitlines()[-1]
    assert len(err.splitlines()) == 1


TEXTS = st.text(min_size=1).filter(str.strip)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.floats(0, 5)), min_size=1))
@example([("line\r\nline\u2028\u2029\x85\x1c end \t", "\ufeffbom\x00 ", 0.1)])
def test_import_keeps_every_text(made: list[tuple[str, str, float]]) -> None:
    rows = [dict(zip(("sentence1", "sentence2", "score"), row, strict=True)) for row in made]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "own.jsonl"
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        path.write_bytes(text.encode())
        data = convert(path, SplitRef("sts/own", "test"), row_columns("sts"), {}, folder)
        assert data.rows == len(rows)
        assert read_rows(Path(data.file)) == rows
