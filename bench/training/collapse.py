"""Trainings that turn all vectors one way end with an error, as what they make ranks nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback, TrainerControl, TrainerState

from bench.core.errors import CellError
from bench.metrics.isotropy import mean_cosine
from bench.metrics.singular_values import effective_rank
from bench.metrics.vectors import unit_rows

TEXTS = 256
MOST_COSINE = 0.95
LEAST_SHARE, LEFT = 0.1, 0.25
_BATCH = 64


@dataclass(frozen=True)
class Spread:
    """How far the vectors of some texts point in different directions.

    Attributes:
        cosine: Mean cosine of all pairs.
        rank: Effective rank of the unit vectors.
    """

    cosine: float
    rank: float

    @classmethod
    def of(cls, model: SentenceTransformer, texts: Sequence[str]) -> Self:
        """Encode n ≥ 2 texts and measure.

        Raises:
            ValueError: A vector is zero or not finite.
        """
        vectors = model.encode(list(texts), batch_size=_BATCH, show_progress_bar=False)
        units = unit_rows(np.asarray(vectors, dtype=np.float64))
        return cls(mean_cosine(units), effective_rank(units))

    def collapsed(self, start: Spread) -> bool:
        """Whether most of what there was at the start of a training is gone.

        The vectors of a language model may share so large a part that a base begins beyond the
        bound, and then only the rank tells. Near it, three quarters of what was left have to go.
        """
        if self.rank < LEAST_SHARE * start.rank:
            return True
        bound = max(MOST_COSINE, 1 - LEFT * (1 - start.cosine))
        return self.cosine > bound and start.cosine <= MOST_COSINE

    def __str__(self) -> str:
        """Words for people."""
        return f"mean cosine {self.cosine:.3f}, effective rank {self.rank:.1f}"


class CollapseGuard(TrainerCallback):
    """Ends a training whose model has collapsed, at the next checkpoint or at its end.

    Args:
        model: The model, as it is before its training.
        rows: Rows of the training, of which some first texts are encoded to look.
    """

    def __init__(self, model: SentenceTransformer, rows: Sequence[Sequence[str]]) -> None:
        distinct = list(dict.fromkeys(row[0] for row in rows if row[0].strip()))
        self._texts = distinct[:: max(1, len(distinct) // TEXTS)][:TEXTS]
        self._model = model
        self._start = Spread.of(model, self._texts) if len(self._texts) > 1 else None

    def on_save(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Look at the model of a checkpoint before it is sealed."""
        self.check(state.global_step)

    def check(self, step: int) -> None:
        """Look at the model as it is.

        Args:
            step: Steps that have been made.

        Raises:
            CellError: It has collapsed.
        """
        if self._start is None:
            return
        how = "try a lower lr or a longer warm-up"
        try:
            now = Spread.of(self._model, self._texts)
        except ValueError as error:
            raise CellError(f"the model collapsed by step {step}: {error}; {how}") from None
        if now.collapsed(self._start):
            raise CellError(
                f"the model collapsed by step {step}: {len(self._texts)} of the training's texts "
                f"have {now}, and began with {self._start}; {how}"
            )
