"""A probe on vectors that are mapped first, the maps fitted on the training rows of each fold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.tasks.probes.base import ClassNumbers, FeatureMatrix, Probe, ProbeRows

Map = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True)
class MappedProbe:
    """A probe whose rows are the vectors of a row's texts side by side, (n, texts · d).

    Attributes:
        probe: The probe on the features.
        fit: Fits maps on vectors (m, d), those of all texts of the training rows; each map then
            gets what the one before it returned.
        texts: Texts in a row.
        features: Makes the features of the mapped vectors, one array (n, k) a text.
    """

    probe: Probe
    fit: Callable[[NDArray[Any]], Sequence[Map]]
    texts: int
    features: Callable[[Sequence[NDArray[np.float32]]], NDArray[np.float32]]

    @property
    def grid(self) -> Sequence[float]:
        """Values of the probe."""
        return self.probe.grid

    @property
    def grid_cross_validated(self) -> Sequence[float]:
        """Values of the probe."""
        return self.probe.grid_cross_validated

    def prepared(self, parts: Sequence[FeatureMatrix]) -> Sequence[FeatureMatrix]:
        """Leave rows as they are: maps are fitted on them."""
        return parts

    def path(self, train: ProbeRows, dev: ProbeRows, grid: Sequence[float]) -> NDArray[np.float64]:
        """Accuracy on the dev rows for each value of a grid, with maps of the training rows."""
        maps = self._fitted(train)
        return self.probe.path(self._mapped(maps, train), self._mapped(maps, dev), grid)

    def predict(
        self, train: ProbeRows, dev: ProbeRows | None, value: float, x: FeatureMatrix
    ) -> ClassNumbers:
        """Fit maps and probe on the training rows, and predict."""
        maps = self._fitted(train)
        checked = None if dev is None else self._mapped(maps, dev)
        features = self._features(maps, x)
        return self.probe.predict(self._mapped(maps, train), checked, value, features)

    def _fitted(self, train: ProbeRows) -> Sequence[Map]:
        return self.fit(np.concatenate(self._split(train.x)))

    def _mapped(self, maps: Sequence[Map], rows: ProbeRows) -> ProbeRows:
        return ProbeRows(self._features(maps, rows.x), rows.y)

    def _features(self, maps: Sequence[Map], x: FeatureMatrix) -> NDArray[np.float32]:
        columns = []
        for vectors in self._split(x):
            for apply in maps:
                vectors = apply(vectors)  # noqa: PLW2901 - each map takes what the last one gave
            columns.append(vectors.astype(np.float32))
        return self.features(columns)

    def _split(self, x: FeatureMatrix) -> list[FeatureMatrix]:
        return np.split(x, self.texts, axis=1)
