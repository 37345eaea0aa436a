"""The principal components of any vectors, fitted on text of no task."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from bench.encoding.maps import FitSource, Fitted, Floats, Link
from bench.method import BuildContext, MethodInfo
from bench.transforms.covariance import fit_components
from bench.transforms.method import SOURCES, FittedConfig, SizedConfig, Transform, size


class PcaDims(Transform):
    """Vectors centred and projected to the directions in which those of a corpus vary most."""

    info = MethodInfo(
        name="pca-dims",
        title="Vectors cut to principal components of a corpus",
        kind="transform",
        paper="Redundancy, Isotropy, and Intrinsic Dimensionality of Prompt-based Text Embeddings",
        arxiv="2506.01435",
        year=2025,
        sources=SOURCES,
    )

    class Config(SizedConfig, FittedConfig):
        """Settings: ``of``, ``dim`` or ``fraction``, and the text that is fitted on.

        With neither size the vectors are centred and turned. The paper does not say what text
        its components are fitted on; by default it is Wikipedia, as that of its measures.
        """

        corpus: str = "wiki1m"
        sentences: int | None = 10_000

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {"corpus": "mix", "sentences": 10_000},
        "smoke": {"corpus": "pydoc", "sentences": 1000},
    }

    @property
    def source(self) -> FitSource:
        """The corpus."""
        return "corpus"

    def link(self, ctx: BuildContext) -> Link:
        """The components."""
        fit = partial(_components, config=self.config)
        return Link("pca-dims", fit, "corpus", partial(self.corpus_texts, ctx.data))


def _components(vectors: Floats, config: SizedConfig) -> Fitted:
    return fit_components(vectors, dim=size(config, vectors.shape[1]))
