"""Vectors of bytes or of bits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from bench.encoding.maps import FitSource, Link
from bench.method import BuildContext, MethodInfo
from bench.transforms.method import SOURCES, FittedConfig, Transform, TransformConfig
from bench.transforms.quantisation import QuantisedKind, fit_quantisation


class Quantize(Transform):
    """Any vectors, quantised as ``sentence_transformers.util.quantize_embeddings`` does it.

    ``int8`` takes the range of each dimension from the vectors of a corpus, never from those that
    are scored, and is scored by the cosine of the integers themselves. ``binary`` and ``ubinary``
    keep the signs alone and are scored by the cosine of vectors of 1 and −1, which orders pairs as
    the Hamming distance of indexes of bits does; in them alike, as they differ in how bytes are
    stored. The library's own evaluators take the cosine of bits 1 and 0 besides, another measure.
    """

    info = MethodInfo(
        name="quantize",
        title="Vectors quantised to bytes or bits",
        kind="transform",
        sources=SOURCES,
    )

    class Config(TransformConfig, FittedConfig):
        """Settings: ``of``, what numbers become, and the text that ranges are taken from.

        Attributes:
            kind: ``int8``, a byte a number; ``binary`` or ``ubinary``, a bit a number.
            corpus: Text of ``int8``; every text of a row counts.
        """

        kind: QuantisedKind = "int8"
        corpus: str = "wiki1m"
        sentences: int | None = 10_000

        def idle(self) -> Mapping[str, str]:
            """The corpus where only signs count."""
            if self.kind == "int8":
                return {}
            return dict.fromkeys(("corpus", "sentences"), "it goes with kind=int8")

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {"corpus": "mix", "sentences": 10_000},
        "smoke": {"corpus": "pydoc", "sentences": 1000},
    }

    @property
    def source(self) -> FitSource:
        """The corpus of ``int8``; signs are known."""
        return "corpus" if self.config.kind == "int8" else "known"

    def link(self, ctx: BuildContext) -> Link:
        """The quantisation."""
        fit = partial(fit_quantisation, kind=self.config.kind)
        texts = partial(self.corpus_texts, ctx.data) if self.config.kind == "int8" else None
        return Link("quantize", fit, self.source, texts)
