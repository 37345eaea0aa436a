"""How well clusters agree with labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

_BLOCK = 500_000
_ROUNDING = 1e-12
Numbers = NDArray[np.intp]


def v_measures(
    labels: Numbers, clusters: Numbers, counts: NDArray[np.integer]
) -> NDArray[np.float64]:
    """V-measure of resamples: the harmonic mean of homogeneity and completeness.

    Rosenberg & Hirschberg (EMNLP 2007) with β = 1; of counts that are all 1 it is that of the
    items themselves.

    Args:
        labels: Label of each item, from 0, (n,).
        clusters: Cluster of each item, from 0, (n,).
        counts: How many times each resample has each item, (R, n).

    Returns:
        Float64 of shape (R,), each between 0 and 1.
    """
    homogeneity, completeness = homogeneity_completeness(labels, clusters, counts)
    total = homogeneity + completeness
    product = 2 * homogeneity * completeness
    return np.asarray(np.divide(product, total, out=np.zeros_like(total), where=total > 0))


def homogeneity_completeness(
    labels: Numbers, clusters: Numbers, counts: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Homogeneity and completeness of resamples.

    They are the shares of the entropy of the labels that the clusters explain, and of that of the
    clusters that the labels explain; 1 where there is no entropy.

    Args:
        labels: As in ``v_measures``.
        clusters: Likewise.
        counts: Likewise.

    Returns:
        Two float64 arrays of shape (R,).
    """
    # Of all tables of labels by clusters only the cells that hold items are kept.
    width = int(clusters.max()) + 1
    cells, cell = np.unique(labels * width + clusters, return_inverse=True)
    order = np.argsort(cell, kind="stable")
    starts = np.flatnonzero(np.diff(cell[order], prepend=-1))
    of_label = np.eye(int(labels.max()) + 1)[cells // width]
    of_cluster = np.eye(width)[cells % width]
    step = max(1, _BLOCK // len(labels))
    parts = []
    for first in range(0, len(counts), step):
        drawn = counts[first : first + step].take(order, axis=1)
        joint = np.add.reduceat(drawn.astype(np.float64), starts, axis=1)
        parts.append(_explained(joint, joint @ of_label, joint @ of_cluster))
    homogeneity, completeness = (np.concatenate(side) for side in zip(*parts, strict=True))
    return homogeneity, completeness


def _explained(
    joint: NDArray[np.float64], label: NDArray[np.float64], cluster: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    of_joint, of_label, of_cluster = (_entropy(table) for table in (joint, label, cluster))
    shared = of_label + of_cluster - of_joint
    return _share(shared, of_label), _share(shared, of_cluster)


def _share(shared: NDArray[np.float64], entropy: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.divide(shared, entropy, out=np.ones_like(shared), where=entropy > _ROUNDING)
    return np.clip(share, 0, 1)


def _entropy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy in nats of each row of counts, (r, m) to (r,)."""
    total = counts.sum(axis=1)
    return np.asarray(np.log(total) - xlogy(counts, counts).sum(axis=1) / total)


def bcubed_f1(labels: Numbers, clusters: Numbers) -> NDArray[np.float64]:
    """B-cubed F1 of each item (Bagga & Baldwin 1998): its neighbours against its kind.

    Precision is the share of its cluster that has its label, recall the share of its label that
    is in its cluster; the item itself counts.

    Args:
        labels: Label of each item, from 0, (n,).
        clusters: Cluster of each item, from 0, (n,).

    Returns:
        Float64 of shape (n,), above 0 and at most 1.
    """
    width = int(clusters.max()) + 1
    cell = labels * width + clusters
    shared = np.bincount(cell)[cell]
    return np.asarray(2 * shared / (np.bincount(clusters)[clusters] + np.bincount(labels)[labels]))
