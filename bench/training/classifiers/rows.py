"""Labelled rows of a task, as a classifier learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import CellError
from bench.core.fingerprint import fingerprint
from bench.data.contamination import row_key
from bench.method import Label, LabelledTexts

DEV_SHARE = 0.2


@dataclass(frozen=True)
class NumberedTexts:
    """Texts and the numbers of their labels."""

    texts: tuple[str, ...]
    classes: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: Sequence[int]) -> NumberedTexts:
        """Some of the texts, in the order of the numbers."""
        return NumberedTexts(
            tuple(self.texts[row] for row in rows), tuple(self.classes[row] for row in rows)
        )


@dataclass(frozen=True)
class ClassifierRows:
    """What a classifier learns from, and what it is stopped by.

    Attributes:
        labels: The labels, by number.
        train: Texts to learn from.
        dev: Texts to stop by, which may be none; no label is new in them.
        unlabelled: Further texts, which what needs no labels may learn from.
    """

    labels: tuple[Label, ...]
    train: NumberedTexts
    dev: NumberedTexts
    unlabelled: tuple[str, ...] = ()

    def fingerprint(self) -> str:
        """Identify texts, labels and split."""
        parts = [[part.texts, part.classes] for part in (self.train, self.dev)]
        return fingerprint([self.labels, parts, self.unlabelled])


def make_rows(
    train: LabelledTexts, dev: LabelledTexts | None, *, seed: int, dev_rows: int | None = None
) -> ClassifierRows:
    """Number the labels, and take a fifth of the training rows for dev where there are no others.

    Dev rows of a label that no training row has are left out, as no classifier can learn it.

    Args:
        train: Single texts with their labels, at least two different ones.
        dev: The same to stop by, or None.
        seed: Seed of the split and of the rows that are taken.
        dev_rows: Most dev rows, or None for all.

    Raises:
        CellError: Rows hold two texts, or the labels are scores, or all the same.
    """
    labels = train.classes()
    number = {label: i for i, label in enumerate(labels)}
    whole = _numbered(train, number)
    if dev is None:
        kept, held = stratified_split(whole.classes, DEV_SHARE, seed)
        learnt, stopped = whole.take(kept), whole.take(held)
    else:
        learnt, stopped = whole, _numbered(dev, number)
    if dev_rows is not None and len(stopped) > dev_rows:
        drawn = np.random.default_rng(seed).permutation(len(stopped))[:dev_rows]
        stopped = stopped.take(sorted(drawn.tolist()))
    return ClassifierRows(labels, learnt, stopped)


def usable_pool(
    pool: Sequence[tuple[str, ...]], *held_out: Sequence[tuple[str, ...]]
) -> tuple[str, ...]:
    """Distinct texts of a pool, without those that are scored or stopped by.

    Args:
        pool: Single texts.
        held_out: Texts that are left out, also where case or punctuation differ.

    Raises:
        CellError: Rows hold two texts, or nothing is left.
    """
    taken = {row_key(row) for rows in held_out for row in rows}
    texts = dict.fromkeys(text for text in single_texts(pool) if row_key([text]) not in taken)
    if not texts:
        raise CellError(
            "the task has no pool of other texts than those that are scored; "
            "leave out unlabelled=pool, or name a corpus"
        )
    return tuple(texts)


def single_texts(texts: Sequence[tuple[str, ...]]) -> list[str]:
    """The only text of each row.

    Raises:
        CellError: Rows hold several.
    """
    if several := [row for row in texts if len(row) != 1]:
        raise CellError(
            f"rows hold {len(several[0])} texts, but this method labels single texts; "
            "leave it out of suites with pairs"
        )
    return [text for (text,) in texts]


def stratified_split(
    labels: Sequence[Label], share: float, seed: int
) -> tuple[list[int], list[int]]:
    """Split rows at random, label by label.

    Args:
        labels: Label of each row.
        share: Share of the second part, of each label's rows to the nearest whole number, so that
            a fifth of one or two rows is none.
        seed: Seed of the split.

    Returns:
        Row numbers of both parts, in rising order.
    """
    rng = np.random.default_rng(seed)
    rows: dict[Label, list[int]] = {}
    for row, label in enumerate(labels):
        rows.setdefault(label, []).append(row)
    held: set[int] = set()
    for of_label in rows.values():
        held.update(rng.permutation(of_label)[: int(share * len(of_label) + 0.5)].tolist())
    return [row for row in range(len(labels)) if row not in held], sorted(held)


def _numbered(rows: LabelledTexts, number: dict[Label, int]) -> NumberedTexts:
    texts = single_texts(rows.texts)
    known = [row for row, label in enumerate(rows.labels) if label in number]
    return NumberedTexts(
        tuple(texts[row] for row in known), tuple(number[rows.labels[row]] for row in known)
    )
