"""Steps that look at many rows at once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import Field

from bench.core.errors import DataError
from bench.data.rows import Row
from bench.data.steps.base import BaseStep, Context, text_key


class Candidates(BaseStep):
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
        gathered: dict[str, Row] = {}
        for row in rows:
            key = text_key(row[self.by]) if self.loose else row[self.by]
            group = gathered.setdefault(
                key, {"query": row[self.query], "positive": [], "negative": []}
            )
            kind = "positive" if row[self.relevance] in self.relevant else "negative"
            group[kind].append(row[self.candidate])
        return iter(gathered.values())


class Unlike(BaseStep):
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
            if all(len(candidates) > 1 for candidates in kept.values()) and not any(
                text_key(text) in held for text in texts
            ):
                yield {**row, **kept}

    def _keys(self, rows: Iterable[Row]) -> frozenset[str]:
        return frozenset(text_key(row[name]) for row in rows for name in self.ref_columns)


class Distinct(BaseStep):
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


class Sorted(BaseStep):
    """Sorts rows by some columns, and keeps each once."""

    step: Literal["sorted"]
    columns: tuple[str, ...]

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Sort."""
        found = {tuple(row[name] for name in self.columns): row for row in rows}
        return (found[key] for key in sorted(found))


class Shuffle(BaseStep):
    """Puts rows in an order that a seed decides."""

    step: Literal["shuffle"]
    seed: int

    def apply(self, rows: Iterable[Row], context: Context) -> Iterator[Row]:
        """Shuffle."""
        return iter(_shuffled(rows, self.seed))


class WordSplit(BaseStep):
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
            raise DataError(f"split {context.split!r} is none of those that this step makes")
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


class Triplets(BaseStep):
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
                pair = entailed[number % len(entailed)], denied[number % len(denied)]
                if (premise, *pair) not in seen:
                    seen.add((premise, *pair))
                    yield {
                        "sent0": premise,
                        "sent1": pair[0],
                        "hard_neg": pair[1],
                        "source": source,
                    }


def _shuffled(values: Iterable[Any], seed: int) -> list[Any]:
    shuffled = list(values)
    random.Random(seed).shuffle(shuffled)
    return shuffled
