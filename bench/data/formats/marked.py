"""Formats whose texts are marked up: corpora, dictionaries and lists of questions."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from bench.data.formats.opened import LocalFile, Options, read_lines, read_text
from bench.data.rows import Row
from bench.errors import DataError

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
            try:
                with zipfile.ZipFile(file.path) as archive:
                    names = sorted(filter(_BROWN_MEMBER.fullmatch, archive.namelist()))
                    for name in names:
                        lines = archive.read(name).decode("ascii", "replace").split("\n")
                        for line in filter(str.strip, lines):
                            words = (token.rpartition("/")[0] or token for token in line.split())
                            yield {**file.row, "text": " ".join(words)}
            except zipfile.BadZipFile as error:
                raise DataError(f"{file.name} cannot be read: {error}") from None


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
                given = entry.get("definition", [])[:1]
                texts = [one.get("text", "") if isinstance(one, dict) else one for one in given]
                for text in texts:
                    for word in entry.get("members", []):
                        yield {
                            **file.row,
                            "word": str(word),
                            "definition": " ".join(str(text).split()),
                            "pos": synset[-1].replace("s", "a"),
                            "synset": synset,
                        }

    def _synsets(self, file: LocalFile) -> dict[str, dict[str, Any]]:
        import yaml

        # Both are safe; that in C is ten times as fast where it is there.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            found = yaml.load(read_text(file), Loader=loader)  # noqa: S506 - safe, see above
        except yaml.YAMLError as error:
            raise DataError(f"{file.name} cannot be read: {error}") from None
        if not isinstance(found, dict) or not all(isinstance(x, dict) for x in found.values()):
            raise DataError(f"{file.name} has no synsets by identifier")
        return found


class Questions(Options):
    """Questions with answers in tags of a line each, as the QA sets derived from TREC have them.

    Within a tag stand lines of tab-separated annotations of its tokens; the first are the tokens.

    Attributes:
        encoding: Encoding of the text.
    """

    format: Literal["questions"]
    encoding: str = "utf-8"

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
            if tag.startswith("<QApairs"):
                row = {**file.row, "query": None, "positive": [], "negative": []}
            elif tag == "</QApairs>" and row is not None and row["query"] is not None:
                yield row
            elif tag in ("<question>", "<positive>", "<negative>"):
                text = " ".join(next(lines, "").split("\t")).strip()
                if row is None:
                    raise DataError(f"{file.name}: {tag} outside of <QApairs>")
                if tag == "<question>":
                    row["query"] = text
                else:
                    row[tag[1:-1]].append(text)
