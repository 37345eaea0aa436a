"""One table, four formats: the same rows, or a refusal that names the row."""

from __future__ import annotations

import csv
import datetime
import json
import math
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.core.errors import DataError
from bench.core.fingerprint import FileHashes
from bench.data.access import DataAccess
from bench.data.rows import Row, read_table, rows_sha256
from bench.data.values import checked

COLUMNS = ("text", "label", "score")
LINE = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]))
ANY = st.text(st.characters(exclude_categories=["Cs"]))
LABELS = st.one_of(st.integers(-3, 12).map(str), st.sampled_from(["01", "True", "unsure", "1e3"]))
SCORES = st.floats(allow_nan=False, allow_infinity=False)


def write(rows: list[Row], path: Path) -> Path:
    """Write rows as the end of the name says, by other means than ours."""
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(COLUMNS)
            writer.writerows([[row[name] for name in COLUMNS] for row in rows])
    else:
        lines = ["\t".join(COLUMNS)]
        lines += ["\t".join([row["text"], row["label"], repr(row["score"])]) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    return path


def access(folder: Path) -> DataAccess:
    """Access to files of one's own."""
    return DataAccess(None, folder, FileHashes(folder / "hashes.json"), offline=True)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(LINE, LABELS, SCORES), min_size=1, max_size=6))
@example([('"begins with a quote', "1", 1e-12), ('ends"', "01", 0.1 + 0.2)])
@example([("\u2028 \x0b\x0c\x1c\x85", "True", 5e-324), ("", "0", -0.0)])
def test_rows_are_the_same_in_every_format(
    made: list[tuple[str, str, float]],
) -> None:
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in made]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        endings = ["csv", "tsv", "jsonl", "parquet"]
        paths = [write(rows, folder / f"rows.{ending}") for ending in endings]
        tables = [access(folder).table(path, COLUMNS, {}) for path in paths]
        sums = {access(folder).table_sha256(path, COLUMNS, {}) for path in paths}
    assert tables[1:] == tables[:-1]
    assert [row["text"] for row in tables[0]] == [row["text"] for row in rows]
    assert [row["score"] for row in tables[0]] == [row["score"] for row in rows]
    assert [str(row["label"]) for row in tables[0]] == [row["label"] for row in rows]
    assert len(sums) == 1


@settings(deadline=None, max_examples=40)
@given(st.lists(ANY, min_size=1, max_size=5))
def test_csv_and_parquet_keep_any_text(texts: list[str]) -> None:
    rows: list[Row] = [{"text": text, "label": "a", "score": 1.0} for text in texts]
    with tempfile.TemporaryDirectory() as name:
        for ending in ("csv", "parquet", "jsonl"):
            found = read_table(write(rows, Path(name) / f"rows.{ending}"))
            assert [row["text"] for row in found] == texts


def test_a_label_is_one_class_in_every_file(tmp_path: Path) -> None:
    content: dict[str, list[Any]] = {"text": ["a"] * 5, "label": [0, 1, 2, 0, 1]}
    pq.write_table(pa.table(content), tmp_path / "whole.parquet")
    content["label"] = [0.0, 1.0, 2.0, 0.0, 1.0]
    pq.write_table(pa.table(content), tmp_path / "float.parquet")
    long = 12345678901234567890
    (tmp_path / "own.csv").write_text(
        f"text,label\na,0\na,1\na,2\na,unsure\na,01\na,True\na,0.5\na,{long}\n"
    )
    given = (0, "1", 2.0, "unsure", "01", True, 0.5, long)
    lines = [{"text": "a", "label": label} for label in given]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    tables = {
        path.name: [row["label"] for row in access(tmp_path).table(path, ("text", "label"), {})]
        for path in tmp_path.iterdir()
        if path.suffix != ".json"
    }
    assert tables["whole.parquet"] == tables["float.parquet"] == [0, 1, 2, 0, 1]
    expected = [0, 1, 2, "unsure", "01", "True", "0.5", str(long)]
    assert tables["own.csv"] == tables["own.jsonl"] == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", "a,b\n1,2\n3,4,\n", "row 2 has 3 values, the header has 2"),
        ("x.csv", "a,b\n1\n", "row 1 has 1 values, the header has 2"),
        ("x.csv", 'a,b\n"1,2\n3,4\n', "unexpected end of data"),
        ("x.csv", "a,a\n1,2\n", "two columns are called 'a'"),
        (
            "x.jsonl",
            '{"a": 1}\n{"score": 1, "a": 2, "score": 5}\n',
            "line 2 has the key 'score' twice",
        ),
        ("x.tsv", "a\tb\n1\t2\t\n", "row 1 has 3 values, the header has 2"),
        ("x.jsonl", '{"a": 1}\n\n{"a": NaN}\n', "line 3 has NaN, which is not a JSON number"),
        ("x.jsonl", '{"a": -Infinity}\n', "line 1 has -Infinity"),
        ("x.jsonl", '{"a": 1e999}\n', "line 1 has 1e999, which is too large"),
        ("x.jsonl", '{"a": ' + "9" * 400 + "}\n", "line 1 has 99999999999999999999…, which is too"),
        ("x.jsonl", '{"a": "\\ud800"}\n', "line 1 has half of a surrogate pair"),
        ("x.jsonl", "[" * 3000 + "\n", "line 1 is n"),
        ("x.jsonl", "7\n", "line 1 is not a JSON object"),
        ("x.txt", "", "not a table"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    with pytest.raises(DataError) as raised:
        read_table(tmp_path / name)
    assert f"{name}: " in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv", "x.tsv"])
def test_a_byte_order_mark_is_no_text(tmp_path: Path, name: str) -> None:
    content = {"x.jsonl": '{"a": "b"}\n', "x.csv": "a\nb\n", "x.tsv": "a\nb\n"}[name]
    (tmp_path / name).write_text("\ufeff" + content, encoding="utf-8")
    assert read_table(tmp_path / name) == [{"a": "b"}]


def test_a_valid_pair_of_surrogates_is_a_character(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"a": "\\ud83d\\ude00"}\n')
    assert read_table(tmp_path / "x.jsonl") == [{"a": "\U0001f600"}]


def test_scores_are_exact(tmp_path: Path) -> None:
    scores = [1e-12, 0.1, 1 / 3, 1.7976931348623157e308]
    rows: list[Row] = [{"text": "a", "label": "b", "score": score} for score in scores]
    for ending in ("csv", "tsv", "jsonl", "parquet"):
        table = access(tmp_path).table(write(rows, tmp_path / f"x.{ending}"), COLUMNS, {})
        assert [row["score"] for row in table] == scores
        assert not any(math.isnan(row["score"]) for row in table)


def test_a_value_of_a_tsv_may_end_in_a_carriage_return(tmp_path: Path) -> None:
    for end in ("\n", "\r\n"):
        path = tmp_path / "x.tsv"
        path.write_text(f"a\tb{end}1\tx\r{end}2\ty{end}", newline="")
        assert read_table(path) == [{"a": "1", "b": "x\r"}, {"a": "2", "b": "y"}]


def test_columns_of_parquet_are_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "label=3").mkdir()
    path = tmp_path / "label=3" / "rows.parquet"
    pq.write_table(pa.table({"text": ["a"]}), path)
    assert read_table(path) == [{"text": "a"}]
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, path)
    with pytest.raises(DataError, match="two columns are called 'a'"):
        read_table(path)


def test_scores_of_parquet_may_be_decimals_and_other_columns_anything(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    columns = {"score": [Decimal("1.50"), Decimal("0.25")], "when": [datetime.date(2020, 1, 1)] * 2}
    pq.write_table(pa.table({"text": ["a", "b"], **columns, "other": [math.nan, 1.0]}), path)
    rows = access(tmp_path).table(path, ("text", "score"), {})
    found = checked(rows, ("text", "score"), "rows", names={})
    assert [row["score"] for row in found] == [1.5, 0.25]


def test_a_text_may_be_as_long_as_it_likes(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"text\n{'x' * 300_000}\n")
    assert len(read_table(path)[0]["text"]) == 300_000


def test_whole_numbers_that_no_float_holds_are_told_apart() -> None:
    sums = {rows_sha256([{"id": 2**53 + i}], ["id"]) for i in range(3)}
    assert len(sums) == 3
    assert rows_sha256([{"id": 3}], ["id"]) == rows_sha256([{"id": 3.0}], ["id"])


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("score", math.nan, "nan' (float)"),
        ("score", datetime.date(2020, 1, 1), "2020-01-01' (date)"),
        ("text", b"x", "b'x'"),
        ("label", math.inf, "inf' (float)"),
        ("label", datetime.date(2020, 1, 1), "2020-01-01' (date)"),
        ("label", Decimal("1.5"), "1.5' (Decimal)"),
    ],
)
def test_what_json_cannot_hold_is_named_before_it_is_hashed(
    tmp_path: Path, column: str, value: object, shown: str
) -> None:
    path = tmp_path / "rows.parquet"
    first: dict[str, Any] = {"text": "a", "label": "x", "score": 1.0}
    rows = [{**first, column: value}] * 2
    pq.write_table(pa.Table.from_pylist(rows), path)
    with pytest.raises(DataError) as refused:
        access(tmp_path).table_sha256(path, COLUMNS, {})
    assert f"rows.parquet: row 1: {column} is" in str(refused.value)
    assert shown in str(refused.value)
