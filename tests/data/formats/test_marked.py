"""Corpora, a dictionary and lists of questions, marked up as their publishers do."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import DataError
from bench.data.formats import LocalFile
from bench.data.formats.marked import Brown, Questions, WikiText, WordNet
from bench.data.rows import Row

SYNSETS = """\
00001740-s:
  definition:
  - text: "first   of
      two lines"
  - a second one
  members: [able, "can do"]
  partOfSpeech: s
02-n:
  definition: ["a \\u2028 \\"drink\\""]
  example: [no row]
  members: [Tea]
03-v:
  members: [undefined]
04-r:
  definition: [of no word]
"""
PAIRS = """\
<QApairs id='1'>
<question>
Who\t"was"\u2028 she\t?
WP\tVBD\tPRP\t.
</question>
<positive>
A\tqueen\t.
DT\tNN\t.
</positive>
<negative>
no\r
</negative>
<positive>
thé
</positive>
</QApairs>
<QApairs id='2'>
<question>
unanswered
</question>
</QApairs>
"""


def written(tmp_path: Path, content: str | bytes, name: str, **row: Any) -> LocalFile:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return LocalFile(path, name, row=row)


def wordnet(*files: LocalFile) -> list[Row]:
    return list(WordNet(format="wordnet").read(files))


def questions(*files: LocalFile, **options: Any) -> list[Row]:
    return list(Questions(format="questions", **options).read(files))


def wikitext(*files: LocalFile, **options: Any) -> list[str]:
    return [row["text"] for row in WikiText(format="wikitext", **options).read(files)]


def brown(tmp_path: Path, members: dict[str, str | bytes], **row: Any) -> list[Row]:
    with zipfile.ZipFile(tmp_path / "brown.zip", "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    file = LocalFile(tmp_path / "brown.zip", "brown.zip", row=row)
    return list(Brown(format="brown").read([file]))


def test_each_member_of_a_synset_is_a_row_with_the_first_definition(tmp_path: Path) -> None:
    able = {"definition": "first of two lines", "pos": "a", "synset": "00001740-s"}
    tea = {"word": "Tea", "definition": 'a "drink"', "pos": "n", "synset": "02-n"}
    file = written(tmp_path, SYNSETS, "all.yaml", part=1)
    assert wordnet(file) == [
        {"part": 1, "word": "able", **able},
        {"part": 1, "word": "can do", **able},
        {"part": 1, **tea},
    ]
    assert [row["word"] for row in wordnet(file, file)] == ["able", "can do", "Tea"] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"01-n: [", r"all\.yaml cannot be read: "),
        (b"- 01-n\n", r"all\.yaml has no synsets by identifier"),
        (b"01-n: tea\n", r"all\.yaml: 01-n is not a synset"),
        (b"01-n: {members: a, definition: [b]}\n", r"01-n has no list of members"),
        (b"01-n: {members: [a], definition: [[b]]}\n", r"01-n has .*no definition that is a text"),
        (b"", r"all\.yaml has no synsets by identifier"),
        (b"01-n: th\xe9\n", r"all\.yaml cannot be read as utf-8-sig"),
        (b"01-n: !!python/name:os.system\n", r"all\.yaml: 01-n is not a synset"),
    ],
)
def test_what_is_no_dictionary(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        wordnet(written(tmp_path, content, "all.yaml"))


def test_sentences_of_the_brown_corpus_come_in_the_order_of_its_sections(tmp_path: Path) -> None:
    members: dict[str, str | bytes] = {
        "brown/cr09": "\n\n\tlast/jj\n",
        "brown/ca10": b"caf\xe9/nn 1/2/cd\n",
        "brown/ca01": "\n\n\tThe/at-tl  jury/nn said/vbd ./.\n\n\tbare ``/`` //in /\n",
        "brown/README": "not/a sentence/nn\n",
        "brown/cats.txt": "ca01 news\n",
        "brown/cs01": "not/a section/nn\n",
    }
    assert brown(tmp_path, members, part=1) == [
        {"part": 1, "text": "The jury said ."},
        {"part": 1, "text": "bare `` / /"},
        {"part": 1, "text": "caf\ufffd 1/2"},
        {"part": 1, "text": "last"},
    ]
    assert brown(tmp_path, {"ca01": "flat/jj\n"}) == [{"text": "flat"}]


def test_what_is_no_archive_of_the_brown_corpus(tmp_path: Path) -> None:
    file = written(tmp_path, "The/at\n", "brown.zip")
    with pytest.raises(DataError, match=r"^brown\.zip cannot be read: File is not a zip file$"):
        list(Brown(format="brown").read([file]))


def test_sentences_of_wikitext(tmp_path: Path) -> None:
    text = (
        " \n = Heading = \n = = Second = = \n\n"
        ' The 1 @,@ 000 @-@ year @.@ old tree . It " fell " ! " Why " he said . \r\n'
        " No . end of a sentence . Here \u2028 it is\n"
        " A <unk> word . A known one .\n"
    )
    assert wikitext(written(tmp_path, text, "valid.txt")) == [
        "The 1,000-year.old tree .",
        'It " fell " !',
        '" Why " he said .',
        "No . end of a sentence .",
        "Here \u2028 it is",
        "A known one .",
    ]


def test_the_token_of_rare_words_and_shared_columns_of_wikitext(tmp_path: Path) -> None:
    file = written(tmp_path, "A <unk> word . A rare one .\n", "valid.txt", part=1)
    assert wikitext(file, unknown="rare") == ["A <unk> word ."]
    assert list(WikiText(format="wikitext").read([file])) == [{"part": 1, "text": "A rare one ."}]


def test_damaged_wikitext(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^valid\.txt cannot be read as utf-8-sig"):
        wikitext(written(tmp_path, b"th\xe9\n", "valid.txt"))


def test_questions_and_their_answers(tmp_path: Path) -> None:
    answered = {"query": 'Who "was"\u2028 she ?', "positive": ["A queen .", "thé"]}
    assert questions(written(tmp_path, PAIRS, "dev.xml", part=1)) == [
        {"part": 1, **answered, "negative": ["no"]},
        {"part": 1, "query": "unanswered", "positive": [], "negative": []},
    ]


def test_questions_in_another_encoding(tmp_path: Path) -> None:
    content = "<QApairs>\n<question>\nthé\n</question>\n</QApairs>\n".encode("latin-1")
    file = written(tmp_path, content, "dev.xml")
    assert [row["query"] for row in questions(file, encoding="latin-1")] == ["thé"]
    with pytest.raises(DataError, match=r"^dev\.xml cannot be read as utf-8"):
        questions(file)


@pytest.mark.parametrize("tag", ["<question>", "<positive>", "<negative>"])
def test_a_text_outside_of_a_question_is_an_error(tmp_path: Path, tag: str) -> None:
    with pytest.raises(DataError, match=rf"^dev\.xml: {tag} out of place$"):
        questions(written(tmp_path, f"{tag}\ntext\n{PAIRS}", "dev.xml"))


@pytest.mark.parametrize(
    "content",
    [
        PAIRS + "<positive>\na\tb\n",
        "<QApairs id='1'>\n<positive>\na\n</QApairs>\n",
        PAIRS.replace("</QApairs>", ""),
        PAIRS + "</QApairs>\n",
    ],
)
def test_no_answer_is_lost_or_counted_twice(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"dev\.xml"):
        questions(written(tmp_path, content, "dev.xml"))


def test_words_that_look_like_values_stay_words(tmp_path: Path) -> None:
    content = b"01-n: {members: [no, 12:30, null, 2001-99-99], definition: [plain]}\n"
    rows = wordnet(written(tmp_path, content, "all.yaml"))
    assert [row["word"] for row in rows] == ["no", "12:30", "null", "2001-99-99"]
    content = b"01-n: {members: [tea], definition: a drink}\n02-n: {members: [x]}\n03-n: {}\n"
    assert [row["definition"] for row in wordnet(written(tmp_path, content, "all.yaml"))] == (
        ["a drink"]
    )
