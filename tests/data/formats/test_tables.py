"""CSV with quoting, JSON lines, and tables told by their name."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.core.errors import DataError
from bench.data.formats import LocalFile
from bench.data.formats.tables import Csv, Json, TableFormat
from bench.data.rows import Row


def written(tmp_path: Path, content: str | bytes, name: str, **row: Any) -> LocalFile:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return LocalFile(path, name, row=row)


def csv(tmp_path: Path, content: str | bytes, **options: Any) -> list[Row]:
    file = written(tmp_path, content, "rows.csv", kept=1)
    return list(Csv(format="csv", **options).read([file]))


def json_lines(file: LocalFile, **options: Any) -> list[Row]:
    return list(Json(format="json", **options).read([file]))


def table(file: LocalFile) -> list[Row]:
    return list(TableFormat().read([file]))


def test_quoted_values_hold_separators_quotes_and_line_ends(tmp_path: Path) -> None:
    text = '\ufeff"a, b","say ""hi"""\r\n"two\r\nlines\nmore",\u2028 x\x85\nit"s,\n'
    assert csv(tmp_path, text, columns=["a", "b"]) == [
        {"kept": 1, "a": "a, b", "b": 'say "hi"'},
        {"kept": 1, "a": "two\r\nlines\nmore", "b": "\u2028 x\x85"},
        {"kept": 1, "a": 'it"s', "b": ""},
    ]


def test_columns_of_a_csv_by_position(tmp_path: Path) -> None:
    found = csv(tmp_path, "1,2,3\n", columns=["a", "", "c"])
    assert found == [{"kept": 1, "a": "1", "c": "3"}]


def test_columns_of_a_csv_by_the_names_of_its_header(tmp_path: Path) -> None:
    text = "b,a\n1,2\n\n3,4\n"
    assert csv(tmp_path, text, names={"text": "a", "same": "a"}) == [
        {"kept": 1, "text": "2", "same": "2"},
        {"kept": 1, "text": "4", "same": "4"},
    ]
    found = csv(tmp_path, f"made today\n{text}", names={"text": "a"}, skip=1)
    assert found == [{"kept": 1, "text": "2"}, {"kept": 1, "text": "4"}]


def test_first_rows_of_a_csv_are_left_out_whole(tmp_path: Path) -> None:
    text = '"a\nhead",x\n1,2\n'
    assert csv(tmp_path, text, columns=["a", "b"], skip=1) == [{"kept": 1, "a": "1", "b": "2"}]
    assert csv(tmp_path, text, columns=["a", "b"], skip=9) == []


def test_rows_of_another_width_can_be_left_out_of_a_csv(tmp_path: Path) -> None:
    text = "a,b,c\n1,2\n1,2,3\n1,2,3,4\n"
    by_position = csv(tmp_path, text, columns=["x", "y"], width=2)
    assert by_position == [{"kept": 1, "x": "1", "y": "2"}]
    by_name = csv(tmp_path, text, names={"x": "c"}, width=3)
    assert by_name == [{"kept": 1, "x": "3"}]


def test_separator_blanks_and_encoding_of_a_csv(tmp_path: Path) -> None:
    content = '" thé "\t" x\ty"\n'.encode("latin-1")
    options: dict[str, Any] = {"columns": ["a", "b"], "separator": "\t", "encoding": "latin-1"}
    assert csv(tmp_path, content, **options) == [{"kept": 1, "a": " thé ", "b": " x\ty"}]
    assert csv(tmp_path, content, **options, strip=True) == [{"kept": 1, "a": "thé", "b": "x\ty"}]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"1,2\n3\n", {"columns": ["a", "b"]}, "rows.csv: row 2: 1 values, expected 2"),
        (b"a,b\n1,2,3\n", {"names": {"x": "a"}}, "rows.csv: row 1: 3 values, expected 2"),
        (b"a,b\n1,2\n", {"names": {"x": "A"}}, "rows.csv has no column 'A'; it has: a, b"),
        (b"", {"names": {"x": "a"}}, "rows.csv has no column 'a'; it has: "),
        (b"1,2\n3,4\r5,6\n", {"columns": ["a", "b"]}, "rows.csv: row 2: new-line character"),
        (b"th\xe9,1\n", {"columns": ["a", "b"]}, "rows.csv cannot be read as utf-8-sig"),
    ],
)
def test_bad_csv(tmp_path: Path, content: bytes, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as error:
        csv(tmp_path, content, **options)
    assert str(error.value).startswith(message)


def test_json_lines_keep_all_columns_or_those_that_are_named(tmp_path: Path) -> None:
    text = '\ufeff{"a": " x\u2028\\ty ", "b": [1, null]}\r\n\n{"b": 2, "a": "\\"", "c": 1.5}'
    file = written(tmp_path, text, "rows.jsonl", kept=1)
    assert json_lines(file) == [
        {"kept": 1, "a": " x\u2028\ty ", "b": [1, None]},
        {"kept": 1, "a": '"', "b": 2, "c": 1.5},
    ]
    assert json_lines(file, names={"text": "a"}) == [
        {"kept": 1, "text": " x\u2028\ty "},
        {"kept": 1, "text": '"'},
    ]


def test_json_lines_that_are_packed(tmp_path: Path) -> None:
    content = b'{"a": 1}\n{"a": 2}\n'
    packed = written(tmp_path, gzip.compress(content), "rows.jsonl.gz")
    assert json_lines(packed) == [{"a": 1}, {"a": 2}]
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        archive.writestr("made/rows.jsonl", content)
    member = LocalFile(tmp_path / "rows.zip", "rows.zip", "made/rows.jsonl")
    assert json_lines(member) == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize("line", [b"{", b"[1]", b"null", b'{"a": "\xff"}'])
def test_a_line_that_is_no_json_object_is_an_error(tmp_path: Path, line: bytes) -> None:
    with pytest.raises(DataError, match=r"^rows\.jsonl: line 3 is not a JSON object$"):
        json_lines(written(tmp_path, b'{"a": 1}\n\n' + line + b"\n", "rows.jsonl"))


def test_json_lines_without_a_column_or_cut_short_are_an_error(tmp_path: Path) -> None:
    text = '{"a": 1}\n{"b": 1, "c": 2}\n'
    with pytest.raises(DataError, match=r"rows\.jsonl: line 2 has no column 'a'; it has: b, c$"):
        json_lines(written(tmp_path, text, "rows.jsonl"), names={"text": "a"})
    with pytest.raises(DataError, match=r"^rows\.jsonl\.gz cannot be read: "):
        json_lines(written(tmp_path, gzip.compress(text.encode() * 99)[:-9], "rows.jsonl.gz"))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.jsonl", '{"text": "a, \\"b\\"", "label": 1}\n{"text": "NA", "label": 0}\n'),
        ("rows.ndjson", '{"text": "a, \\"b\\"", "label": 1}\n{"text": "NA", "label": 0}\n'),
        ("rows.csv", 'text,label\n"a, ""b""",1\nNA,0\n'),
        ("rows.tsv", 'text\tlabel\na, "b"\t1\nNA\t0\n'),
    ],
)
def test_tables_are_told_by_their_name(tmp_path: Path, name: str, text: str, packed: bool) -> None:
    content = gzip.compress(text.encode()) if packed else text.encode()
    file = written(tmp_path, content, f"{name}.gz" if packed else name, kept="x")
    # What a text means is for a task to say; only JSON has numbers.
    labels: list[Any] = [1, 0] if "json" in name else ["1", "0"]
    assert table(file) == [
        {"kept": "x", "text": 'a, "b"', "label": labels[0]},
        {"kept": "x", "text": "NA", "label": labels[1]},
    ]


def test_a_table_in_parquet(tmp_path: Path) -> None:
    rows = [{"texts": ["a\u2028", "b"], "label": 1}, {"texts": [], "label": 0}]
    pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    file = LocalFile(tmp_path / "rows.parquet", "rows.parquet", row={"kept": 1})
    assert table(file) == [{"kept": 1, **row} for row in rows]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.txt", b"text\n", r"rows\.txt: not a table; use \.jsonl"),
        ("rows.jsonl", b'{"a": 1}\n{"a"\n', r"rows\.jsonl: line 2 is not a JSON object"),
        ("rows.csv", b"a,b\n1,2\n4,5\n6,7,8,9\n", r"rows\.csv: row 3 has 4 values"),
        ("rows.csv", b"a\nth\xe9\n", r"rows\.csv: cannot be read"),
        ("rows.parquet", b"PAR1", r"rows\.parquet: cannot be read"),
    ],
)
def test_bad_tables(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        table(written(tmp_path, content, name))
