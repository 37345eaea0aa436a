"""Facts about a training that need no labels but the gold ones, as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.methods.ensemble.material import Material
from bench.methods.ensemble.pipeline import Fold
from bench.methods.ensemble.pseudo_labels import DEFINITIONS, Filter
from bench.methods.ensemble.settings import TFIDF
from bench.methods.ensemble.stack import Stack
from bench.metrics.spearman import spearman

EDGES = np.linspace(0, 1, 11)


def describe(material: Material, folds: Sequence[Fold], stack: Stack) -> dict[str, Any]:
    """Describe rows, variants, pseudo-labels, weights and attention.

    Args:
        material: What was learnt from.
        folds: What was trained.
        stack: Out-of-fold outputs of the members.
    """
    config = material.config
    found: dict[str, Any] = {
        "rows": {
            "gold": len(material.gold),
            "pool": len(material.pool),
            "removed": material.clean.removed,
        },
        "augmentation": {
            "made": material.augmented.made,
            "kept": material.augmented.kept,
            "left_out": sorted(set(config.augment) - set(config.arms)),
        },
        "weights": stack.describe(),
        "out_of_fold_error": stack.losses(),
    }
    if material.pool:
        found["relevance"] = _relevance(material)
    if material.labels_pool:
        found["pseudo_labels"] = _pseudo_labels(material, folds)
    if material.pool and config.cross_attention and config.context != "none":
        names = [name for name in config.models if name != TFIDF]
        found["attention"] = {name: _attention(name, material, folds) for name in names}
    return found


def _relevance(material: Material) -> dict[str, Any]:
    """Histograms of the cosines of texts to what is retrieved for them."""
    near = {"gold": material.near_gold, "predicted": material.near_texts}
    return {
        "edges": [round(float(edge), 1) for edge in EDGES],
        **{name: _histogram(one.similarity) for name, one in near.items()},
    }


def _histogram(similarity: NDArray[np.float64]) -> list[int]:
    known = similarity[np.isfinite(similarity)]
    return [int(count) for count in np.histogram(known.clip(0, 1), EDGES)[0]]


def _pseudo_labels(material: Material, folds: Sequence[Fold]) -> dict[str, Any]:
    chosen = [fold.selection for fold in folds if fold.selection is not None]
    # The filter only says how many texts are drawn at random.
    way: Filter = "none" if material.config.snippets == "random" else material.config.filter
    found: dict[str, Any] = {
        "snippets": material.config.snippets,
        "filter": way,
        "definition": DEFINITIONS[way],
        "tolerance": [fold.sigma for fold in folds],
        "pairs": sum(one.pairs for one in chosen),
        "kept_pairs": sum(one.kept_pairs for one in chosen),
        "distinct": sum(len(one.rows) for one in chosen),
        "kept": sum(int(one.kept.sum()) for one in chosen),
    }
    if material.targets.classes:
        kept = [
            fold.labels[fold.selection.kept].argmax(axis=1)
            for fold in folds
            if fold.selection is not None
        ]
        found["balance"] = {
            "gold": _shares(material, material.matrix.argmax(axis=1)),
            "kept": _shares(material, np.concatenate(kept)),
        }
    return found


def _shares(material: Material, classes: NDArray[np.int64]) -> dict[str, float]:
    counts = np.bincount(classes, minlength=material.targets.width)
    return {
        str(label): float(count / max(len(classes), 1))
        for label, count in zip(material.targets.classes, counts, strict=True)
    }


def _attention(name: str, material: Material, folds: Sequence[Fold]) -> dict[str, Any]:
    """How much retrieved texts add to the tokens, and whether that goes with better outputs.

    The outputs without them are of the same model, with nothing to attend to.
    """
    held = np.concatenate([fold.held for fold in folds])
    gold = material.matrix[held]
    error = {
        part: np.square(np.concatenate([fold.arrays[name][part] for fold in folds]) - gold).sum(1)
        for part in ("held", "alone")
    }
    share = np.concatenate([fold.arrays[name]["share"] for fold in folds])
    gain = error["alone"] - error["held"]
    together = spearman(share, gain)
    return {
        "share": float(share.mean()),
        "gain": float(gain.mean()),
        "spearman": together if np.isfinite(together) else None,
    }
