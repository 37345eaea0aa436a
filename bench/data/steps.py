"""What becomes of rows between a source and the catalog: small steps that a catalog puts together.

A step is a model of pydantic with its options, and ``apply`` maps rows to rows; none knows a data
set. A new step is a class here, and a line in ``Step``.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from bench.data.rows import Row
from bench.errors import DataError

_NOT_KEY = re.compile(r"[^a-z0-9]+")
_LOWER_LETTER = re.compile(r"[a-z]")
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_LOST = "\ufffd"


def text_key(text: str) -> str:
    """Latin letters and digits of a text in lower case: the same for texts that differ in others.

    It is coarser than ``bench.contamination.normalise``, as it keeps no blanks.
    """
    return _NOT_KEY.sub("", text.lower())


@dataclass(frozen=True)
class Context:
    """What a step may ask for besides its rows.

    Attributes:
        split: The split that is made.
        rows: Rows of another set, by ``family/set:split[+split]``.
        evaluation: ``text_key`` of every text of the evaluation splits.
    """

    split: str
    rows: Callable[[str], list[Row]]
    evaluation: Callable[[], frozenset[str]]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def refs(self) -> tuple[str, ...]:
        """Other sets whose rows the step asks for."""
        return ()

    @property
    def reads_evaluation(self) -> bool:
        """Whether the step asks for the texts of the evaluation splits."""
        return False


class Only(_Step):
    """Keeps the rows in which a column matches a regular expression."""

    step: Literal["only"]
    column: str
    pattern: Pattern

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Leave out the rows that do not match anywhere."""
        pattern = re.compile(self.pattern)
        return (row for row in rows if pattern.search(row[self.column]))


class Replace(_Step):
    """Replaces what matches a regular expression, and then drops blanks around texts."""

    step: Literal["replace"]
    columns: tuple[str, ...]
    pattern: Pattern
    by: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Replace in each of the columns."""
        pattern = re.compile(self.pattern)
        for row in rows:
            new = {name: pattern.sub(self.by, row[name]).strip() for name in self.columns}
            yield {**row, **new}


class Fill(_Step):
    """Makes a column of others, by a template such as ``{title} {text}``."""

    step: Literal["fill"]
    column: str
    template: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Add the column."""
        return ({**row, self.column: self.template.format_map(row)} for row in rows)


class Values(_Step):
    """Replaces whole values; one that is not named is an error."""

    step: Literal["values"]
    column: str
    values: Mapping[str, str | int]

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Replace the value of each row.

        Raises:
            DataError: A value has no replacement.
        """
        for number, row in enumerate(rows, 1):
            if row[self.column] not in self.values:
                raise DataError(f"row {number}: {self.column} is {row[self.column]!r}")
            yield {**row, self.column: self.values[row[self.column]]}


class Number(_Step):
    """Makes numbers of texts."""

    step: Literal["number"]
    column: str
    type: Literal["int", "float"]

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Parse the value of each row.

        Raises:
            DataError: A value is no number, or no whole one where it has to be.
        """
        for number, row in enumerate(rows, 1):
            value = self._parsed(str(row[self.column]))
            if value is None:
                raise DataError(f"row {number}: {self.column} is {row[self.column]!r}, no number")
            yield {**row, self.column: value}

    def _parsed(self, text: str) -> int | float | None:
        if self.type == "int" and _WHOLE.fullmatch(text.strip()):
            return int(text)
        try:
            value = float(text.replace("_", "?"))
        except ValueError:
            return None
        if not math.isfinite(value) or (self.type == "int" and not value.is_integer()):
            return None
        return int(value) if self.type == "int" else value


class Lower(_Step):
    """Puts a column in lower case, without blanks around it."""

    step: Literal["lower"]
    column: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Change the value of each row."""
        return ({**row, self.column: row[self.column].strip().lower()} for row in rows)


class Gather(_Step):
    """Makes one list of several columns."""

    step: Literal["gather"]
    columns: tuple[str, ...]
    into: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Replace the columns by the list."""
        for row in rows:
            rest = {name: value for name, value in row.items() if name not in self.columns}
            yield {**rest, self.into: [row[name] for name in self.columns]}


class Flatten(_Step):
    """Makes a row of each text of a list."""

    step: Literal["flatten"]
    column: str

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Flatten the rows that have a list; the others stay."""
        for row in rows:
            value = row[self.column]
            for text in value if isinstance(value, list) else [value]:
                yield {**row, self.column: text}


class Candidates(_Step):
    """Gathers candidates of a query, a row each, into one row: query, positive, negative.

    Attributes:
        by: Column that tells queries apart.
        query: Column of the query; that of the first row of a query counts.
        candidate: Column of the candidate.
        relevance: Column of its relevance.
        relevant: Values of it that make a positive.
        loose: Whether queries are the same where their ``text_key`` is.
    """

    step: Literal["candidates"]
    by: str
    query: str = "query"
    candidate: str = "candidate"
    relevance: str = "relevance"
    relevant: tuple[str, ...]
    loose: bool = False

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Gather in the order of the first rows."""
        found: dict[str, Row] = {}
        for row in rows:
            key = text_key(row[self.by]) if self.loose else row[self.by]
            one = found.setdefault(key, {"query": row[self.query], "positive": [], "negative": []})
            kind = "positive" if row[self.relevance] in self.relevant else "negative"
            one[kind].append(row[self.candidate])
        return iter(found.values())


class Unlike(_Step):
    """Leaves out rows with a text of another split, or of the evaluation splits.

    Texts are the same where their ``text_key`` is. A row of lists loses only these texts and blank
    ones, and goes where fewer than two are left.

    Attributes:
        columns: Columns of text, or of lists of texts.
        ref: The other split, or None for all evaluation splits of the catalog.
        ref_columns: Columns of the other split.
    """

    step: Literal["unlike"]
    columns: tuple[str, ...]
    ref: str | None = None
    ref_columns: tuple[str, ...] = ()

    @property
    def refs(self) -> tuple[str, ...]:
        """The other split."""
        return (self.ref,) if self.ref else ()

    @property
    def reads_evaluation(self) -> bool:
        """Where no other split is named."""
        return self.ref is None

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Leave out."""
        held = context.evaluation() if self.ref is None else self._keys(context.rows(self.ref))
        for row in rows:
            lists = {name: row[name] for name in self.columns if isinstance(row[name], list)}
            kept = {
                name: [text for text in texts if text.strip() and text_key(text) not in held]
                for name, texts in lists.items()
            }
            texts = [row[name] for name in self.columns if name not in lists]
            if all(len(one) > 1 for one in kept.values()) and not any(
                text_key(text) in held for text in texts
            ):
                yield {**row, **kept}

    def _keys(self, rows: Iterable[Row]) -> frozenset[str]:
        return frozenset(text_key(row[name]) for row in rows for name in self.ref_columns)


class Distinct(_Step):
    """Keeps the first of the rows whose texts are the same by ``text_key``."""

    step: Literal["distinct"]
    columns: tuple[str, ...]

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Leave out the later ones."""
        seen: set[tuple[str, ...]] = set()
        for row in rows:
            key = tuple(text_key(row[name]) for name in self.columns)
            if key not in seen:
                seen.add(key)
                yield row


class Sorted(_Step):
    """Sorts rows by some columns, and keeps each once."""

    step: Literal["sorted"]
    columns: tuple[str, ...]

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Sort."""
        found = {tuple(row[name] for name in self.columns): row for row in rows}
        return (found[key] for key in sorted(found))


class Shuffle(_Step):
    """Puts rows in an order that a seed decides."""

    step: Literal["shuffle"]
    seed: int

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Shuffle."""
        return iter(_shuffled(rows, self.seed))


class Sentences(_Step):
    """Keeps texts that are sentences by their length, with single blanks between words.

    One without a lower-case letter, or in which a character was lost, is left out.

    Attributes:
        column: Column of the text.
        least: Fewest words.
        most: Most words.
    """

    step: Literal["sentences"]
    column: str
    least: int
    most: int

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Leave out the others."""
        for row in rows:
            words = row[self.column].split()
            text = " ".join(words)
            fits = self.least <= len(words) <= self.most and _LOST not in text
            if fits and _LOWER_LETTER.search(text):
                yield {**row, self.column: text}


class WordSplit(_Step):
    """Makes splits whose words are disjoint, of a dictionary that has none.

    A share of all words goes to each small split, the rest to the large one; case is ignored. In
    the small ones, definitions that the large one has too are left out.

    Attributes:
        word: Column of the word.
        definition: Column of the definition.
        small: The small splits, in the order in which they get their words.
        large: The large one.
        words_in: A small split gets one word in so many.
        seed: Decides which words.
    """

    step: Literal["word_split"]
    word: str
    definition: str
    small: tuple[str, ...]
    large: str
    words_in: int = Field(gt=1)
    seed: int

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Keep the rows of the split that is made.

        Raises:
            DataError: It is none of the splits.
        """
        if context.split not in (*self.small, self.large):
            raise DataError(f"there is no split {context.split!r} to make")
        kept = list(rows)
        words = _shuffled(sorted({row[self.word].lower() for row in kept}), self.seed)
        size = len(words) // self.words_in
        place = {
            word: name
            for number, name in enumerate(self.small)
            for word in words[number * size : (number + 1) * size]
        }
        parts: dict[str, list[Row]] = {name: [] for name in (*self.small, self.large)}
        for row in kept:
            parts[place.get(row[self.word].lower(), self.large)].append(row)
        if context.split == self.large:
            return iter(parts[self.large])
        taken = {text_key(row[self.definition]) for row in parts[self.large]}
        return (row for row in parts[context.split] if text_key(row[self.definition]) not in taken)


class Triplets(_Step):
    """Makes rows sent0, sent1, hard_neg of labelled pairs, as supervised SimCSE trains on.

    Of each premise and source, hypotheses that it entails are paired with such that contradict it;
    the shorter of the two lists is gone through again until the longer one ends.
    """

    step: Literal["triplets"]
    entailment: str = "entailment"
    contradiction: str = "contradiction"

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Make the triplets in the order of the premises, each once."""
        groups: dict[tuple[str, str], dict[str, list[str]]] = {}
        for row in rows:
            group = groups.setdefault((row["source"], row["premise"]), {})
            group.setdefault(row["label"].lower(), []).append(row["hypothesis"])
        seen = set()
        for (source, premise), group in groups.items():
            entailed, denied = (group.get(x, []) for x in (self.entailment, self.contradiction))
            for number in range(max(len(entailed), len(denied)) if entailed and denied else 0):
                one = entailed[number % len(entailed)], denied[number % len(denied)]
                if (premise, *one) not in seen:
                    seen.add((premise, *one))
                    yield {
                        "sent0": premise,
                        "sent1": one[0],
                        "hard_neg": one[1],
                        "source": source,
                    }


Step = Annotated[
    Only
    | Replace
    | Fill
    | Values
    | Number
    | Lower
    | Gather
    | Flatten
    | Candidates
    | Unlike
    | Distinct
    | Sorted
    | Shuffle
    | Sentences
    | WordSplit
    | Triplets,
    Field(discriminator="step"),
]


def apply_steps(rows: Iterable[Row], steps: Sequence[Step], context: Context) -> list[Row]:
    """Take rows through steps.

    Raises:
        DataError: A row lacks a column of a step, or has a value that it cannot take.
    """
    try:
        for step in steps:
            rows = step.apply(rows, context)
        return list(rows)
    except KeyError as error:
        raise DataError(f"a row has no column {error}") from None
    except (TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"a value is not what a step takes: {error}") from None


def _shuffled(values: Iterable[Any], seed: int) -> list[Any]:
    found = list(values)
    random.Random(seed).shuffle(found)
    return found
