"""The trainer of sentence-transformers as all trainings here use it."""

from __future__ import annotations

from typing import Any, cast

import torch
from sentence_transformers import SentenceTransformerTrainer

from bench.core.errors import CellError


# To mypy the library's classes are Any where it is not installed, which strict mode refuses.
class FiniteTrainer(SentenceTransformerTrainer):  # type: ignore[misc, unused-ignore]
    """Stops at a loss that is not finite, and collects nothing for a model card."""

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the loss of a batch.

        Raises:
            CellError: It is NaN or infinite.
        """
        result = super().compute_loss(model, inputs, *args, **kwargs)
        loss = result[0] if isinstance(result, tuple) else result
        if not torch.isfinite(loss):
            raise CellError(
                f"the loss became {loss.item()} at step {self.state.global_step + 1}; "
                "try a lower lr"
            )
        return result

    def _load_best_model(self) -> None:
        # The library goes on with the last weights, and says nothing, where these cannot be read.
        self._load_from_checkpoint(cast("str", self.state.best_model_checkpoint))

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave it out: it asks the hub about the base model."""
