"""Batches that are encoded a part at a time, in the memory that one part needs.

It is gradient caching (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory
Limited Setup", arXiv 2101.06983): all rows are encoded without a graph, the loss is that of all
vectors, and each part is encoded again for the backward pass, with the dropout that it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bench.core.errors import UsageError

_VECTORS = "sentence_embedding"


@contextmanager
def encoding_in_parts(model: SentenceTransformer, rows: int) -> Iterator[None]:
    """Let a loss encode columns of any length in parts, without knowing of them.

    The vectors, and the gradients that follow from them, are those of whole columns up to
    rounding. Dropout is drawn a part at a time: its masks have the same distribution, but are
    others than those of a whole column. What the loss does itself is done once, so that queues
    and draws move on by one step. A loss may gather the vectors of several processes.

    Args:
        model: The model that the loss calls with the tokens of a column, changed for a while.
        rows: Most rows of a part.

    Raises:
        UsageError: The loss does without the model's vectors: it calls parts of the model, listens
            to them, or reads other outputs. Or a column is not of tokens (B, L).
    """
    own, parts = vars(model), _Parts(model, rows)
    # Autocast may have put one there, where other models have that of their class.
    before = {name: own[name] for name in ("forward",) if name in own}
    own["forward"] = parts
    try:
        yield
    finally:
        del own["forward"]
        own.update(before)
    if not parts.used:
        raise _refusal("takes the model apart")


class _Parts:
    def __init__(self, model: SentenceTransformer, rows: int) -> None:
        self._whole = model.forward
        self.used = False
        self._model = model
        self._rows = rows
        self._listeners = _listeners(model)

    def __call__(self, features: Mapping[str, Any], **options: Any) -> dict[str, Any]:
        if _listeners(self._model) != self._listeners:
            raise _refusal("listens to layers")
        self.used = True

        def encode(part: dict[str, Any]) -> Tensor:
            vectors: Tensor = self._whole(part, **options)[_VECTORS]
            return vectors

        parts = _split(features, self._rows)
        return _VectorsAlone(
            {_VECTORS: torch.cat([checkpoint(encode, part, use_reentrant=False) for part in parts])}
        )


class _VectorsAlone(dict[str, Any]):
    def __missing__(self, name: str) -> Any:
        raise _refusal(f"reads {name}")


def _split(features: Mapping[str, Any], rows: int) -> Iterator[dict[str, Any]]:
    """Rows of a column in parts; what is not a tensor with a line for each row goes into all."""
    mask = features.get("attention_mask")
    if not isinstance(mask, Tensor) or mask.ndim != 2:
        raise UsageError("micro_batch needs a model of padded tokens; leave it out for this base")
    for start in range(0, len(mask), rows):
        yield {
            name: value[start : start + rows]
            if isinstance(value, Tensor) and value.ndim and len(value) == len(mask)
            else value
            for name, value in features.items()
        }


def _listeners(model: SentenceTransformer) -> int:
    # Those that transformers leaves in a model for good are there before the loss is called.
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


def _refusal(reason: str) -> UsageError:
    return UsageError(
        f"micro_batch needs a loss of the model's vectors alone, but this one {reason}; "
        "leave micro_batch out"
    )
