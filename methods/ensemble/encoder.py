"""The ensemble as an encoder of a supervised task: it learns and predicts, and has no vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.core.fingerprint import fingerprint
from bench.method import (
    Answer,
    BuildContext,
    Composition,
    LabelsOnly,
    Probabilities,
    PseudoLabels,
    Question,
)
from bench.methods.ensemble.facts import training_facts
from bench.methods.ensemble.memory import Memory
from bench.methods.ensemble.pipeline import Fold, Training, predicted, stack_of
from bench.methods.ensemble.rows import EnsembleRows
from bench.methods.ensemble.settings import LABELLER, EnsembleConfig
from bench.methods.ensemble.stack import combinations
from bench.methods.ensemble.targets import Floats


class EnsembleEncoder(LabelsOnly):
    """Learns each task when it is asked to predict.

    Args:
        config: Settings.
        ctx: Access to models and data, device and progress.
        members: Fingerprint of what the members depend on: settings, bases and code.
        labeller: The same of the labeller.
    """

    def __init__(
        self, config: EnsembleConfig, ctx: BuildContext, *, members: str, labeller: str
    ) -> None:
        super().__init__("hierarchical-ensemble")
        self._config, self._ctx = config, ctx
        self._members, self._labeller = members, labeller

    def answer(self, question: Question) -> Answer:
        """Train in folds of the gold rows, combine, predict.

        Models that were trained on the same rows before are not trained again. Without a pool
        nothing is retrieved and nothing pseudo-labelled.

        Raises:
            CellError: There are too few gold rows, they have one label only, or a setting is not
                defined for this kind of labels.
        """
        config, ctx, seed = self._config, self._ctx, question.seed
        if "bt" in config.left_out:
            ctx.progress.note(
                "  warning: no variants are translated there and back (bt), as translators names "
                "no models; name two, translators=(THERE,BACK), or leave bt out of augment"
            )
        rows = EnsembleRows(config, ctx, question)
        of_rows = rows.fingerprint()
        members, labeller = (
            Memory(ctx.models.kept(fingerprint(["hierarchical-ensemble", identity, seed, of_rows])))
            for identity in (self._members, self._labeller)
        )
        folds = Training(rows, ctx, members, labeller, seed).run()
        stack = stack_of(rows, folds)
        outputs = {name: predicted(folds, name) for name in config.models}
        combined: dict[str, Floats] = {
            combination: stack.combine(combination, outputs)
            for combination in combinations(stack.classes)
        }
        chosen, classes = combined[config.ensemble], rows.targets.classes
        made_of = Composition(
            classes=classes,
            chosen=config.ensemble,
            members=outputs,
            combined=combined,
            baselines={LABELLER: predicted(folds, LABELLER)} if rows.labels_pool else {},
            pseudo=_pseudo(rows, folds),
            report=training_facts(rows, folds, stack),
        )
        probabilities = Probabilities(classes, chosen) if classes else None
        return Answer(rows.targets.labels(chosen), probabilities, made_of)


def _pseudo(rows: EnsembleRows, folds: Sequence[Fold]) -> PseudoLabels | None:
    chosen = [(fold, fold.selection) for fold in folds if fold.selection is not None]
    if not chosen:
        return None
    return PseudoLabels(
        rows=np.concatenate([rows.clean.rows[selection.rows] for _, selection in chosen]),
        outputs=np.concatenate([fold.labels for fold, _ in chosen]),
        kept=np.concatenate([selection.kept for _, selection in chosen]),
        tolerance=np.concatenate(
            [np.full(len(selection.rows), fold.sigma) for fold, selection in chosen]
        ),
    )
