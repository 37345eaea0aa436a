"""The whole method: label retrieved texts, train in folds, combine (arXiv 2501.15876)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.fingerprint import fingerprint
from bench.encoding.maps import Mapped
from bench.method import BuildContext
from bench.methods.ensemble.members import FrozenMember, Member, MemberRows, TfidfMember
from bench.methods.ensemble.memory import Arrays, Memory
from bench.methods.ensemble.pseudo_labels import Selection, distinct, select, spread
from bench.methods.ensemble.rows import INNER_FOLDS, EnsembleRows, seed_of
from bench.methods.ensemble.settings import LABELLER, OTHERS, PUBLISHED, TFIDF
from bench.methods.ensemble.stack import Stack
from bench.methods.ensemble.targets import Floats


@dataclass(frozen=True)
class Fold:
    """What the models of one fold left.

    Attributes:
        held: Gold rows that they have not seen, (h,).
        arrays: Outputs of each model on these rows and on the texts to predict, by name.
        selection: What its labeller made of retrieved texts, or None.
        labels: Outputs of the labeller for the rows of the selection, (u, o).
        sigma: Tolerance of its filter.
    """

    held: NDArray[np.intp]
    arrays: Mapping[str, Arrays]
    selection: Selection | None
    labels: Floats
    sigma: float


class Training:
    """Trains the models of every fold.

    Args:
        rows: Rows to learn from and to predict.
        ctx: Access to bases, device and progress.
        members: Where outputs of the members are kept.
        labeller: Where those of the labellers are.
        seed: Seed of everything random.
    """

    def __init__(
        self,
        rows: EnsembleRows,
        ctx: BuildContext,
        members: Memory,
        labeller: Memory,
        seed: int,
    ) -> None:
        self._rows, self._ctx, self._seed = rows, ctx, seed
        self._members, self._labels = members, labeller
        self._config, self._targets = rows.config, rows.targets
        self._classes = bool(self._targets.classes)
        self._frozen: dict[str, Mapped] = {}

    def run(self) -> list[Fold]:
        """Train, fold by fold."""
        strata = self._targets.strata(self._rows.matrix)
        splits = make_folds(strata, self._config.folds, self._seed)
        return [self._fold(number, held) for number, held in enumerate(splits)]

    def _fold(self, number: int, held: NDArray[np.intp]) -> Fold:
        """Train the models of a fold on the other rows, and on what is made of these alone."""
        train = np.setdiff1d(np.arange(len(self._rows.gold)), held)
        gold = _taken(self._rows.gold_rows, train)
        arrays: dict[str, Arrays] = {}
        labelled, selection, labels, sigma = None, None, np.empty((0, self._targets.width)), 0.0
        if self._rows.labels_pool:
            candidates = self._candidates(number, train)
            # Vectors that round otherwise may retrieve other texts than those that were labelled.
            name = f"fold{number}-{fingerprint(candidates.tolist())}"
            label = partial(self._label, number, train, held, candidates)
            arrays[LABELLER] = outputs = self._labels.recall(name, label)
            sigma = float(outputs["spread"][0]) * self._config.sigma_scale
            selection = self._selected(number, train, candidates, outputs["pool"], sigma)
            labels = outputs["pool"][np.searchsorted(candidates, selection.rows)]
            if selection.kept.any():
                kept = selection.kept
                labelled = self._rows.pool_rows(selection.rows[kept], labels[kept])
        stages = self._stages(gold, self._rows.variants(train), labelled)
        for index, name in enumerate(self._config.models):
            make = partial(
                self._trained, name, stages, held, seed_of(self._seed, 10, number, index)
            )
            arrays[name] = self._members.recall(f"fold{number}-{_file_name(name)}", make)
        return Fold(held, arrays, selection, labels, sigma)

    def _stages(
        self, gold: MemberRows, variants: MemberRows | None, labelled: MemberRows | None
    ) -> list[MemberRows]:
        own = gold if variants is None else gold + variants
        if labelled is None:
            return [own]
        return [own + labelled] if self._config.schedule == "union" else [labelled, own]

    def _label(
        self,
        number: int,
        train: NDArray[np.intp],
        held: NDArray[np.intp],
        candidates: NDArray[np.intp],
    ) -> Arrays:
        """Train the labeller of a fold; its spread is found in folds of the training rows alone."""
        gold = _taken(self._rows.gold_rows, train)
        inner = np.empty((len(train), self._targets.width))
        splits = make_folds(self._targets.strata(self._rows.matrix[train]), INNER_FOLDS, self._seed)
        for index, part in enumerate(splits):
            rest = np.setdiff1d(np.arange(len(train)), part)
            model = self._labeller()
            model.fit([_taken(gold, rest)], seed_of(self._seed, 20, number, index))
            inner[part] = model.predict(_taken(gold, part)).outputs
        model = self._labeller()
        model.fit([gold], seed_of(self._seed, 21, number))
        return {
            "spread": np.array([spread(inner, self._rows.matrix[train], classes=self._classes)]),
            "pool": model.predict(self._rows.pool_rows(candidates, None)).outputs,
            "held": model.predict(_taken(self._rows.gold_rows, held)).outputs,
            "test": model.predict(self._rows.test_rows).outputs,
        }

    def _candidates(self, number: int, train: NDArray[np.intp]) -> NDArray[np.intp]:
        """Rows of the pool to label: neighbours of the training rows, or also others at random."""
        near = distinct(self._rows.near_gold.rows[train])
        if self._config.snippets == "nearest":
            return near
        # All of these could be kept, so that as many at random always suffice.
        rng = np.random.default_rng(seed_of(self._seed, 22, number))
        return np.union1d(near, rng.choice(len(self._rows.pool), len(near), replace=False))

    def _selected(
        self,
        number: int,
        train: NDArray[np.intp],
        candidates: NDArray[np.intp],
        outputs: Floats,
        sigma: float,
    ) -> Selection:
        near = self._rows.near_gold.rows[train]
        selection = select(
            near,
            outputs[np.searchsorted(candidates, distinct(near))],
            self._rows.matrix[train],
            self._config.filter,
            classes=self._classes,
            sigma=sigma,
            threshold=self._config.confidence,
        )
        if self._config.snippets == "nearest":
            return selection
        rng = np.random.default_rng(seed_of(self._seed, 22, number))
        others = rng.choice(len(self._rows.pool), len(selection.rows), replace=False)
        rows = np.sort(others[: int(selection.kept.sum())])
        return Selection(rows, np.ones(len(rows), dtype=np.bool_), len(rows), len(rows))

    def _trained(
        self, name: str, stages: Sequence[MemberRows], held: NDArray[np.intp], seed: int
    ) -> Arrays:
        """Train a member, and predict what it has not seen, with retrieved texts and without."""
        model = self._member(name)
        model.fit(stages, seed)
        unseen = _taken(self._rows.gold_rows, held)
        with_context = model.predict(unseen)
        return {
            "held": with_context.outputs,
            "share": with_context.context_share,
            "alone": model.predict(unseen.without_context()).outputs,
            "test": model.predict(self._rows.test_rows).outputs,
        }

    def _member(self, name: str) -> Member:
        if name == TFIDF:
            return TfidfMember(classes=self._classes)
        if name in self._config.frozen:
            return FrozenMember(partial(self._vectors, name), classes=self._classes)
        from bench.methods.ensemble.context_model import ContextParts

        config = self._config
        parts = ContextParts(config.cross_attention, config.refine_conv, config.attn_pool)
        return self._neural(name, parts, config.epochs)

    def _vectors(self, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of a model that stays as it is, which is loaded once."""
        if name not in self._frozen:
            self._frozen[name] = self._ctx.models.mapped(name)
            self._frozen[name].refuse_per_task()
        mapped = self._frozen[name]
        return mapped.apply_done(mapped.embed(texts)).astype(np.float32)

    def _labeller(self) -> Member:
        from bench.methods.ensemble.context_model import ContextParts

        epochs = self._config.labeller_epochs or self._config.epochs
        return self._neural(self._config.labeller, ContextParts(False, False, False), epochs)

    def _neural(self, name: str, parts: Any, epochs: float | None) -> Member:
        from bench.methods.ensemble.neural import NeuralMember, Recipe

        config = self._config
        lr, batch_size, published = PUBLISHED.get(name, OTHERS)
        lr = config.lr or lr
        recipe = Recipe(
            base=name,
            parts=parts,
            loss=config.loss,
            lr=lr,
            head_lr=config.head_lr or lr,
            batch_size=config.batch_size or batch_size,
            epochs=epochs or published,
            weight_decay=config.weight_decay,
            warmup=config.warmup,
            max_seq_length=config.max_seq_length,
        )
        return NeuralMember(
            recipe, self._ctx, self._rows.vectors[2], self._targets.width, classes=self._classes
        )


def stack_of(rows: EnsembleRows, folds: Sequence[Fold]) -> Stack:
    """The members' outputs on gold rows that they have not seen, to learn weights on."""
    by_member = {}
    for name in rows.config.models:
        outputs = np.empty_like(rows.matrix)
        for fold in folds:
            outputs[fold.held] = fold.arrays[name]["held"]
        by_member[name] = outputs
    penalty = rows.config.ridge_lambda or None
    return Stack(by_member, rows.matrix, bool(rows.targets.classes), penalty)


def predicted(folds: Sequence[Fold], name: str) -> Floats:
    """Outputs of a model on the texts to predict, the mean over those of all folds."""
    return np.asarray(np.mean([fold.arrays[name]["test"] for fold in folds], axis=0))


def make_folds(strata: NDArray[np.int64], folds: int, seed: int) -> list[NDArray[np.intp]]:
    """Rows of each fold, ascending; those of a stratum are spread over the folds.

    scikit-learn's refuses strata that are all smaller than the number of folds, as bins of scores
    may be.

    Args:
        strata: Stratum of each row, (n,).
        folds: Number of folds.
        seed: Seed of the order within a stratum.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    return [np.sort(order[start::folds]) for start in range(folds)]


def _taken(examples: MemberRows, rows: NDArray[np.intp]) -> MemberRows:
    targets = None if examples.targets is None else examples.targets[rows]
    return MemberRows([examples.items[row] for row in rows], examples.neighbours[rows], targets)


def _file_name(name: str) -> str:
    # Specs and folders may be longer than names of files may.
    return hashlib.sha256(name.encode()).hexdigest()[:12]
