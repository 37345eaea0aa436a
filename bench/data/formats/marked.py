"""Formats whose texts are marked up: corpora, dictionaries and lists of questions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from bench.core.errors import DataError
from bench.data.formats.opened import (
    Encoding,
    LocalFile,
    Options,
    members,
    opened,
    read_lines,
    read_text,
)
from bench.data.rows import Row

_BROWN_MEMBER = re.compile(r"(?:.*/)?c[a-r]\d\d")
_JOINED = re.compile(r" @([-,.])@ ")
_SENTENCE_END = re.compile(r'(?<= [.!?]) (?=[A-Z"])')


class Brown(Options):
    """A zip archive of the Brown corpus: a sentence a line, its tokens as ``word/tag``."""

    format: Literal["brown"]

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read the sentences in the order of the sections' names, tokens apart by a blank.

        Raises:
            DataError: A file is no such archive.
        """
        for file in files:
            has_sections = False
            for name in members(file):
                if _BROWN_MEMBER.fullmatch(name):
                    has_sections = True
                    yield from self._section(replace(file, member=name))
            if not has_sections:
                raise DataError(f"{file.name} has no sections of the Brown corpus, ca01 to cr09")

    def _section(self, file: LocalFile) -> Iterator[Row]:
        with opened(file) as stream:
            lines = stream.read().decode("ascii", "replace").split("\n")
        for line in filter(str.strip, lines):
            words = (token.rpartition("/")[0] or token for token in line.split())
            yield {**file.row, "text": " ".join(words)}


class WikiText(Options):
    """WikiText: a paragraph a line, headings between ``=``, ``@-@`` within a word.

    Attributes:
        unknown: The token in place of rare words; sentences with one are left out.
    """

    format: Literal["wikitext"]
    unknown: str = "<unk>"

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read the sentences of the paragraphs.

        Raises:
            DataError: A file is damaged.
        """
        for file in files:
            for line in map(str.strip, read_lines(file)):
                if not line or line.startswith("="):
                    continue
                for sentence in _SENTENCE_END.split(_JOINED.sub(r"\1", line)):
                    if self.unknown not in sentence:
                        yield {**file.row, "text": sentence}


class WordNet(Options):
    """YAML of Open English WordNet: synsets by identifier, with members and definitions."""

    format: Literal["wordnet"]

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read a row for each member of a synset: word, definition (the first), pos, synset.

        Satellite adjectives count as adjectives.

        Raises:
            DataError: A file is no such YAML.
        """
        for file in files:
            for synset, entry in self._synsets(file).items():
                text = self._definition(entry, f"{file.name}: {synset}")
                if text is None:
                    continue
                for word in entry.get("members", []):
                    yield {
                        **file.row,
                        "word": word,
                        "definition": " ".join(text.split()),
                        "pos": synset[-1].replace("s", "a"),
                        "synset": synset,
                    }

    def _definition(self, entry: Any, where: str) -> str | None:
        """The first definition of a synset with members, or None where it has none."""
        if not isinstance(entry, dict):
            raise DataError(f"{where} is not a synset")
        given, words = entry.get("definition") or [], entry.get("members") or []
        first = given[0] if isinstance(given, list) and given else given or None
        text = first.get("text", "") if isinstance(first, dict) else first
        if not isinstance(words, list) or not isinstance(text, str | None):
            raise DataError(f"{where} has no list of members, or no definition that is a text")
        return text

    def _synsets(self, file: LocalFile) -> dict[str, Any]:
        import yaml

        # All scalars stay texts, so that no word becomes a truth value or a time; that in C is
        # ten times as fast where it is there.
        loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
        try:
            synsets = yaml.load(read_text(file), Loader=loader)  # noqa: S506 - makes no objects
        except yaml.YAMLError as error:
            raise DataError(f"{file.name} cannot be read: {error}") from None
        if not isinstance(synsets, dict):
            raise DataError(f"{file.name} has no synsets by identifier")
        return synsets


class Questions(Options):
    """Questions with answers in tags of a line each, as the QA sets derived from TREC have them.

    Within a tag stand lines of tab-separated annotations of its tokens; the first are the tokens.

    Attributes:
        encoding: Encoding of the text.
    """

    format: Literal["questions"]
    encoding: Encoding = "utf-8"

    def read(self, files: Sequence[LocalFile]) -> Iterator[Row]:
        """Read a row for each question: query, positive, negative; tokens apart by a blank.

        Raises:
            DataError: A file is damaged, or an answer has no question.
        """
        for file in files:
            yield from self._questions(file)

    def _questions(self, file: LocalFile) -> Iterator[Row]:
        row: Row | None = None
        lines = iter(read_lines(file, self.encoding))
        for line in lines:
            tag = line.strip()
            if tag.startswith("<QApairs") and row is None:
                row = {**file.row, "query": None, "positive": [], "negative": []}
            elif tag == "</QApairs>" and row is not None and row["query"] is not None:
                yield row
                row = None
            elif tag in ("<question>", "<positive>", "<negative>") and row is not None:
                text = " ".join(next(lines, "").split("\t")).strip()
                if tag == "<question>":
                    row["query"] = text
                else:
                    row[tag[1:-1]].append(text)
            elif tag.startswith(("<QApairs", "</QApairs", "<question", "<positive", "<negative")):
                raise DataError(f"{file.name}: {tag} out of place")
        if row is not None:
            raise DataError(f"{file.name} ends within <QApairs>")
