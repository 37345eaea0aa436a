"""Dictionary entries and their definitions, to train on."""

from __future__ import annotations

from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.fingerprint import fingerprint
from bench.data.access import DataAccess
from bench.data.build_inputs import TrainingSet, joined
from bench.data.catalog import dataset_of
from bench.data.rows import text_digest

SETS: Mapping[str, str] = {
    "oewn": "definitions/oewn:train+valid+test",
    "commondefs": "definitions/commondefs:valid+test",
}
# What stands between several definitions in the authors' files.
_MORE = "<|list_more_def|>"
# What a published set has in the place of text that its makers lost.
_LOST = ("<unk>", "\ufffd")


@dataclass(frozen=True)
class DictionaryEntry:
    """An entry of a dictionary.

    Attributes:
        word: The word, or phrase, that is defined.
        definitions: Its definitions, at least one, none twice.
    """

    word: str
    definitions: tuple[str, ...]


@dataclass(frozen=True)
class Definitions(TrainingSet):
    """Entries by the name of their dictionary.

    Definitions of a published set in which text was lost are left out; all others stay as they are.

    Attributes:
        name: ``oewn`` (Open English WordNet), ``commondefs`` (WordNet and GCIDE), both as
            ``oewn+commondefs``, or the path of a file in UTF-8, or in UTF-16 with a mark of it:
            on each line a word, a tab and a definition, or several with ``<|list_more_def|>``
            between, as in the authors' files of DefSent+.
        limit: Number of entries, or None for all.
        part: Part of the words, see ``part_of``, or None for all.
    """

    name: str
    limit: int | None = None
    part: str | None = None

    def load(self, data: DataAccess) -> list[DictionaryEntry]:
        """Load entries in the order of the SHA-256 of their words, the same for every seed.

        Raises:
            DataError: Data is missing or changed, or a line of the file is not of this form.
        """
        definitions: dict[str, dict[str, None]] = defaultdict(dict)
        for name in joined(self.name, SETS):
            for word, definition in _from_set(name, data) if name in SETS else _from_file(name):
                definitions[word][definition] = None
        words = sorted(definitions, key=text_digest)
        chosen = [word for word in words if self.part in (None, part_of(word))]
        return [DictionaryEntry(word, tuple(definitions[word])) for word in chosen[: self.limit]]

    def fingerprint(self, data: DataAccess) -> str:
        """Identify the whole dictionary, of which ``limit`` and ``part`` are settings."""
        match joined(self.name, SETS):
            case [name] if name in SETS:
                return fingerprint(data.sha256(SETS[name]))
            case [path]:
                return data.file_sha256(_existing(Path(path)))
            case names:
                return fingerprint([data.sha256(SETS[name]) for name in names])

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets of datasets.toml that it is of, ``family/set``; none for a file."""
        return tuple(dataset_of(SETS[name]) for name in joined(self.name, SETS) if name in SETS)

    def texts(self, data: DataAccess) -> Iterator[str]:
        """The definitions."""
        for entry in self.load(data):
            yield from entry.definitions


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


def _from_file(name: str) -> Iterator[tuple[str, str]]:
    path = _existing(Path(name))
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((BOM_UTF16_BE, BOM_UTF16_LE)) else "utf-8-sig"
    try:
        lines = content.decode(encoding).replace("\r\n", "\n").split("\n")
    except UnicodeDecodeError as error:
        shown = encoding.removesuffix("-sig").upper()
        raise DataError(f"{path}: cannot be read as {shown}: {error.reason}") from None
    if not any(line.strip() for line in lines):
        raise DataError(f"{path}: line 1: no entries; write a word, a tab and a definition a line")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        word, tab, text = line.partition("\t")
        several = [one.strip() for one in text.split(_MORE)] if _MORE in text else [text]
        if not (tab and word.strip() and all(one.strip() for one in several)) or "\t" in text:
            raise DataError(f"{path}: line {number}: expected a word, a tab and its definition")
        for one in several:
            yield word, one


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"data {str(path)!r} is neither a file nor one of: {', '.join(SETS)}")
    return path
