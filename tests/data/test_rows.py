"""Rows and their checksum."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import DataError
from bench.core.fingerprint import FileHashes
from bench.data.access import DataAccess, in_fixed_split
from bench.data.corpora import NamedCorpus
from bench.data.rows import read_rows, read_table, rows_sha256

COLUMNS = ("sentence1", "score")


def _access(tmp_path: Path, folder: Path | None = None) -> DataAccess:
    return DataAccess(folder, tmp_path / "cache", FileHashes(tmp_path / "h.json"), offline=True)


@given(st.lists(st.tuples(st.text(), st.integers(0, 5)), min_size=1), st.randoms())
def test_checksum_ignores_order_and_number_type_but_not_text(rows, random) -> None:
    made = [{"sentence1": text, "score": score} for text, score in rows]
    other = [{"score": float(row["score"]), "sentence1": row["sentence1"], "x": 1} for row in made]
    random.shuffle(other)
    assert rows_sha256(made, COLUMNS) == rows_sha256(other, COLUMNS)
    changed = [{**made[0], "sentence1": made[0]["sentence1"] + " "}, *made[1:]]
    assert rows_sha256(made, COLUMNS) != rows_sha256(changed, COLUMNS)


def test_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    rows = [{"sentence1": " blank kept \u2028 ", "score": 1}]
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(
        gzip.compress("".join(json.dumps(r, ensure_ascii=False) for r in rows).encode())
    )
    assert read_rows(path) == rows


def test_missing_and_changed_data_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sts/sick:test.*pass --data FOLDER"):
        _access(tmp_path).rows("sts/sick:test")
    with pytest.raises(
        DataError,
        match="run 'bench data fetch sts/sts12:test' with a",
    ):
        _access(tmp_path).rows("sts/sts12:test")
    path = tmp_path / "sts/sts12/test.jsonl.gz"
    path.parent.mkdir(parents=True)
    row = json.dumps({"sentence1": "a", "sentence2": "b", "score": 1})
    path.write_bytes(gzip.compress((row + "\n").encode()))
    with pytest.raises(DataError, match="1 rows, expected 3108"):
        _access(tmp_path, tmp_path).rows("sts/sts12:test")
    path.write_bytes(gzip.compress((row + "\n").encode() * 3108))
    with pytest.raises(DataError, match="checksum"):
        _access(tmp_path, tmp_path).rows("sts/sts12:test")


def test_the_fixed_split_is_a_partition_of_about_60_20_20() -> None:
    rows = [{"sentence1": f"row {i}", "score": 0} for i in range(2000)]
    parts = [
        [in_fixed_split(row, COLUMNS, part) for part in ("train", "dev", "test")] for row in rows
    ]
    assert all(sum(part) == 1 for part in parts)
    shares = [sum(column) / len(rows) for column in zip(*parts, strict=True)]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.03)


def test_text_of_last_resort_is_plain_and_deterministic(tmp_path: Path) -> None:
    first, again = (NamedCorpus("pydoc").load(_access(tmp_path)).sentences() for _ in range(2))
    assert first == again
    assert len(first) > 2000
    assert len(set(first)) == len(first)


def test_a_corpus_file_with_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("one\tuno\ntwo\tdue\none\teins\n", encoding="utf-8")
    corpus = NamedCorpus(str(path)).load(_access(tmp_path))
    assert corpus.pairs() == [("one", "uno"), ("two", "due")]
    path.write_text("one\t\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        NamedCorpus(str(path)).load(_access(tmp_path))


def test_a_corpus_file_with_hard_negatives(tmp_path: Path) -> None:
    path = tmp_path / "triplets.tsv"
    path.write_text("one\tuno\tdue\ntwo\tdue\ttre\n", encoding="utf-8")
    corpus = NamedCorpus(str(path)).load(_access(tmp_path))
    assert corpus.triplets() == [("one", "uno", "due"), ("two", "due", "tre")]
    assert corpus.pairs() == [("one", "uno"), ("two", "due")]
    path.write_text("one\tuno\n", encoding="utf-8")
    with pytest.raises(DataError, match="no hard negatives"):
        NamedCorpus(str(path)).load(_access(tmp_path)).triplets()
    path.write_text("one\tuno\tdue\ttre\n", encoding="utf-8")
    with pytest.raises(DataError, match="two or three with tabs"):
        NamedCorpus(str(path)).load(_access(tmp_path))


def test_corpora_are_joined_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wiki.txt"
    path.write_text("a cat\na dog\n", encoding="utf-8")
    monkeypatch.setattr("bench.data.access.hub_file", lambda *_: path)
    monkeypatch.setattr("bench.data.corpora.commit_of", lambda *_: "1" * 40)
    pairs = [{"sentence1": "a cat", "sentence2": "a horse", "score": 1.0}]
    asked: list[str] = []
    monkeypatch.setattr(DataAccess, "rows", lambda self, ref: asked.append(ref) or pairs)
    monkeypatch.setattr(DataAccess, "sha256", lambda self, ref: ref)
    access = _access(tmp_path)
    joined = NamedCorpus("wiki1m+sick")
    assert joined.load(access).sentences() == ["a cat", "a dog", "a horse"]
    assert asked == ["sts/sick:train+trial"]
    assert joined.datasets == ("sts/sick",)
    assert [*joined.revisions(access).values()] == ["1" * 40]
    names = ("wiki1m+sick", "sick+wiki1m", "wiki1m", "sick")
    assert len({NamedCorpus(name).fingerprint(access) for name in names}) == 4
    with pytest.raises(DataError, match=r"'wiki1m\+sic' is neither a file nor one of"):
        NamedCorpus("wiki1m+sic").load(access)


def test_the_triplets_of_simcse_come_from_its_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nli.csv"
    path.write_text('sent0,sent1,hard_neg\n"a, b",c,d\ne,,f\n', encoding="utf-8")
    monkeypatch.setattr("bench.data.access.hub_file", lambda *_: path)
    corpus = NamedCorpus("nli").load(_access(tmp_path))
    assert corpus.triplets() == [("a, b", "c", "d"), ("e", " ", "f")]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv"])
def test_what_cannot_be_read_is_told_in_words(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value) == f"{path}: cannot be read: No such file or directory"
    path.write_bytes(b"a,b\n\xff,c\n")
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert str(caught.value) == f"{path}: cannot be read as UTF-8: invalid start byte at byte 4"
