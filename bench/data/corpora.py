"""Training text by name: what methods learn from."""

from __future__ import annotations

import ast
import csv
import hashlib
import platform
import re
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.core.errors import DataError
from bench.core.fingerprint import canonical_json, fingerprint
from bench.data.access import DataAccess, in_fixed_split
from bench.data.build_inputs import TrainingSet, joined
from bench.data.catalog import catalog, dataset_of
from bench.data.hub import commit_of

Texts = tuple[str, ...]
_SIMCSE = "princeton-nlp/datasets-for-simcse"
_HUB = {"wiki1m": (_SIMCSE, "wiki1m_for_simcse.txt"), "nli": (_SIMCSE, "nli_for_simcse.csv")}
BACK_TRANSLATED = "back-translated"
# Text that nobody publishes, by its path below a data folder.
_MADE = {BACK_TRANSLATED: f"corpus/{BACK_TRANSLATED}.tsv"}
_SENTENCE_END = re.compile(r"(?<=[a-z)][.!?])\s+(?=[A-Z])")
_PROSE = re.compile(r"[A-Z][A-Za-z0-9 ,;:'()/-]+[.!?]")


@dataclass(frozen=True)
class Corpus:
    """Training text.

    Attributes:
        name: Name or path it was asked for by.
        rows: Each a sentence, a sentence and its paraphrase, or these and a hard negative; no
            first sentence twice.
    """

    name: str
    rows: list[Texts]

    def sentences(self) -> list[str]:
        """The first sentence of every row."""
        return [row[0] for row in self.rows]

    def pairs(self) -> list[tuple[str, str]]:
        """Sentence and paraphrase of every row.

        Raises:
            DataError: The corpus has single sentences only.
        """
        if any(len(row) < 2 for row in self.rows):
            raise DataError(
                f"corpus {self.name!r} has no paraphrase pairs; use corpus=paraphrase, "
                "or a file with two tab-separated columns"
            )
        return [(row[0], row[1]) for row in self.rows]

    def triplets(self) -> list[tuple[str, str, str]]:
        """Sentence, paraphrase and hard negative of every row.

        Raises:
            DataError: The corpus has no hard negatives.
        """
        if any(len(row) < 3 for row in self.rows):
            raise DataError(
                f"corpus {self.name!r} has no hard negatives; use corpus=triplets, "
                "or a file with three tab-separated columns"
            )
        return [(row[0], row[1], row[2]) for row in self.rows]


@dataclass(frozen=True)
class NamedCorpus(TrainingSet):
    """Training text by its name.

    Attributes:
        name: ``pydoc``, ``paraphrase``, ``mix``, ``triplets``, ``stsb`` (the sentences of its
            training pairs), ``sick`` (those of SICK's training and trial pairs), ``wiki1m``,
            ``nli``, ``back-translated`` (which nobody publishes and ``bench data translate``
            makes), several of these with ``+`` between, or the path of a UTF-8 file with a
            sentence a line, or two or three separated by tabs.
        limit: Number of rows, the first ones of a fixed order, or None for all.
        columns: Number of the texts of each row that are learnt from, the first ones, or None for
            all; ``load`` reads all of them.
    """

    name: str
    limit: int | None = None
    columns: int | None = None

    def load(self, data: DataAccess) -> Corpus:
        """Load the rows.

        Raises:
            DataError: Text is missing, or there is none.
        """
        # A training reads it, and what looks for test texts in it reads it again.
        rows = data.remembered(f"corpus {self.name}", lambda: _rows_of(self.name, data))
        return Corpus(self.name, rows[: self.limit])

    def fingerprint(self, data: DataAccess) -> str:
        """Identify the whole text, of which ``limit`` and ``columns`` are settings."""
        if len(parts := joined(self.name, _SOURCES)) > 1:
            return fingerprint([NamedCorpus(name).fingerprint(data) for name in parts])
        if self.name == "pydoc":
            return f"python-{platform.python_version()}"
        if self.name in _HUB:
            return fingerprint([*_HUB[self.name], self.revisions(data)])
        if self.name in _PARTS:
            return fingerprint([data.sha256(ref) for ref in _PARTS[self.name]])
        if self.name in _MADE:
            return data.file_sha256(_made(self.name, data))
        return data.file_sha256(_existing(Path(self.name)))

    @property
    def datasets(self) -> tuple[str, ...]:
        """Data sets of datasets.toml that it draws on, ``family/set``."""
        return tuple(
            dataset_of(ref) for name in joined(self.name, _SOURCES) for ref in _PARTS.get(name, ())
        )

    def revisions(self, data: DataAccess) -> Mapping[str, str]:
        """Commit of each data set on the hub that it is a file of, by its id, or none."""
        return {
            _HUB[name][0]: commit_of(_from_hub(name, data), _HUB[name][1])
            for name in joined(self.name, _SOURCES)
            if name in _HUB
        }

    def texts(self, data: DataAccess) -> Iterator[str]:
        """Texts of all rows, or those of their first columns."""
        for row in self.load(data).rows:
            yield from row[: self.columns]


def _rows_of(name: str, data: DataAccess) -> list[Texts]:
    first: dict[str, Texts] = {}
    for part in joined(name, _SOURCES):
        source = _SOURCES.get(part)
        for row in source(data) if source else _from_file(Path(part)):
            first.setdefault(row[0], row)
    if not first:
        raise DataError(f"corpus {name!r} has no sentences")
    return list(first.values())


_PARTS: Mapping[str, tuple[str, ...]] = {
    "paraphrase": (
        "paraphrase/multi30k_captions:train",
        "paraphrase/wikisplit:tune+validation+test",
        "paraphrase/quora:dev",
        "paraphrase/asset:valid",
    ),
    "mix": ("unlabeled/mix:train",),
    "triplets": ("nli/triplets:train",),
    "stsb": ("sts/stsb:train",),
    "sick": ("sts/sick:train+trial",),
}
CAPTION_PAIRS = 10_000


def _paraphrase(data: DataAccess) -> Iterator[Texts]:
    captions, wikisplit, quora, asset = (data.rows(ref) for ref in _PARTS["paraphrase"])
    pairs: list[Texts] = []
    several = [tuple(sorted(row["texts"], key=_digest)) for row in captions]
    several = sorted((texts for texts in several if len(texts) > 1), key=_digest)
    pairs += [(texts[0], texts[1]) for texts in several[:CAPTION_PAIRS]]
    pairs += [(row["sentence1"], row["sentence2"]) for row in wikisplit]
    columns = catalog()["paraphrase/quora"].columns
    pairs += [
        (row["sentence1"], row["sentence2"])
        for row in quora
        if row["label"] == 1 and in_fixed_split(row, columns, "train")
    ]
    pairs += [(row["text"], min(row["references"], key=_digest)) for row in asset]
    return iter(sorted((pair for pair in pairs if all(pair)), key=_digest))


def _mix(data: DataAccess) -> Iterator[Texts]:
    return ((row["text"],) for row in data.rows(_PARTS["mix"][0]))


def _triplets(data: DataAccess) -> Iterator[Texts]:
    columns = ("sent0", "sent1", "hard_neg")
    rows = [tuple(row[name] for name in columns) for row in data.rows(_PARTS["triplets"][0])]
    return iter(sorted((row for row in rows if all(row)), key=_digest))


def _sentences(name: str, data: DataAccess) -> Iterator[Texts]:
    rows = data.rows(_PARTS[name][0])
    texts = [row[column] for row in rows for column in ("sentence1", "sentence2")]
    return ((text,) for text in sorted(texts, key=_digest))


def _wiki1m(data: DataAccess) -> Iterator[Texts]:
    return _from_file(_from_hub("wiki1m", data))


def _nli(data: DataAccess) -> Iterator[Texts]:
    with _from_hub("nli", data).open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            # An empty field is a space in the authors' code.
            yield row["sent0"] or " ", row["sent1"] or " ", row["hard_neg"] or " "


def _from_hub(name: str, data: DataAccess) -> Path:
    try:
        return data.corpus_file(*_HUB[name])
    except DataError as error:
        raise DataError(
            f"corpus {name!r}: {error}; run 'bench data fetch corpus:{name}' with a network, or "
            "choose corpus=FILE"
        ) from None


def _from_file(path: Path) -> Iterator[Texts]:
    lines = _existing(path).read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        columns = tuple(line.split("\t"))
        if not line.strip():
            continue
        if len(columns) > 3 or not all(column.strip() for column in columns):
            raise DataError(
                f"{path}: line {number}: expected a sentence, or two or three with tabs between"
            )
        yield columns


def made_path(name: str) -> str:
    """Path below a data folder of text that nobody publishes."""
    return _MADE[name]


def _made(name: str, data: DataAccess) -> Path:
    return data.unpublished_file(
        _MADE[name],
        f"corpus {name}",
        f"nobody publishes it; lay a file of two tab-separated columns at {_MADE[name]} in the "
        "data folder, make that by 'bench data translate', or choose corpus=FILE",
    )


def _back_translated(data: DataAccess) -> Iterator[Texts]:
    return _from_file(_made(BACK_TRANSLATED, data))


def _existing(path: Path) -> Path:
    if not path.is_file():
        known = ", ".join(_SOURCES)
        raise DataError(f"corpus {str(path)!r} is neither a file nor one of: {known}")
    return path


def _pydoc(_data: DataAccess) -> Iterator[Texts]:
    from pydoc_data import topics

    texts = [str(topics.topics[key]) for key in sorted(topics.topics)]
    folder = Path(sysconfig.get_path("stdlib"))
    for path in sorted(folder.glob("*.py")):
        texts += _docstrings(path)
    found = {(sentence,) for text in texts for sentence in _prose(text)}
    return iter(sorted(found, key=_digest))


def _docstrings(path: Path) -> list[str]:
    tree = ast.parse(path.read_bytes())
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    return [text for text in found if text]


def _prose(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in _SENTENCE_END.split(" ".join(paragraph.split())):
            if _PROSE.fullmatch(sentence) and 5 <= len(sentence.split()) <= 40:
                yield sentence


def _digest(texts: Texts | str) -> str:
    return hashlib.sha256(canonical_json(texts).encode()).hexdigest()


_SOURCES: Mapping[str, Callable[[DataAccess], Iterator[Texts]]] = {
    "pydoc": _pydoc,
    "paraphrase": _paraphrase,
    "mix": _mix,
    "triplets": _triplets,
    "stsb": partial(_sentences, "stsb"),
    "sick": partial(_sentences, "sick"),
    "wiki1m": _wiki1m,
    "nli": _nli,
    BACK_TRANSLATED: _back_translated,
}
NAMES = (*_PARTS, *_HUB, *_MADE)
