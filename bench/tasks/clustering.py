"""Clustering: does k-means on the vectors find the labels again?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from bench.core.errors import CellError
from bench.data.rows import Row
from bench.encoding.encoder import Column
from bench.metrics.clusters import bcubed_f1, homogeneity_completeness, v_measures
from bench.stats.bootstrap import resampled
from bench.suite import ClusteringSpec, Convention
from bench.tasks.base import TaskScore, Vectors, VectorTask

SEEDS = 5


class ClusteringTask(VectorTask[ClusteringSpec]):
    """Rows of ``text`` and ``label``.

    k-means with as many clusters as labels starts from five seeds, once each (k-means++), on the
    vectors as they are. The main score is the mean V-measure. MTEB clusters by mini-batches
    (``MiniBatchKMeans``), which are faster and find worse clusters; here all rows are few enough.

    The bootstrap resamples the texts with their clusters as they were found.
    """

    kind = "clustering"

    def __init__(
        self, spec: ClusteringSpec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        super().__init__(spec, parts, convention)
        where = f"task {spec.name}"
        if convention == "mteb":
            raise CellError(
                f"{where}: kind clustering does not follow MTEB's protocol; "
                "name a task of mteb, or another convention"
            )
        names = {label: i for i, label in enumerate(dict.fromkeys(r["label"] for r in self.rows))}
        if len(names) < 2:
            raise CellError(f"{where}: all rows have the same label")
        self._labels = np.array([names[row["label"]] for row in self.rows], dtype=np.intp)

    def texts(self) -> Mapping[str, Column]:
        """The texts."""
        return {"text": Column([row["text"] for row in self.rows])}

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Cluster the vectors, and compare clusters with labels."""
        clusterings = self._clusterings(vectors["text"])
        once = np.ones((1, len(self._labels)), dtype=np.int16)
        shares = [
            homogeneity_completeness(self._labels, clusters, once) for clusters in clusterings
        ]
        by_seed = [float(v_measures(self._labels, clusters, once)[0]) for clusters in clusterings]
        homogeneity, completeness = np.mean(shares, axis=0)[:, 0].tolist()
        main = float(np.mean(by_seed))
        return TaskScore(
            metric="V-measure",
            main=main,
            metrics={
                "v_measure": main,
                "homogeneity": homogeneity,
                "completeness": completeness,
                **{f"v_measure_{i}": value for i, value in enumerate(by_seed)},
            },
            items={
                "value": np.mean(
                    [bcubed_f1(self._labels, clusters) for clusters in clusterings], axis=0
                ),
                "clusters": np.stack(clusterings, axis=1).astype(np.int32),
                "gold": self._labels.astype(np.int32),
            },
            replicates=resampled(
                partial(self._mean_v_measures, clusterings),
                len(self._labels),
                np.random.default_rng(seed),
            ),
            evidence="replicates",
        )

    def _mean_v_measures(
        self, clusterings: Sequence[NDArray[np.intp]], counts: NDArray[np.int16]
    ) -> NDArray[np.float64]:
        """Mean over the seeds of the V-measures of resamples (r, n), (r,)."""
        by_seed = [v_measures(self._labels, clusters, counts) for clusters in clusterings]
        return np.asarray(np.mean(by_seed, axis=0))

    def _clusterings(self, vectors: NDArray[np.float32]) -> list[NDArray[np.intp]]:
        """Clusters (n,) of each seed."""
        x = vectors.astype(np.float64)
        k = int(self._labels.max()) + 1
        clusterings = []
        # Several threads would add up centres in the order in which they finish.
        with threadpool_limits(1), warnings.catch_warnings():
            # Fewer different vectors than labels make fewer clusters, which the score tells.
            warnings.simplefilter("ignore", ConvergenceWarning)
            for seed in range(SEEDS):
                model = KMeans(k, n_init=1, random_state=seed).fit(x)
                clusterings.append(model.labels_.astype(np.intp))
        return clusterings
