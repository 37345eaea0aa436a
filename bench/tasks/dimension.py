"""Dimension: how many dimensions do the vectors of a fixed sample of texts fill?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.core.blocks import chunks
from bench.core.errors import CellError
from bench.data.contamination import normalise
from bench.data.rows import Row, text_digest
from bench.encoding.encoder import Column
from bench.metrics.intrinsic_dimension import different_neighbours, twonn
from bench.stats.bootstrap import resampled
from bench.suite import Convention, DimensionSpec
from bench.tasks.base import TaskScore, Vectors, VectorTask

# Sentences of Tsukagoshi & Sasano (Findings of ACL 2025); distances of all pairs are taken.
SENTENCES = 10_000
_HUNDREDTH = 0.01


class DimensionTask(VectorTask[DimensionSpec]):
    """Rows of ``text``, of whose different texts at most 10,000 are measured, by their checksums.

    Of texts that differ in case and punctuation alone one is taken, as a few whose nearest
    neighbour is all but themselves take much of the dimension.

    The main score is TwoNN (see ``bench.metrics.intrinsic_dimension.twonn``) in hundredths, so that
    a table, which has scores in points, shows the dimension. It is a property of the vectors and
    no merit. Texts without a vector, and those whose vector repeats an earlier one, are left out;
    the item value of others is the distance to the nearest one over that to the second nearest,
    which nears 1 with the dimension. The bootstrap is over texts, with the neighbours of all.
    """

    kind = "dimension"

    def __init__(
        self, spec: DimensionSpec, parts: Mapping[str, Sequence[Row]], convention: Convention
    ) -> None:
        super().__init__(spec, parts, convention)
        by_text = {row["text"]: row for row in parts["test"]}
        by_spelling: dict[str, str] = {}
        for text in sorted(by_text, key=text_digest):
            by_spelling.setdefault(normalise(text) or text, text)
        chosen = set(list(by_spelling.values())[:SENTENCES])
        self._sample = [row for text, row in by_text.items() if text in chosen]

    @property
    def rows(self) -> Sequence[Row]:
        """Rows of the texts that are measured."""
        return self._sample

    def texts(self) -> Mapping[str, Column]:
        """The texts."""
        return {"text": Column([row["text"] for row in self.rows])}

    def score(self, vectors: Vectors, seed: int) -> TaskScore:
        """Estimate the dimension from two neighbours.

        Raises:
            CellError: Fewer than three vectors are different, or all are equally far apart.
        """
        kept, nearest = different_neighbours(vectors["text"], neighbours=2)
        where = f"task {self.spec.name}"
        if nearest.shape[1] < 2:
            raise CellError(
                f"{where}: {len(kept)} of {len(self.rows)} texts have a vector of their own, and "
                "a dimension needs three"
            )
        try:
            main = _HUNDREDTH * twonn(nearest)
        except ValueError as error:
            raise CellError(f"{where}: {error}") from error
        shares = nearest[:, 0] / nearest[:, 1]
        value = np.zeros(len(self.rows))
        value[kept] = shares
        return TaskScore(
            metric="TwoNN",
            main=main,
            metrics={"twonn": main, "vectors": float(len(kept))},
            items={"value": value},
            replicates=resampled(
                partial(_replicates, kept, -np.log(shares)),
                len(value),
                np.random.default_rng(seed),
            ),
            evidence="replicates",
        )


def _replicates(
    kept: NDArray[np.intp], logs: NDArray[np.float64], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """TwoNN in hundredths of resamples (r, n) of which some texts count, with their logarithms."""
    parts = [chunk[:, kept].astype(np.float64) for chunk in chunks(counts)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.concatenate([_HUNDREDTH * part.sum(axis=1) / (part @ logs) for part in parts])
