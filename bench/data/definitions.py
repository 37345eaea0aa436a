"""Dictionary entries and their definitions, to train on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.fingerprint import fingerprint
from bench.data.access import DataAccess
from bench.data.rows import text_digest

SETS: Mapping[str, str] = {
    "oewn": "definitions/oewn:train+valid+test",
    "commondefs": "definitions/commondefs:valid+test",
}
# What a published set has in the place of text that its makers lost.
_LOST = ("<unk>", "\ufffd")


@dataclass(frozen=True)
class Entry:
    """An entry of a dictionary.

    Attributes:
        word: The word, or phrase, that is defined.
        definitions: Its definitions, at least one, none twice.
    """

    word: str
    definitions: tuple[str, ...]


def load_definitions(name: str, data: DataAccess, limit: int | None = None) -> list[Entry]:
    """Load entries, the first ``limit`` of an order that is the same for every seed.

    The order is that of the SHA-256 of the words. Definitions of a published set in which text
    was lost are left out; all others stay as they are.

    Args:
        name: ``oewn`` (Open English WordNet), ``commondefs`` (WordNet and GCIDE), or the path of
            a UTF-8 file with a word, a tab and a definition on each line.
        data: Access to the data sets.
        limit: Number of entries, or None for all.

    Raises:
        DataError: Data is missing or changed, or a line of the file is not of this form.
    """
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for word, definition in _from_set(name, data) if name in SETS else _from_file(Path(name)):
        found[word][definition] = None
    order = sorted(found, key=text_digest)
    return [Entry(word, tuple(found[word])) for word in order[:limit]]


def definitions_fingerprint(name: str, data: DataAccess) -> str:
    """Identify the definitions without reading them all, and check that they are there."""
    if name in SETS:
        return fingerprint(data.sha256(SETS[name]))
    return data.file_sha256(_existing(Path(name)))


def definitions_datasets(name: str) -> tuple[str, ...]:
    """Data sets of datasets.toml that definitions come from, ``family/set``."""
    return (SETS[name].partition(":")[0],) if name in SETS else ()


def part_of(word: str) -> str:
    """Part of a word in a fixed split of 80/10/10: ``train``, ``dev`` or ``test``.

    It is that of the word in lower case, which may be all that a tokenizer keeps of it.
    """
    bucket = int(text_digest(word.lower())[:8], 16) % 10
    return "train" if bucket < 8 else "dev" if bucket == 8 else "test"


def word_ids(words: Iterable[str], tokenizer: Any) -> dict[str, int]:
    """Token of each word that is one token, leaving out the others.

    A token counts where it stands for the word alone: where decoding gives the word back, in
    lower case at least. An unknown token never does.

    Args:
        words: Words.
        tokenizer: Tokenizer of transformers.
    """
    unique = list(dict.fromkeys(words))
    if not unique:
        return {}
    # A tokenizer that sees spaces has another token for a word within a text.
    tokens = tokenizer([f" {word}" for word in unique], add_special_tokens=False)["input_ids"]
    single = {word: ids[0] for word, ids in zip(unique, tokens, strict=True) if len(ids) == 1}
    return {
        word: token
        for word, token in single.items()
        if tokenizer.decode([token]).strip() in (word, word.lower())
    }


def _from_set(name: str, data: DataAccess) -> Iterator[tuple[str, str]]:
    for row in data.rows(SETS[name]):
        if not any(mark in row["definition"] for mark in _LOST):
            yield row["word"], row["definition"]


def _from_file(path: Path) -> Iterator[tuple[str, str]]:
    try:
        lines = _existing(path).read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot be read as UTF-8: {error.reason}") from None
    if not any(line.strip() for line in lines):
        raise DataError(f"{path}: line 1: no entries; write a word, a tab and a definition a line")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        columns = line.split("\t")
        if len(columns) != 2 or not all(column.strip() for column in columns):
            raise DataError(f"{path}: line {number}: expected a word, a tab and its definition")
        yield columns[0], columns[1]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"data {str(path)!r} is neither a file nor one of: {', '.join(SETS)}")
    return path
