"""The trainer of sentence-transformers as all trainings here use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from accelerate.utils import (
    convert_outputs_to_fp32,
)
from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.sentence_transformer.modules import Transformer

from bench.core.errors import CellError


# To mypy the library's classes are Any where it is not installed, which strict mode refuses.
class FiniteTrainer(SentenceTransformerTrainer):  # type: ignore[misc, unused-ignore]
    """Stops at a loss that is not finite, and collects nothing for a model card.

    Transformers compute in the precision of the arguments, evaluations too; what they return is
    float32, and so is all that a loss makes of it. The model is afterwards as it was.
    """

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train; the arguments are the library's."""
        if not (self.args.bf16 or self.args.fp16):
            return super().train(*args, **kwargs)
        with self._autocast_transformers():
            return super().train(*args, **kwargs)

    @contextmanager
    def _autocast_transformers(self) -> Iterator[None]:
        # The library does so with the model as a whole, which losses that take it apart pass by.
        model = cast("Any", self.model)
        modules = [module for module in model.modules() if isinstance(module, Transformer)]
        for module in modules:
            forward = self.accelerator.autocast()(module.forward)
            vars(module)["forward"] = convert_outputs_to_fp32(forward)
        try:
            yield
        finally:
            for module in modules:
                del vars(module)["forward"]
            self.accelerator.unwrap_model(model, keep_fp32_wrapper=False)

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
