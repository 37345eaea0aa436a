"""What a method that learns from a pool is made of, held against the truth that it never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, roc_auc_score

from bench.method import Composition, Label, PseudoLabels
from bench.metrics.agreement import correlations, disagreement, kappa, q_statistic
from bench.metrics.pearson import pearson
from bench.metrics.spearman import spearman

Floats = NDArray[np.float64]
LEAST = 1e-6
# Bounds of alarms; a share of weights or a correlation above, the others below.
MAX_SHARE = 0.8
MAX_CORRELATION = 0.8
MIN_ACCURACY = 0.85
MIN_PRECISION = 0.90


def diagnose(
    made_of: Composition, gold: Sequence[Label], pool: Sequence[Label | None]
) -> dict[str, Any]:
    """Describe what an answer is made of, as JSON values.

    Args:
        made_of: What the answer for n texts is made of.
        gold: Labels of these texts.
        pool: Labels of all rows of the pool, None where they are not known.

    Returns:
        The method's own report; ``audit`` of the pseudo-labels whose truth is known, ``errors`` of
        each two members, ``scores`` of members, combinations and baselines, ``oracle``, and
        ``alarms``.
    """
    facts = dict(made_of.report)
    known = None if made_of.pseudo is None else _known(made_of.pseudo, pool)
    if known is not None and len(known.rows):
        facts["audit"] = audit(known, made_of.classes, pool)
    truth = _Truth(made_of.classes, gold)
    facts["errors"] = {
        f"{first} / {second}": truth.compare(made_of.members[first], made_of.members[second])
        for first, second in combinations(made_of.members, 2)
    }
    outputs_by_name = {**made_of.members, **made_of.combined, **made_of.baselines}
    facts["scores"] = {name: truth.scores(outputs) for name, outputs in outputs_by_name.items()}
    facts["oracle"] = truth.oracle([*made_of.members.values()])
    facts["chosen"] = made_of.chosen
    facts["alarms"] = alarms(facts)
    return facts


def _known(pseudo: PseudoLabels, pool: Sequence[Label | None]) -> PseudoLabels:
    """Those whose true label is known."""
    known = np.array([pool[row] is not None for row in pseudo.rows], dtype=np.bool_)
    return PseudoLabels(**{name: values[known] for name, values in vars(pseudo).items()})


def audit(
    pseudo: PseudoLabels, classes: Sequence[Label], pool: Sequence[Label | None]
) -> dict[str, Any]:
    """Compare pseudo-labels with true ones: is the filter's choice that of the right labels?

    A class is right where it is the true one, a score where it is no further from the true one than
    the filter's tolerance.

    Args:
        pseudo: The pseudo-labels, of rows whose label is known.
        classes: Classes in the order of the outputs; none for scores.
        pool: Labels of all rows of the pool.

    Returns:
        Counts and shares; ``recall`` and ``f1`` are None where all are kept, as without a choice
        they say nothing of a filter.
    """
    true = [pool[row] for row in pseudo.rows]
    shares: dict[str, Any] = {}
    if classes:
        likeliest = [classes[column] for column in pseudo.outputs.argmax(axis=1)]
        agree = [given == label for given, label in zip(likeliest, true, strict=True)]
        right = np.array(agree, dtype=bool)
    else:
        distance = np.abs(pseudo.outputs[:, 0] - np.array(true, dtype=np.float64))
        right = distance <= pseudo.tolerance
        shares["rmse_kept"] = _root_mean_square(distance[pseudo.kept])
        shares["rmse_rejected"] = _root_mean_square(distance[~pseudo.kept])
    kept, hits = pseudo.kept, float((right & pseudo.kept).sum())
    precision = _ratio(hits, kept.sum())
    recall = None if kept.all() else _ratio(hits, right.sum())
    total = (precision or 0) + (recall or 0) if recall is not None else 0
    return shares | {
        "labelled": len(right),
        "kept": int(kept.sum()),
        "accuracy": _ratio(right.sum(), len(right)),
        "accuracy_kept": precision,
        "accuracy_rejected": _ratio((right & ~kept).sum(), (~kept).sum()),
        "precision": precision,
        "recall": recall,
        "f1": 2 * (precision or 0) * (recall or 0) / total if total else None,
    }


class _Truth:
    """True labels of n texts, and what outputs are worth."""

    def __init__(self, classes: Sequence[Label], gold: Sequence[Label]) -> None:
        self._classes = classes
        column = {label: i for i, label in enumerate(classes)}
        # A label that no gold row had is never predicted.
        self._gold = np.array(
            [column.get(label, -1) for label in gold] if classes else gold, dtype=np.float64
        )

    def errors(self, outputs: Floats) -> Floats:
        """1 − p(label), or score − label, (n,)."""
        if not self._classes:
            return outputs[:, 0] - self._gold
        return 1 - self._probability(outputs)

    def _probability(self, outputs: Floats) -> Floats:
        column = self._gold.astype(np.intp)
        given = np.take_along_axis(outputs, column.clip(0)[:, None], axis=1)[:, 0]
        return np.where(column < 0, 0.0, given)

    def right(self, outputs: Floats) -> NDArray[np.bool_]:
        """Whether the likeliest classes are the true ones, (n,)."""
        return np.asarray(outputs.argmax(axis=1) == self._gold)

    def compare(self, first: Floats, second: Floats) -> dict[str, float | None]:
        """How alike the errors of two members are, and their outputs."""
        linear, monotone = correlations(self.errors(first), self.errors(second))
        # Of two probabilities one says it all, and with both the correlation would be the same.
        outputs = (
            pearson(first[:, -1], second[:, -1])
            if first.shape[1] < 3
            else pearson(first.ravel(), second.ravel())
        )
        alike = {"pearson": linear, "spearman": monotone, "outputs": outputs}
        if self._classes:
            hits = self.right(first), self.right(second)
            alike |= {
                "disagreement": disagreement(*hits),
                "q": q_statistic(*hits),
                "kappa": kappa(*hits),
            }
        return {name: _finite(value) for name, value in alike.items()}

    def scores(self, outputs: Floats) -> dict[str, float | None]:
        """Metrics of outputs: of classes or of scores."""
        metrics = self._of_classes(outputs) if self._classes else self._of_scores(outputs)
        return {name: _finite(value) for name, value in metrics.items()}

    def _of_scores(self, outputs: Floats) -> dict[str, float]:
        return {
            "rmse": float(np.sqrt(np.square(self.errors(outputs)).mean())),
            "pearson": pearson(outputs[:, 0], self._gold),
            "spearman": spearman(outputs[:, 0], self._gold),
        }

    def _of_classes(self, outputs: Floats) -> dict[str, float]:
        columns = range(len(self._classes))
        positive = [1] if len(self._classes) == 2 else [*columns]
        likeliest = outputs.argmax(axis=1)
        return {
            "accuracy": float(self.right(outputs).mean()),
            "f1": float(
                f1_score(self._gold, likeliest, labels=positive, average="macro", zero_division=0)
            ),
            "log_loss": float(-np.log(self._probability(outputs).clip(LEAST, 1)).mean()),
            "auroc": self._auroc(outputs),
        }

    def _auroc(self, outputs: Floats) -> float:
        if set(self._gold) != set(range(len(self._classes))):
            return float("nan")
        if len(self._classes) == 2:
            return float(roc_auc_score(self._gold, outputs[:, 1]))
        proper = outputs / outputs.sum(axis=1, keepdims=True)
        return float(roc_auc_score(self._gold, proper, multi_class="ovr", average="macro"))

    def oracle(self, members: Sequence[Floats]) -> dict[str, float]:
        """What the best member for each text would reach."""
        if self._classes:
            right = np.any([self.right(outputs) for outputs in members], axis=0)
            return {"accuracy": float(right.mean())}
        errors = np.min([np.abs(self.errors(outputs)) for outputs in members], axis=0)
        return {"rmse": float(np.sqrt(np.square(errors).mean()))}


def alarms(facts: Mapping[str, Any]) -> list[str]:
    """What of the facts of ``diagnose`` is out of bounds or was left out, a sentence each."""
    told = [
        f"no variants by {arm}, as there is no model for it"
        for arm in facts.get("augmentation", {}).get("left_out", ())
    ]
    audited = facts.get("audit", {})
    accuracy, precision = audited.get("accuracy_kept"), audited.get("precision")
    if accuracy is not None and accuracy < MIN_ACCURACY:
        told.append(f"{accuracy:.1%} of the kept pseudo-labels are right, below {MIN_ACCURACY:.0%}")
    elif precision is not None and precision < MIN_PRECISION:
        told.append(f"the filter's precision is {precision:.1%}, below {MIN_PRECISION:.0%}")
    weights = facts.get("weights", {})
    shares, signed = weights.get("shares", {}), weights.get("weights", {})
    if len(shares) > 1:
        told += [
            f"{name} has {share:.0%} of the weights, above {MAX_SHARE:.0%}"
            for name, share in shares.items()
            if share > MAX_SHARE
        ]
    told += [f"{name} has a negative weight" for name, weight in signed.items() if weight < 0]
    told += [
        f"errors of {pair} correlate by {values['pearson']:.2f}, above {MAX_CORRELATION}"
        for pair, values in facts.get("errors", {}).items()
        if values["pearson"] is not None and values["pearson"] > MAX_CORRELATION
    ]
    return told


def _ratio(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None


def _root_mean_square(values: Floats) -> float | None:
    return float(np.sqrt(np.square(values).mean())) if len(values) else None


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
