"""Formats of one row a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import DataError
from bench.data.formats import LocalFile
from bench.data.formats.lines import Beside, LabelFirst, Tsv
from bench.data.rows import Row

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r\ufeff"))


def written(tmp_path: Path, content: str | bytes, name: str = "rows.tsv", **row: Any) -> LocalFile:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return LocalFile(path, name, row=row)


def tsv(*files: LocalFile, columns: Sequence[str] = ("a", "b"), **options: Any) -> list[Row]:
    return list(Tsv(format="tsv", columns=tuple(columns), **options).read(files))


def beside(*files: LocalFile, columns: Sequence[Sequence[str]], **options: Any) -> list[Row]:
    names = tuple(map(tuple, columns))
    return list(Beside(format="beside", columns=names, **options).read(files))


def label_first(*files: LocalFile, **options: Any) -> list[Row]:
    return list(LabelFirst(format="label_first", **options).read(files))


def test_texts_of_a_tsv_are_kept_as_they_are(tmp_path: Path) -> None:
    text = '"one\t two \r\nthr""ee"\tfo\u2028u\x85r\n\t\n'
    assert tsv(written(tmp_path, text)) == [
        {"a": '"one', "b": " two "},
        {"a": 'thr""ee"', "b": "fo\u2028u\x85r"},
        {"a": "", "b": ""},
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS)))
def test_a_tsv_brings_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]
) -> None:
    text = "".join("\t".join(row) + "\n" for row in rows)
    found = tsv(written(tmp_path_factory.mktemp("rows"), text), columns="abc")
    assert [tuple(row.values()) for row in found] == rows


@settings(deadline=None)
@given(st.lists(TEXTS))
def test_lines_bring_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    text = "".join(f"{text}\n" for text in texts)
    found = tsv(written(tmp_path_factory.mktemp("rows"), text), columns=["text"])
    assert found == [{"text": text} for text in texts]


def test_columns_without_a_name_and_after_the_last_one_are_left_out(tmp_path: Path) -> None:
    assert tsv(written(tmp_path, "1\t2\t3\t4\n"), columns=["", "b", "c"]) == [{"b": "2", "c": "3"}]


def test_one_column_alone_is_the_whole_line(tmp_path: Path) -> None:
    assert tsv(written(tmp_path, "1\t2\n\n"), columns=["text"]) == [{"text": "1\t2"}, {"text": ""}]


def test_first_and_last_lines_of_each_file_can_be_left_out(tmp_path: Path) -> None:
    files = [written(tmp_path, f"head\n{name}1\tx\n{name}2\ty\ncut", name) for name in "pq"]
    assert [row["a"] for row in tsv(*files, skip=1, drop_last=True)] == ["p1", "p2", "q1", "q2"]
    whole = written(tmp_path, "1\tx\n2\ty\n")
    assert tsv(whole, drop_last=True) == [{"a": "1", "b": "x"}]
    assert tsv(whole, skip=2) == []


def test_lines_of_another_width_can_be_left_out(tmp_path: Path) -> None:
    file = written(tmp_path, "1\n1\t2\n1\t2\t3\n")
    assert tsv(file, width=2) == [{"a": "1", "b": "2"}]
    assert tsv(file, width=3) == [{"a": "1", "b": "2"}]
    assert tsv(file, width=4) == []


def test_blanks_encodings_and_shared_columns_of_a_tsv(tmp_path: Path) -> None:
    file = written(tmp_path, " thé \t\u20281\xa0\n".encode("utf-16"), label=1)
    assert tsv(file, encoding="utf-16") == [{"label": 1, "a": " thé ", "b": "\u20281\xa0"}]
    assert tsv(file, encoding="utf-16", strip=True) == [{"label": 1, "a": "thé", "b": "1"}]


def test_a_line_of_a_tsv_with_too_few_columns_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^rows\.tsv: line 3: 1 columns, expected 2$"):
        tsv(written(tmp_path, "head\n1\t2\n1 2\n"), skip=1)


def test_a_tsv_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^rows\.tsv cannot be read as utf-8-sig"):
        tsv(written(tmp_path, "thé\t1\n".encode("latin-1")))


def test_files_beside_each_other_come_in_groups(tmp_path: Path) -> None:
    files = [
        written(tmp_path, ' "a \tx\r\n\u2028b\ty\n', "1.texts", subset="one"),
        written(tmp_path, "5\n\n", "1.scores"),
        written(tmp_path, "c\tz\n", "2.texts"),
        written(tmp_path, "3 \n", "2.scores", subset="two"),
    ]
    columns = [["text", "other"], ["score"]]
    assert beside(*files, columns=columns) == [
        {"subset": "one", "text": ' "a ', "other": "x", "score": "5"},
        {"subset": "one", "text": "\u2028b", "other": "y", "score": ""},
        {"subset": "two", "text": "c", "other": "z", "score": "3 "},
    ]
    assert beside(*files[:2], columns=[["", "other"], ["score"]], strip=True) == [
        {"subset": "one", "other": "x", "score": "5"},
        {"subset": "one", "other": "y", "score": ""},
    ]


def test_files_beside_each_other_in_another_encoding(tmp_path: Path) -> None:
    files = [written(tmp_path, "thé\n".encode("latin-1"), name) for name in "ab"]
    found = beside(*files, columns=["a", "b"], encoding="latin-1")
    assert found == [{"a": "thé", "b": "thé"}]


def test_files_that_do_not_fit_beside_each_other_are_an_error(tmp_path: Path) -> None:
    long, short = written(tmp_path, "1\n2\n", "long.txt"), written(tmp_path, "1\n", "short.txt")
    with pytest.raises(DataError, match=r"lines: long\.txt 2, short\.txt 1$"):
        beside(long, short, columns=["a", "b"])
    with pytest.raises(DataError, match=r"^3 files do not make groups of 2$"):
        beside(long, long, long, columns=["a", "b"])
    with pytest.raises(DataError, match=r"^long\.txt: line 1: 1 columns, expected 2$"):
        beside(long, long, columns=[["a"], ["b", "c"]])


def test_a_label_first(tmp_path: Path) -> None:
    file = written(tmp_path, 'DESC:x  How "far"\tis  it ?\u2028\n0 \n1 two\r\n', part=2)
    assert label_first(file) == [
        {"part": 2, "label": "DESC:x", "text": 'How "far"\tis  it ?'},
        {"part": 2, "label": "0", "text": ""},
        {"part": 2, "label": "1", "text": "two"},
    ]


def test_names_and_encoding_of_a_label_first(tmp_path: Path) -> None:
    file = written(tmp_path, "0 thé\n".encode("latin-1"))
    found = label_first(file, label="score", text="sentence", encoding="latin-1")
    assert found == [{"score": "0", "sentence": "thé"}]


@pytest.mark.parametrize("line", ["", "0", "0\ttext"])
def test_a_label_without_a_text_is_an_error(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"^rows\.tsv: line 2: expected a label and a text$"):
        label_first(written(tmp_path, f"0 one\n{line}\n1 two\n"))
