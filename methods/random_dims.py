"""Some columns of any vectors, drawn at random."""

from __future__ import annotations

from functools import partial

import numpy as np

from bench.encoding.maps import Fitted, Floats, Link
from bench.method import BuildContext, MethodInfo
from bench.transforms.method import SOURCES, SizedConfig, Transform, picking, size


class RandomDims(Transform):
    """Columns drawn without replacement, the same for all texts; another draw for each seed.

    Of one seed a smaller draw is part of every larger one.
    """

    info = MethodInfo(
        name="random-dims",
        title="Vectors cut to columns drawn at random",
        kind="transform",
        paper="Redundancy, Isotropy, and Intrinsic Dimensionality of Prompt-based Text Embeddings",
        arxiv="2506.01435",
        year=2025,
        sources=SOURCES,
    )

    class Config(SizedConfig):
        """Settings: ``of``, and ``dim`` or ``fraction``; neither shuffles all columns."""

    config: Config

    @property
    def seeded(self) -> bool:
        """Always: the draw follows from the seed."""
        return True

    def link(self, ctx: BuildContext) -> Link:
        """The columns that are drawn."""
        return Link("random-dims", partial(_drawn, config=self.config, seed=ctx.seed))


def _drawn(vectors: Floats, config: SizedConfig, seed: int) -> Fitted:
    width = vectors.shape[1]
    columns = np.random.default_rng(seed).permutation(width)
    return Fitted(picking(columns[: size(config, width)].tolist(), width))
