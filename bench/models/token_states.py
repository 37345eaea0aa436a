"""States that a model gives the tokens of a text, before it pools them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BATCH = 32


def token_states(encoder: Any, texts: Sequence[str]) -> list[NDArray[np.float32]] | None:
    """Compute the states behind the last layer of the tokens of some texts.

    They are those of all tokens that pooling sees, the special ones and the prompt's too.

    Args:
        encoder: Any encoder.
        texts: The texts, n.

    Returns:
        For each text float32 of shape (t, d); None where the encoder is no sentence transformer or
        has no states of tokens, as one of static embeddings has none.
    """
    # Who made a model with the library has imported it; others need not wait seconds for it.
    library = sys.modules.get("sentence_transformers")
    if library is None or not isinstance(encoder, library.SentenceTransformer):
        return None
    states: list[NDArray[np.float32]] = []
    for start in range(0, len(texts), _BATCH):
        outputs: Any = encoder.encode(
            list(texts[start : start + _BATCH]),
            output_value=None,
            batch_size=_BATCH,
            show_progress_bar=False,
        )
        for output in outputs:
            if not {"token_embeddings", "attention_mask"} <= output.keys():
                return None
            seen = output["attention_mask"].bool().cpu()
            states.append(output["token_embeddings"].float().cpu()[seen].numpy())
    return states
