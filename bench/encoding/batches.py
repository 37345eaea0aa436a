"""How texts are cut into batches, by the kind of encoder, and a batch becomes vectors.

The batches follow from the texts alone, never from what the store holds already, so that an
interrupted run and its continuation compute the same vectors to the last bit.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TOKENS_PER_BATCH = 2048
TEXTS_PER_BATCH = 256
# Names of a document's prompt, in the order in which the library looks for them.
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


class Planned:
    """Any encoder: batches in order of length in characters.

    Args:
        encoder: The encoder.
        role: ``query``, ``document`` or None.
        batch_size: Most texts in a batch.

    Attributes:
        tokens: Tokens of the batches that were encoded, where the encoder counts them.
    """

    tokens: int | None = None

    def __init__(self, encoder: Any, role: str | None, batch_size: int) -> None:
        self._encoder, self._role, self._batch_size = encoder, role, batch_size

    def settings(self) -> dict[str, Any]:
        """What vectors follow from besides the model and the text."""
        return {"role": self._role}

    def batches(self, texts: list[str]) -> Iterator[list[str]]:
        """Cut distinct texts into batches."""
        ordered = sorted(texts, key=lambda text: (len(text), text))
        for start in range(0, len(ordered), self._batch_size):
            yield ordered[start : start + self._batch_size]

    def encode(self, batch: list[str]) -> Any:
        """Vectors (n, d) of a batch of n texts, one of ``batches``."""
        return self._encoder.encode(batch, role=self._role)


class _PlannedModules(Planned):
    """A sentence transformer whose first module tokenises in its own way."""

    def settings(self) -> dict[str, Any]:
        length = self._encoder.max_seq_length
        return {
            "task": self._role,
            "prompt": self._prompt(),
            "precision": str(self._encoder.dtype),
            # Modules that cut no text have none, or infinity.
            "max_length": length if isinstance(length, int) else None,
        }

    def encode(self, batch: list[str]) -> Any:
        # Told only where there is one: modules of a checkpoint may know of no tasks.
        task = {} if self._role is None else {"task": self._role}
        return self._encoder.encode(
            batch, prompt=self._prompt(), batch_size=len(batch), show_progress_bar=False, **task
        )

    def _prompt(self) -> str:
        """The prompt that ``encode_query``, ``encode_document`` or ``encode`` would choose."""
        prompts: Mapping[str, str] = self._encoder.prompts
        own = _DOCUMENT_PROMPTS if self._role == "document" else (self._role,)
        names = (*own, self._encoder.default_prompt_name)
        return next((prompts[name] for name in names if name in prompts), "")


class _PlannedTransformer(_PlannedModules):
    """A transformer: tokenised once, batches by token budget with next to no padding."""

    def batches(self, texts: list[str]) -> Iterator[list[str]]:
        tokenised = self._encoder.tokenizer(
            [self._prompt() + text for text in texts],
            truncation=True,
            padding=False,
        )
        self._features = {
            name: dict(zip(texts, rows, strict=True)) for name, rows in tokenised.items()
        }
        ids = self._features["input_ids"]
        start, ordered = 0, sorted(texts, key=lambda text: (len(ids[text]), text))
        self.tokens = 0
        for end, text in enumerate([*ordered[1:], None], 1):
            full = end - start == self._batch_size
            if text is None or full or len(ids[text]) * (end - start + 1) > TOKENS_PER_BATCH:
                yield ordered[start:end]
                start = end

    def encode(self, batch: list[str]) -> Any:
        import torch

        features = self._encoder.tokenizer.pad(
            {name: [rows[text] for text in batch] for name, rows in self._features.items()},
            return_tensors="pt",
        )
        self.tokens = (self.tokens or 0) + int(features["attention_mask"].sum())
        self._encoder.eval()
        with torch.inference_mode():
            moved = {name: value.to(self._encoder.device) for name, value in features.items()}
            return self._encoder(moved)["sentence_embedding"].float().cpu().numpy()


def planned_for(encoder: Any, role: str | None, batch_size: int) -> Planned:
    """Choose how an encoder is given its texts.

    Args:
        encoder: The encoder.
        role: ``query``, ``document`` or None.
        batch_size: Most texts in a batch.
    """
    # Who made a model with the library has imported it; others need not wait seconds for it.
    library = sys.modules.get("sentence_transformers")
    if library is None or not isinstance(encoder, library.SentenceTransformer):
        return Planned(encoder, role, batch_size)
    if _plain_text_transformer(encoder):
        return _PlannedTransformer(encoder, role, batch_size)
    return _PlannedModules(encoder, role, batch_size)


def _plain_text_transformer(model: SentenceTransformer) -> bool:
    """Whether a text's ids are those of its prompt and itself as one string, whatever the task."""
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    first, pooling = model[0], [module for module in model if isinstance(module, Pooling)]
    whole_prompt = all(getattr(module, "include_prompt", True) for module in pooling)
    return (
        type(first) is Transformer
        and not getattr(first, "do_lower_case", False)
        and getattr(first.tokenizer, "is_fast", False)
        and whole_prompt
        and model.truncate_dim is None
        and not _prepares_otherwise(first)
        and not any((model.module_kwargs or {}).values())
    )


def _prepares_otherwise(first: Any) -> bool:
    """Whether the library wraps texts in messages, or cuts, pads or runs them by the task."""
    return bool(
        "message" in first.modality_config
        or first.processing_kwargs
        or first.query_length
        or first.document_length
        or first.query_expansion
        or first.transformer_task != "feature-extraction"
        or "task" in inspect.signature(first.model.forward).parameters
    )
