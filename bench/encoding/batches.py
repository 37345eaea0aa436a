"""How texts are cut into batches, by the kind of encoder, and a batch becomes vectors.

The batches follow from the texts alone, never from what the store holds already, so that an
interrupted run and its continuation compute the same vectors to the last bit.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bench.encoding.encoder import TaskEncoder, TaskLabel

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Texts whose ids are held at a time; those of fewer texts are sorted as a whole.
TEXTS_PER_WINDOW = 32_768
# Names of a document's prompt, in the order in which the library looks for them.
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


@dataclass(frozen=True)
class Limits:
    """How large a batch becomes.

    Attributes:
        texts: Most texts.
        tokens: Most tokens with padding.
        enough: Tokens with padding from which on no longer text joins a batch, so that large
            batches too have next to no padding.
    """

    texts: int
    tokens: int
    enough: int


# The same for all machines of a kind, as a batch decides how its sums are rounded. A processor is
# fastest where a layer's states stay in its cache, a GPU where there is enough to do.
CPU_LIMITS = Limits(texts=256, tokens=2048, enough=2048)
GPU_LIMITS = Limits(texts=4096, tokens=65_536, enough=8192)


class Planned:
    """Any encoder: batches in order of length in characters.

    Args:
        encoder: The encoder.
        limits: Limits of a batch.
        role: ``query``, ``document`` or None.
        prompt: What is put before each text in place of the encoder's own prompt, or None.
        task: The task of the texts, where the encoder tells tasks apart.

    Attributes:
        tokens: Tokens of the batches that were encoded, where the encoder counts them.
    """

    tokens: int | None = None

    def __init__(
        self,
        encoder: Any,
        limits: Limits,
        role: str | None,
        prompt: str | None = None,
        task: TaskLabel | None = None,
    ) -> None:
        self._encoder, self._limits = encoder, limits
        self._role, self._given, self._task = role, prompt, task

    def settings(self) -> dict[str, Any]:
        """What vectors follow from besides the model and the text."""
        beside = {"prompt": self._given, "of": self._task}
        return {"role": self._role} | {name: one for name, one in beside.items() if one is not None}

    def batches(self, texts: list[str]) -> Iterator[list[str]]:
        """Cut distinct texts into batches."""
        ordered = _by_length(texts)
        for start in range(0, len(ordered), self._limits.texts):
            yield ordered[start : start + self._limits.texts]

    def prepare(self, batch: list[str]) -> Any:
        """What ``encode`` takes of a batch, the last one that ``batches`` gave."""
        return batch

    def encode(self, prepared: Any) -> Any:
        """Vectors (n, d) of a batch of n texts."""
        texts = prepared if self._given is None else [self._given + text for text in prepared]
        task = {} if self._task is None else {"task": self._task}
        before = getattr(self._encoder, "tokens_used", None)
        vectors = self._encoder.encode(texts, role=self._role, **task)
        if (after := getattr(self._encoder, "tokens_used", None)) is not None:
            self.tokens = (self.tokens or 0) + after - (before or 0)
        return vectors

    def sharing(self, copies: Sequence[Any]) -> list[Planned]:
        """This, and the same of copies of the encoder, where these can share batches."""
        return [self]


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

    def encode(self, prepared: Any) -> Any:
        # Told only where there is one: modules of a checkpoint may know of no tasks.
        task = {} if self._role is None else {"task": self._role}
        return self._encoder.encode(
            prepared,
            prompt=self._prompt(),
            batch_size=len(prepared),
            show_progress_bar=False,
            **task,
        )

    def _prompt(self) -> str:
        """The one given, or what ``encode_query``, ``encode_document`` or ``encode`` chooses."""
        if self._given is not None:
            return self._given
        prompts: Mapping[str, str] = self._encoder.prompts
        own = _DOCUMENT_PROMPTS if self._role == "document" else (self._role,)
        names = (*own, self._encoder.default_prompt_name)
        return next((prompts[name] for name in names if name in prompts), "")


class _PlannedTransformer(_PlannedModules):
    """A transformer: tokenised once, batches by token budget with next to no padding."""

    def batches(self, texts: list[str]) -> Iterator[list[str]]:
        self.tokens = 0
        ordered = _by_length(texts)
        for start in range(0, len(ordered), TEXTS_PER_WINDOW):
            yield from self._window(ordered[start : start + TEXTS_PER_WINDOW])

    def _window(self, texts: list[str]) -> Iterator[list[str]]:
        """Tokenise some texts and cut them into batches."""
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
        for end, text in enumerate([*ordered[1:], None], 1):
            longest = len(ids[ordered[end - 1]])
            if text is None or self._is_full(end - start, longest, len(ids[text])):
                yield ordered[start:end]
                start = end

    def _is_full(self, texts: int, longest: int, following: int) -> bool:
        """Whether a batch of some texts ends before one of some tokens, not fewer than it has."""
        limits = self._limits
        return (
            texts == limits.texts
            or following * (texts + 1) > limits.tokens
            or (following > longest and longest * texts >= limits.enough)
        )

    def prepare(self, batch: list[str]) -> Any:
        features = self._encoder.tokenizer.pad(
            {name: [rows[text] for text in batch] for name, rows in self._features.items()},
            return_tensors="pt",
        )
        self.tokens = (self.tokens or 0) + int(features["attention_mask"].sum())
        cuda = self._encoder.device.type == "cuda"
        return {name: rows.pin_memory() if cuda else rows for name, rows in features.items()}

    def sharing(self, copies: Sequence[Any]) -> list[Planned]:
        others = [copy(self) for _ in copies]
        for other, encoder in zip(others, copies, strict=True):
            other._encoder = encoder
        return [self, *others]

    def encode(self, prepared: Any) -> Any:
        import torch

        self._encoder.eval()
        device = self._encoder.device
        with torch.inference_mode():
            moved = {name: rows.to(device, non_blocking=True) for name, rows in prepared.items()}
            return self._encoder(moved)["sentence_embedding"].float().cpu().numpy()


def _by_length(texts: list[str]) -> list[str]:
    return sorted(texts, key=lambda text: (len(text), text))


def planned_for(
    encoder: Any,
    role: str | None,
    batch_size: int | None = None,
    *,
    prompt: str | None = None,
    task: TaskLabel | None = None,
) -> Planned:
    """Choose how an encoder is given its texts.

    Args:
        encoder: The encoder.
        role: ``query``, ``document`` or None.
        batch_size: Most texts in a batch; by default those of the encoder's kind of device.
        prompt: What is put before each text in place of the encoder's own prompt, or None.
        task: The task of the texts; of no account to encoders that do not tell tasks apart.
    """
    task = task if isinstance(encoder, TaskEncoder) else None
    limits = _limits(encoder, batch_size)
    # Who made a model with the library has imported it; others need not wait seconds for it.
    library = sys.modules.get("sentence_transformers")
    if library is None or not isinstance(encoder, library.SentenceTransformer):
        return Planned(encoder, limits, role, prompt, task)
    if _plain_text_transformer(encoder):
        return _PlannedTransformer(encoder, limits, role, prompt)
    return _PlannedModules(encoder, limits, role, prompt)


def _limits(encoder: Any, batch_size: int | None) -> Limits:
    kind = getattr(getattr(encoder, "device", None), "type", "cpu")
    usual = CPU_LIMITS if kind == "cpu" else GPU_LIMITS
    texts = usual.texts if batch_size is None else batch_size
    # One that asks a server takes as many as the server does, each batch of which is kept.
    return replace(usual, texts=min(texts, getattr(encoder, "most_texts", texts)))


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
