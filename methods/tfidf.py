"""TF-IDF over character n-grams, reduced by a truncated SVD."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from bench.core.errors import CellError, UsageError, first_line
from bench.data.corpora import NamedCorpus
from bench.method import (
    Answer,
    BuildContext,
    Method,
    MethodConfig,
    MethodInfo,
    Probabilities,
    Question,
)


class TfidfEncoder:
    """A fitted scikit-learn pipeline; a text without known n-grams becomes zeros.

    Args:
        pipeline: Turns texts into dense rows.
    """

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode texts."""
        return np.asarray(self._pipeline.transform(list(texts)), dtype=np.float32)

    def answer(self, question: Question) -> Answer:
        """Label texts by logistic regression on weights fitted to the training texts, not reduced.

        The strength of its regularisation is scikit-learn's default; dev rows are not used.

        Raises:
            CellError: The labels are scores or all the same, or no training text has letters.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        train = question.train
        weights = type(self._pipeline[0])(**self._pipeline[0].get_params())
        regression = LogisticRegression(max_iter=1000, random_state=question.seed)
        model = make_pipeline(weights, regression)
        labels = train.classes()
        number = {label: i for i, label in enumerate(labels)}
        numbers = [number[label] for label in train.labels]
        try:
            model.fit([" ".join(row) for row in train.texts], numbers)
        except ValueError as error:
            raise CellError(f"tfidf cannot learn from these rows: {error}") from error
        values = model.predict_proba([" ".join(row) for row in question.texts])
        return Answer.most_probable(Probabilities(labels, values))


class Tfidf(Method):
    """TF-IDF with a truncated SVD."""

    info = MethodInfo(
        name="tfidf",
        title="TF-IDF of character n-grams with truncated SVD",
        kind="static",
        requires=("numpy", "scikit-learn", "scipy"),
    )

    class Config(MethodConfig):
        """Settings of TF-IDF.

        Attributes:
            corpus: Text that weights and axes are fitted on.
            sentences: Most sentences of it, or None for all.
            dim: Size of the vectors.
            ngram_min: Characters of the shortest n-gram.
            ngram_max: Characters of the longest n-gram.
            max_features: Number of n-grams kept, the most frequent.
        """

        corpus: str = "pydoc"
        sentences: int | None = Field(default=None, ge=1)
        dim: int = Field(default=256, ge=1)
        ngram_min: int = Field(default=2, ge=1)
        ngram_max: int = Field(default=4, ge=1)
        max_features: int = Field(default=50_000, ge=1)

        @model_validator(mode="after")
        def _ngrams_agree(self) -> Tfidf.Config:
            if self.ngram_min > self.ngram_max:
                raise ValueError("ngram_min is above ngram_max, so that there are no n-grams")
            return self

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {"corpus": "mix", "sentences": 50_000},
        "paper": {"corpus": "mix", "sentences": 50_000},
    }

    def build(self, ctx: BuildContext) -> TfidfEncoder:
        """Fit weights and axes.

        Raises:
            UsageError: The text has fewer n-grams than the vectors have dimensions.
        """
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import make_pipeline

        config = self.config
        pipeline = make_pipeline(
            TfidfVectorizer(
                analyzer="char_wb",
                ngram_range=(config.ngram_min, config.ngram_max),
                max_features=config.max_features,
                sublinear_tf=True,
                dtype=np.float32,
            ),
            TruncatedSVD(config.dim, random_state=ctx.seed),
        )
        sentences = NamedCorpus(config.corpus, config.sentences).load(ctx.data).sentences()
        try:
            pipeline.fit(sentences)
        except ValueError as error:
            raise UsageError(
                f"tfidf: corpus {config.corpus!r} is too small for these settings: "
                f"{first_line(error)} Lower dim, or take more text or n-grams"
            ) from None
        return TfidfEncoder(pipeline)
