"""Whitening: vectors shifted and mapped until their covariance is the identity."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.encoding.maps import FitSource, Link
from bench.method import BuildContext, MethodInfo
from bench.transforms.covariance import Shrinkage, WhiteningKind, fit_whitening
from bench.transforms.method import SOURCES, FittedConfig, Transform, TransformConfig


class Whitening(Transform):
    """One of six whitenings of any vectors, see ``bench.transforms.covariance``.

    With ``fit=train`` it is fitted on no text that is scored: on the training columns of a task;
    in nested folds on the training rows of each fold, outer and inner; and where a task has
    nothing to train on (similarity, reranking, pairs) on the corpus.

    ``fit=test`` is transductive: all texts of a task, its test rows among them, without labels.
    That is how the paper and BERT-whitening's ``target`` report it, and no zero-shot setting.

    ``fit=corpus`` gives one map for all tasks, and a model that can be saved (``nli`` of
    BERT-whitening).

    Of pairs of texts the vectors are whitened before a probe's features are made of them; with
    ``pairs=features`` the features are, [|u − v|, u·v] of all vectors as they were. The authors'
    code does that, and ``fit=test,shrinkage=se+,pairs=features`` is its whole setting.
    """

    info = MethodInfo(
        name="whitening",
        title="Whitening of vectors",
        kind="transform",
        paper="Whitening Not Recommended for Classification Tasks in LLMs",
        arxiv="2407.12886",
        year=2024,
        sources=SOURCES,
    )

    class Config(TransformConfig, FittedConfig):
        """Settings; neither the paper nor its code prefers one of the kinds.

        Attributes:
            kind: Which whitening. They differ by a rotation, so that similarities, and probes
                that find their optimum, come out alike.
            dim: Leading columns that stay of ``pca`` and ``pca-cor``; arXiv 2103.15316 takes 256
                of 768 and 384 of 1024.
            fit: What mean and covariance are of.
            ridge: Share of the mean variance that is added to every variance.
            shrinkage: How the covariance is estimated: ``none`` as that of the sample,
                ``ledoit-wolf`` as scikit-learn's ``LedoitWolf``, ``se+`` with 1e-5 added to each
                eigenvalue, as in the authors' code. That one goes with ``fit=test``: where a
                vector has what the fitted ones lack, it would be multiplied by 316.
            pairs: What is whitened where a probe sees features of pairs: the vectors of their
                texts, or the features.
            corpus: Text of ``fit=corpus``, and of tasks without training rows; every text of a
                row counts.
        """

        kind: WhiteningKind = "pca"
        dim: int | None = Field(None, gt=0)
        fit: Literal["train", "test", "corpus"] = "train"
        ridge: float = Field(0.0, ge=0)
        shrinkage: Shrinkage = "none"
        pairs: Literal["vectors", "features"] = "vectors"

        @model_validator(mode="after")
        def _columns_are_ordered(self) -> Whitening.Config:
            if self.dim is not None and not self.kind.startswith("pca"):
                raise ValueError(
                    f"the columns of kind={self.kind} have no order to cut them by; "
                    "dim goes with kind=pca or pca-cor"
                )
            return self

        @model_validator(mode="after")
        def _fit_is_possible(self) -> Whitening.Config:
            if self.ridge and self.shrinkage != "none":
                raise ValueError("ridge and shrinkage both change the covariance; leave one out")
            if self.shrinkage == "se+" and self.fit != "test":
                raise ValueError(
                    "shrinkage=se+ blows up what the vectors that it is fitted on lack, so that "
                    "these have to be those that are mapped: set fit=test, or another shrinkage"
                )
            if self.pairs == "features" and self.fit == "corpus":
                raise ValueError(
                    "a corpus has no pairs to make features of; pairs=features goes with "
                    "fit=train or fit=test"
                )
            return self

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {"corpus": "triplets", "sentences": 3000},
        "smoke": {"corpus": "pydoc", "sentences": 1000},
    }

    @property
    def source(self) -> FitSource:
        """What the settings say."""
        return self.config.fit

    @property
    def maps_features(self) -> bool:
        """What the settings say."""
        return self.config.pairs == "features"

    def link(self, ctx: BuildContext) -> Link:
        """The whitening that the settings name."""
        config = self.config
        fit = partial(
            fit_whitening,
            kind=config.kind,
            dim=config.dim,
            ridge=config.ridge,
            shrinkage=config.shrinkage,
        )
        texts = None if config.fit == "test" else partial(self.corpus_texts, ctx.data)
        return Link("whitening", fit, config.fit, texts, self.maps_features)
