"""Facts about a training that need no labels but the gold ones, as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.methods.ensemble.pipeline import Fold
from bench.methods.ensemble.pseudo_labels import DEFINITIONS, Filter
from bench.methods.ensemble.rows import EnsembleRows
from bench.methods.ensemble.stack import Stack
from bench.metrics.spearman import spearman

EDGES = np.linspace(0, 1, 11)


def training_facts(rows: EnsembleRows, folds: Sequence[Fold], stack: Stack) -> dict[str, Any]:
    """Describe rows, variants, pseudo-labels, weights and attention.

    Args:
        rows: What was learnt from.
        folds: What was trained.
        stack: Out-of-fold outputs of the members.
    """
    config = rows.config
    facts: dict[str, Any] = {
        "rows": {
            "gold": len(rows.gold),
            "pool": len(rows.pool),
            "removed": rows.clean.removed,
        },
        "augmentation": {
            "made": rows.augmented.made,
            "kept": rows.augmented.kept,
            "left_out": sorted(config.left_out),
        },
        "weights": stack.summary(),
        "out_of_fold_error": stack.losses(),
    }
    if rows.pool:
        facts["relevance"] = _relevance(rows)
    if rows.labels_pool:
        facts["pseudo_labels"] = _pseudo_labels(rows, folds)
    if rows.pool and config.cross_attention and config.context != "none":
        facts["attention"] = {name: _attention(name, rows, folds) for name in config.trained}
    return facts


def _relevance(rows: EnsembleRows) -> dict[str, Any]:
    """Histograms of the cosines of texts to what is retrieved for them."""
    near = {"gold": rows.near_gold, "predicted": rows.near_texts}
    return {
        "edges": [round(float(edge), 1) for edge in EDGES],
        **{name: _histogram(neighbours.similarity) for name, neighbours in near.items()},
    }


def _histogram(similarity: NDArray[np.float64]) -> list[int]:
    known = similarity[np.isfinite(similarity)]
    return [int(count) for count in np.histogram(known.clip(0, 1), EDGES)[0]]


def _pseudo_labels(rows: EnsembleRows, folds: Sequence[Fold]) -> dict[str, Any]:
    chosen = [fold.selection for fold in folds if fold.selection is not None]
    # The filter only says how many texts are drawn at random.
    chosen_filter: Filter = "none" if rows.config.snippets == "random" else rows.config.filter
    facts: dict[str, Any] = {
        "snippets": rows.config.snippets,
        "filter": chosen_filter,
        "definition": DEFINITIONS[chosen_filter],
        "tolerance": [fold.sigma for fold in folds],
        "pairs": sum(selection.pairs for selection in chosen),
        "kept_pairs": sum(selection.kept_pairs for selection in chosen),
        "distinct": sum(len(selection.rows) for selection in chosen),
        "kept": sum(int(selection.kept.sum()) for selection in chosen),
    }
    if rows.targets.classes:
        kept = [
            fold.labels[fold.selection.kept].argmax(axis=1)
            for fold in folds
            if fold.selection is not None
        ]
        facts["balance"] = {
            "gold": _shares(rows, rows.matrix.argmax(axis=1)),
            "kept": _shares(rows, np.concatenate(kept)),
        }
    return facts


def _shares(rows: EnsembleRows, classes: NDArray[np.int64]) -> dict[str, float]:
    counts = np.bincount(classes, minlength=rows.targets.width)
    return {
        str(label): float(count / max(len(classes), 1))
        for label, count in zip(rows.targets.classes, counts, strict=True)
    }


def _attention(name: str, rows: EnsembleRows, folds: Sequence[Fold]) -> dict[str, Any]:
    """How much retrieved texts add to the tokens, and whether that goes with better outputs.

    The outputs without them are of the same model, with nothing to attend to.
    """
    held = np.concatenate([fold.held for fold in folds])
    gold = rows.matrix[held]
    error = {
        condition: np.square(
            np.concatenate([fold.arrays[name][condition] for fold in folds]) - gold
        ).sum(1)
        for condition in ("held", "alone")
    }
    share = np.concatenate([fold.arrays[name]["share"] for fold in folds])
    gain = error["alone"] - error["held"]
    together = spearman(share, gain)
    return {
        "share": float(share.mean()),
        "gain": float(gain.mean()),
        "spearman": together if np.isfinite(together) else None,
    }
