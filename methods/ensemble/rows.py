"""The rows of a task: gold, pool and texts to predict, their neighbours and variants."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.core.fingerprint import canonical_json, fingerprint
from bench.method import BuildContext, Item, Question
from bench.methods.ensemble.augment import Augmented, augment, replace_words
from bench.methods.ensemble.members import MemberRows
from bench.methods.ensemble.retrieval import (
    CleanPool,
    HeldOut,
    clean_pool,
    drawn,
    item_vectors,
)
from bench.methods.ensemble.settings import EnsembleConfig
from bench.methods.ensemble.targets import Floats, Targets, find_targets
from bench.methods.parts.nearest import ABSENT, Embeddings, Neighbours, nearest

INNER_FOLDS = 2


class EnsembleRows:
    """What there is to learn from and to predict.

    The texts to predict, and dev rows, are taken out of the pool; their own retrieved texts are all
    that they are used for besides. Dev rows are not learnt from.

    Args:
        config: Settings.
        ctx: Access to models and data, and progress.
        question: The rows, and the seed of everything random.

    Raises:
        CellError: There are too few gold rows, they have one label only, or a setting is not
            defined for this kind of labels.
    """

    def __init__(self, config: EnsembleConfig, ctx: BuildContext, question: Question) -> None:
        self.config, self._ctx, self._seed = config, ctx, question.seed
        self._encode: Callable[[Sequence[str]], Embeddings] = partial(
            ctx.models.vectors, config.retriever
        )
        train, dev, pool = question.train, question.dev, question.pool
        rows = _first(train.texts, config.gold)
        self.gold = [tuple(train.texts[row]) for row in rows]
        labels = [train.labels[row] for row in rows]
        self.texts = [tuple(item) for item in question.texts]
        self.targets: Targets = find_targets(labels)
        self._check(labels)
        self.matrix = self.targets.matrix(labels)
        self._dev = [tuple(item) for item in dev.texts] if dev else []
        self._held_out = HeldOut([*self.texts, *self._dev])
        self.clean: CleanPool = clean_pool(pool, self.gold, self._held_out)
        self.pool = [tuple(pool[row]) for row in self.clean.rows]

    def _check(self, labels: Sequence[Any]) -> None:
        config, scores = self.config, not self.targets.classes
        if len(set(labels)) < 2:
            raise CellError("all gold rows have the same label; there is nothing to learn")
        if len(labels) < config.folds * INNER_FOLDS:
            raise CellError(f"{len(labels)} gold rows are too few for folds={config.folds}")
        if scores and config.loss == "ce":
            raise CellError("loss=ce is for classes, and this task has scores; use loss=mse")
        if scores and config.ensemble == "logistic":
            raise CellError("ensemble=logistic is for classes, and this task has scores")
        if scores and config.pseudo_labels and config.filter in ("confidence", "agree"):
            raise CellError(
                f"filter={config.filter} is for classes, and this task has scores; use filter=sigma"
            )

    def fingerprint(self) -> str:
        """Identify all rows; those of dev too, as no variant may be one of them."""
        gold = [self.gold, self.matrix.tolist()]
        return fingerprint([gold, self.texts, self._dev, self.pool])

    @property
    def labels_pool(self) -> bool:
        """Whether there are texts to label, and they are to be learnt from."""
        return self.config.pseudo_labels and bool(self.pool)

    @cached_property
    def vectors(self) -> tuple[Embeddings, Embeddings, Embeddings]:
        """Of the gold rows, of the texts to predict, and of the pool."""
        whole = item_vectors([*self.gold, *self.texts, *self.pool], self._encode)
        ends = np.cumsum([len(self.gold), len(self.texts)])
        gold, texts, pool = np.split(whole, ends)
        return gold, texts, pool

    @cached_property
    def near_gold(self) -> Neighbours:
        """Retrieved texts of the gold rows."""
        gold, _, pool = self.vectors
        return nearest(gold, pool, self.config.k)

    @cached_property
    def near_texts(self) -> Neighbours:
        """Retrieved texts of the texts to predict."""
        _, texts, pool = self.vectors
        return nearest(texts, pool, self.config.k)

    @cached_property
    def augmented(self) -> Augmented:
        """Variants of the gold rows."""
        config, ctx = self.config, self._ctx
        arms: dict[str, Callable[[Sequence[str]], list[str]]] = {}
        if "syn" in config.arms:
            from bench.methods.parts.views import synonyms

            arms["syn"] = partial(replace_words, table=synonyms(ctx.data), seed=self._seed)
        if "bt" in config.arms:
            from bench.models.translation import Translators

            arms["bt"] = Translators(
                config.translators, ctx.device, ctx.data, ctx.progress, config.max_seq_length
            ).translate
        if "ctx" in config.arms:
            from bench.methods.parts.views import fill_masks

            arms["ctx"] = partial(
                fill_masks,
                name=config.masked_lm,
                models=ctx.models,
                seed=self._seed,
                max_seq_length=config.max_seq_length,
                progress=ctx.progress,
            )
        return augment(
            self.gold,
            self.vectors[0],
            arms,
            self._encode,
            config.least_similarity,
            self._held_out,
        )

    def _context(self, near: Neighbours, number: int) -> NDArray[np.intp]:
        """Texts that others attend to: the retrieved ones, or by the settings others or none."""
        if self.config.context == "random":
            queries = len(near.rows)
            return drawn(queries, len(self.pool), self.config.k, seed_of(self._seed, number))
        if self.config.context == "none":
            return np.full_like(near.rows, ABSENT)
        return near.rows

    @cached_property
    def gold_rows(self) -> MemberRows:
        """Gold rows with their labels."""
        return MemberRows(self.gold, self._context(self.near_gold, 1), self.matrix)

    @cached_property
    def test_rows(self) -> MemberRows:
        """Texts to predict."""
        return MemberRows(self.texts, self._context(self.near_texts, 2))

    def pool_rows(self, rows: NDArray[np.intp], outputs: Floats | None) -> MemberRows:
        """Rows of the pool, each with other rows of it to attend to."""
        items = [self.pool[row] for row in rows]
        vectors, k = self.vectors[2], self.config.k
        if self.config.context == "retrieved":
            near = nearest(vectors[rows], vectors, k, rows[:, None]).rows
        elif self.config.context == "random":
            near = drawn(len(rows), len(self.pool), k, seed_of(self._seed, 3), own=rows)
        else:
            near = np.full((len(rows), k), ABSENT, dtype=np.intp)
        return MemberRows(items, near, outputs)

    def variants(self, train: NDArray[np.intp]) -> MemberRows | None:
        """Variants of some gold rows, with labels and neighbours; None where there are none."""
        augmented = self.augmented
        chosen = np.flatnonzero(np.isin(augmented.sources, train))
        if not len(chosen):
            return None
        sources = augmented.sources[chosen]
        near = self.gold_rows.neighbours[sources]
        return MemberRows([augmented.items[i] for i in chosen], near, self.matrix[sources])


def seed_of(seed: int, *names: int) -> int:
    """A seed of its own for each random step."""
    return int(np.random.SeedSequence([seed, *names]).generate_state(1)[0] >> 1)


def _first(texts: Sequence[Item], limit: int | None) -> list[int]:
    """Rows to learn from, so many that are the same for every seed, in their order."""
    rows = range(len(texts))
    if limit is None or limit >= len(texts):
        return list(rows)
    # Not those at the start, which may be the shortest, or of one kind.
    return sorted(sorted(rows, key=lambda row: _digest(texts[row]))[:limit])


def _digest(item: Item) -> str:
    return hashlib.sha256(canonical_json(list(item)).encode()).hexdigest()
