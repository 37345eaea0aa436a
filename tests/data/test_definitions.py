"""Definitions: what is read, what is refused, the split of words, words of one token."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from bench.core.cache import Cache
from bench.core.errors import DataError
from bench.data.access import DataAccess
from bench.data.definitions import (
    SETS,
    Definitions,
    DictionaryEntry,
    part_of,
    word_ids,
)
from tests.support.models import tiny_bert, tiny_decoder

GOOD = "tea\ta hot drink\n\ncat\ta small animal\ntea\ta leaf\ntea\ta hot drink\nice cream\tfrozen\n"


def access(folder: Path | None, cache: Path) -> DataAccess:
    kept = Cache(cache)
    return DataAccess(folder, kept.data, kept.hashes(), offline=True)


@pytest.fixture
def data(tmp_path: Path) -> DataAccess:
    return access(None, tmp_path / "cache")


def written(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "words.tsv"
    path.write_text(text, encoding=encoding)
    return path


def test_lines_of_a_word_are_one_entry(tmp_path: Path, data: DataAccess) -> None:
    entries = Definitions(str(written(tmp_path, GOOD))).load(data)
    assert {entry.word: entry.definitions for entry in entries} == {
        "tea": ("a hot drink", "a leaf"),
        "cat": ("a small animal",),
        "ice cream": ("frozen",),
    }


def test_the_order_is_not_that_of_the_file(tmp_path: Path, data: DataAccess) -> None:
    lines = [f"word{i}\tdefinition {i}\n" for i in range(20)]
    forth = Definitions(str(written(tmp_path, "".join(lines)))).load(data)
    back = Definitions(str(written(tmp_path, "".join(lines[::-1])))).load(data)
    assert forth == back
    assert [entry.word for entry in forth] != [f"word{i}" for i in range(20)]
    assert Definitions(str(tmp_path / "words.tsv"), 5).load(data) == forth[:5]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_several_definitions_on_a_line(tmp_path: Path, data: DataAccess, encoding: str) -> None:
    text = "thé\ta hot drink<|list_more_def|> a leaf\ncat\tit\nthé\ta meal\n"
    entries = Definitions(str(written(tmp_path, text, encoding))).load(data)
    assert {entry.word: entry.definitions for entry in entries} == {
        "thé": ("a hot drink", "a leaf", "a meal"),
        "cat": ("it",),
    }


def test_joined_dictionaries_have_the_definitions_of_both(
    data: DataAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {
        SETS["oewn"]: [{"word": "tea", "definition": "a drink"}],
        SETS["commondefs"]: [
            {"word": "tea", "definition": "a leaf"},
            {"word": "tea", "definition": "a drink"},
            {"word": "cat", "definition": "an animal"},
        ],
    }
    monkeypatch.setattr(DataAccess, "rows", lambda self, ref: rows[ref])
    monkeypatch.setattr(DataAccess, "sha256", lambda self, ref: ref)
    joined = Definitions("oewn+commondefs")
    entries = {entry.word: entry.definitions for entry in joined.load(data)}
    assert entries == {"tea": ("a drink", "a leaf"), "cat": ("an animal",)}
    assert joined.datasets == ("definitions/oewn", "definitions/commondefs")
    names = ("oewn", "commondefs", "oewn+commondefs", "commondefs+oewn")
    assert len({Definitions(name).fingerprint(data) for name in names}) == 4
    with pytest.raises(DataError, match=r"'oewn\+oxford' is neither a file nor one of"):
        Definitions("oewn+oxford").load(data)


def test_marks_of_windows_are_no_text(tmp_path: Path, data: DataAccess) -> None:
    path = written(tmp_path, "tea\ta drink\r\n", "utf-8-sig")
    assert Definitions(str(path)).load(data) == [DictionaryEntry("tea", ("a drink",))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tea\ta drink\ncat\n", r"words.tsv: line 2: expected a word, a tab and its definition"),
        ("tea a drink\n", r"words.tsv: line 1: expected a word, a tab"),
        ("\n\ntea\t \n", r"words.tsv: line 3: expected a word, a tab"),
        ("\ta drink\n", r"words.tsv: line 1: expected a word, a tab"),
        ("tea\ta drink\ta leaf\n", r"words.tsv: line 1: expected a word, a tab"),
        ("tea\ta drink<|list_more_def|>\n", r"words.tsv: line 1: expected a word, a tab"),
        ("", r"words.tsv: line 1: no entries"),
        (" \n\n", r"words.tsv: line 1: no entries"),
    ],
)
def test_bad_files(tmp_path: Path, data: DataAccess, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        Definitions(str(written(tmp_path, text))).load(data)
    assert "\n" not in str(error.value)


def test_other_encodings_and_names(tmp_path: Path, data: DataAccess) -> None:
    with pytest.raises(DataError, match=r"words.tsv: cannot be read as UTF-8"):
        Definitions(str(written(tmp_path, "thé\ta drink\n", "latin-1"))).load(data)
    oxford = Definitions("oxford")
    for ask in (oxford.load, oxford.fingerprint):
        with pytest.raises(DataError, match="'oxford' is neither a file nor one of: oewn, common"):
            ask(data)


def test_the_fingerprint_is_that_of_the_text(tmp_path: Path, data: DataAccess) -> None:
    one = Definitions(str(written(tmp_path, GOOD))).fingerprint(data)
    assert Definitions(str(written(tmp_path, GOOD + "dog\tan animal\n"))).fingerprint(data) != one
    assert Definitions(str(tmp_path / "words.tsv")).datasets == ()
    assert Definitions("commondefs").datasets == ("definitions/commondefs",)


def test_words_are_split_in_tenths_whatever_their_case() -> None:
    words = [f"word{i}" for i in range(5000)]
    shares = {part: [part_of(word) for word in words].count(part) / 5000 for part in parts()}
    assert shares == pytest.approx({"train": 0.8, "dev": 0.1, "test": 0.1}, abs=0.02)
    assert all(part_of(word) == part_of(word.upper()) for word in words)


def parts() -> tuple[str, ...]:
    return ("train", "dev", "test")


def test_words_of_one_token(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(tmp_path / "tiny"))
    found = word_ids(["a", "B", "cat", "π", "é", "a"], tokenizer)
    # The tokenizer has letters only, takes the accent off é and does not know π.
    assert {word: tokenizer.decode([token]) for word, token in found.items()} == {
        "a": "a",
        "B": "b",
    }


def test_words_of_one_token_within_a_text(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_decoder(tmp_path / "tiny", "gpt2"))
    found = word_ids(["word", "sentence", "unheard"], tokenizer)
    assert found["word"] != tokenizer.convert_tokens_to_ids("word")
    assert tokenizer.decode([found["word"]]) == " word"
    assert "unheard" not in found


def test_no_words_have_no_tokens(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(tmp_path / "tiny"))
    assert word_ids([], tokenizer) == {}


@pytest.mark.parametrize(("name", "least"), [("oewn", 115_000), ("commondefs", 2_200)])
def test_the_sets(name: str, least: int, data_folder: Path, tmp_path: Path) -> None:
    data = access(data_folder, tmp_path)
    entries = Definitions(name).load(data)
    assert len(entries) == len({entry.word for entry in entries}) > least
    texts = [text for entry in entries for text in entry.definitions]
    assert all(entry.definitions for entry in entries)
    assert not [text for text in texts if "<unk>" in text or not text.strip()]
    assert Definitions(name).fingerprint(data) == Definitions(name).fingerprint(data)
