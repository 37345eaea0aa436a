"""The encoding plan: every text of a suite once, sorted by length, in full batches.

The batches follow from the texts alone, never from what the store holds already, so that an
interrupted run and its continuation compute the same vectors to the last bit.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.core.fingerprint import fingerprint
from bench.core.progress import Progress
from bench.encoding.encoder import Columns, Encoder
from bench.encoding.store import VectorStore

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


TOKENS_PER_BATCH = 2048
TEXTS_PER_BATCH = 256
TEXTS_PER_SHARD = 4096
_ROUNDING = 1e-6
# Names of a document's prompt, in the order in which the library looks for them.
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


@dataclass
class Encoded:
    """Vectors of all columns, and what they cost.

    Attributes:
        vectors: Float32 of shape (n, d) by (task, column).
        texts: Texts in all columns.
        distinct: Distinct texts.
        encoded: Texts that were not in the store.
        tokens: Tokens of the encoded texts, where the encoder counts them.
    """

    vectors: dict[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)
    texts: int = 0
    distinct: int = 0
    encoded: int = 0
    tokens: int | None = None


def encode_columns(
    encoder: Encoder | SentenceTransformer,
    columns: Columns,
    *,
    model_fingerprint: str,
    folder: Path,
    progress: Progress,
    batch_size: int = TEXTS_PER_BATCH,
) -> Encoded:
    """Encode the texts of all columns, each distinct text once per role.

    Args:
        encoder: The encoder.
        columns: Columns by (task, column).
        model_fingerprint: Identity of the encoder.
        folder: Folder of the vector store.
        progress: Where the work reports.
        batch_size: Most texts in a batch.

    Raises:
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    result = Encoded(texts=sum(len(column.texts) for column in columns.values()))
    for role in sorted({column.role for column in columns.values()}, key=str):
        wanted = {key: column for key, column in columns.items() if column.role == role}
        texts = list(dict.fromkeys(t for column in wanted.values() for t in column.texts))
        planned = _planned(encoder, role, batch_size)
        space = fingerprint([model_fingerprint, planned.settings()])
        store = VectorStore(folder / space)
        _fill(store, planned, texts, result, progress)
        if _all_equal([store.get(text) for text in texts]):
            progress.note(
                f"  warning: all {len(texts):,} different texts have the same vector, "
                "so the scores say nothing"
            )
        result.distinct += len(texts)
        for key, column in wanted.items():
            result.vectors[key] = np.stack([store.get(text) for text in column.texts])
    return result


def _fill(
    store: VectorStore, planned: _Planned, texts: list[str], result: Encoded, progress: Progress
) -> None:
    missing = {text for text in texts if text not in store}
    if not missing:
        return
    progress.start("encode", len(missing))
    done, names, parts = 0, list[str](), list[NDArray[np.float32]]()
    for batch in planned.batches(texts):
        if not missing.intersection(batch):
            continue
        parts.append(_checked(planned.encode(batch), batch))
        names += batch
        done += len(missing.intersection(batch))
        progress.advance(done)
        if len(names) >= TEXTS_PER_SHARD:
            store.put(names, np.concatenate(parts))
            names, parts = [], []
    if names:
        store.put(names, np.concatenate(parts))
    result.encoded += len(missing)
    if planned.tokens is not None:
        result.tokens = (result.tokens or 0) + planned.tokens


def _checked(vectors: Any, batch: Sequence[str]) -> NDArray[np.float32]:
    array = np.asarray(vectors, dtype=np.float32)
    if array.ndim != 2 or len(array) != len(batch):
        raise CellError(
            f"the encoder returned shape {array.shape} for {len(batch)} texts; "
            f"expected ({len(batch)}, d)"
        )
    finite = np.isfinite(array).all(axis=1)
    if not finite.all():
        text = batch[int(np.argmin(finite))]
        raise CellError(f"the encoder returned NaN or infinity for the text {text[:60]!r}")
    return array


def _all_equal(vectors: Sequence[NDArray[np.float32]]) -> bool:
    """Whether several vectors are one, but for what the order of a sum changes."""
    first = vectors[0] if vectors else np.zeros(0, dtype=np.float32)
    return len(vectors) > 1 and all(
        np.allclose(first, vector, rtol=_ROUNDING, atol=_ROUNDING * np.abs(first).max(initial=0))
        for vector in vectors
    )


class _Planned:
    """Any encoder: batches in order of length in characters."""

    tokens: int | None = None

    def __init__(self, encoder: Any, role: str | None, batch_size: int) -> None:
        self._encoder, self._role, self._batch_size = encoder, role, batch_size

    def settings(self) -> dict[str, Any]:
        return {"role": self._role}

    def batches(self, texts: list[str]) -> Iterator[list[str]]:
        ordered = sorted(texts, key=lambda text: (len(text), text))
        for start in range(0, len(ordered), self._batch_size):
            yield ordered[start : start + self._batch_size]

    def encode(self, batch: list[str]) -> Any:
        return self._encoder.encode(batch, role=self._role)


class _PlannedModules(_Planned):
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


def _planned(encoder: Any, role: str | None, batch_size: int) -> _Planned:
    # Who made a model with the library has imported it; others need not wait seconds for it.
    library = sys.modules.get("sentence_transformers")
    if library is None or not isinstance(encoder, library.SentenceTransformer):
        return _Planned(encoder, role, batch_size)
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
