"""Encoders that put a placeholder before a sentence (arXiv 2412.11556), or only a prompt."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.core.errors import UsageError
from bench.encoding.batches import CPU_LIMITS
from bench.methods.parts.attention import attention_changed, to_placeholders, within
from bench.methods.parts.placeholder import SEED, own_places, placeholder_vector, prepending
from bench.methods.parts.prompts import PLACEHOLDER, Placeholder, Prompt
from bench.methods.parts.read_layers import read_layers
from bench.models.layers import find_blocks, is_causal

_LETTER = "x"


@dataclass(frozen=True)
class Reading:
    """How a decoder is read.

    Attributes:
        prompts: Prompts around each text; their vectors are averaged.
        prepend: Put the placeholder into the prompts and overwrite its states.
        start: First layer, from 0, whose input is edited.
        stop: First layer behind it whose input is not.
        layer: Layers that are computed, the vectors being what the last of them returns; for all
            of them through the norm behind it.
        pooling: State of the last token, or mean over all tokens of the prompt and the text.
        max_seq_length: Tokens of a text; what is longer is cut, and never the prompt.
        placeholder: What is put into the prompts.
        resume: Layer above ``stop`` from which on inputs are edited again, or None.
        attention: To what the tokens of a text attend: those before them, or all of the text.
    """

    prompts: Sequence[Prompt]
    prepend: bool
    start: int
    stop: int
    layer: int
    pooling: Literal["lasttoken", "mean"] = "lasttoken"
    max_seq_length: int = 500
    placeholder: Placeholder = field(default_factory=Placeholder)
    resume: int | None = None
    attention: Literal["causal", "sentence"] = "causal"

    def edited(self, layers: int) -> list[int]:
        """Layers whose input is edited, of a number of layers that are computed."""
        if not self.prepend:
            return []
        again = layers if self.resume is None else self.resume
        return [*range(self.start, min(self.stop, layers)), *range(again, layers)]


def refuse_others(backbone: Any, name: str) -> None:
    """Check that a model is a decoder whose layers can be told apart.

    Args:
        backbone: Model of transformers, without a head.
        name: What the user calls it.

    Raises:
        UsageError: It has an encoder, its tokens attend to later ones, or it has no list of layers.
    """
    kind = type(backbone).__name__
    if backbone.config.is_encoder_decoder or not is_causal(backbone):
        raise UsageError(
            f"token-prepending: {name} is a {kind}, which is not a decoder; its tokens attend to "
            "later ones anyway; name a causal language model such as Llama or GPT-2"
        )
    find_blocks(backbone)


@dataclass(frozen=True)
class _Frame:
    """Tokens that stand around a text, and the most tokens of a row of all three."""

    head: list[int]
    tail: list[int]
    most: int


class PrependingEncoder:
    """Encodes texts with a decoder, as a ``Reading`` says.

    Rows are padded on the left and positions count from each row's first token, so that padding
    changes vectors by rounding only.

    Args:
        backbone: Model of transformers without a head, on its device.
        tokenizer: Its tokenizer, which gets the placeholder as one more token.
        reading: How it is read.
        seed: Seed of the placeholder's embedding.

    Raises:
        UsageError: The prompt does not fit the model or its tokenizer.
    """

    def __init__(self, backbone: Any, tokenizer: Any, reading: Reading, seed: int = SEED) -> None:
        self.reading = reading
        self._backbone = backbone.eval()
        self._tokenizer = tokenizer
        self._layers = len(find_blocks(backbone)[1])
        self._vector = placeholder_vector(backbone, tokenizer, reading.placeholder.init, seed)
        self._prompts = reading.prompts
        self._numbered = "position_ids" in inspect.signature(backbone.forward).parameters
        if reading.prepend:
            tokenizer.add_tokens([PLACEHOLDER])
            self._placeholder = tokenizer.convert_tokens_to_ids(PLACEHOLDER)
            self._prompts = [prompt.holding(reading.placeholder) for prompt in reading.prompts]
        self._frames = [self._frame(prompt) for prompt in self._prompts]

    def reading_as(self, reading: Reading) -> Self:
        """The same model under the same prompts, edited and read otherwise."""
        other = copy(self)
        other.reading = reading
        return other

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode ``n`` texts: float32 (n, h), each the mean of its vectors under all prompts."""
        return self.at_layers(texts, [self.reading.layer])[0]

    def at_layers(
        self,
        texts: Sequence[str],
        layers: Sequence[int],
        done: Callable[[int], None] = lambda texts: None,
    ) -> list[NDArray[np.float32]]:
        """Encode ``n`` texts at several layers, each batch in one forward pass.

        Args:
            texts: The texts.
            layers: Numbers of layers, each of which is read as if it were that of the reading.
            done: Told of each batch how many texts it was, under one prompt each.

        Returns:
            For each layer, float32 (n, h).
        """
        rows = self.rows(texts)
        order: list[int] = []
        parts: list[list[NDArray[np.float32]]] = [[] for _ in layers]
        for batch in _batches(rows):
            order += batch
            read = self._vectors([rows[i] for i in batch], layers)
            for of_layer, vectors in zip(parts, read, strict=True):
                of_layer.append(vectors)
            done(len(batch))
        places = np.argsort(order)
        shape = (len(texts), len(self._frames), -1)
        return [np.concatenate(part)[places].reshape(shape).mean(axis=1) for part in parts]

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text under each prompt, the prompts of a text side by side."""
        filled = [prompt.around(text) for text in texts for prompt in self._prompts]
        frames = self._frames * len(texts)
        return [_cut(ids, frame) for ids, frame in zip(self._ids(filled), frames, strict=True)]

    def parameters(self) -> Iterator[nn.Parameter]:
        """Parameters of the model."""
        yield from self._backbone.parameters()

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """Ids with BOS where the tokenizer puts it, and without EOS, which would be pooled."""
        tokenizer = self._tokenizer
        first = tokenizer(_LETTER)["input_ids"][:1]
        bos = first if first == [tokenizer.bos_token_id] else []
        return [bos + ids for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]]

    def _frame(self, prompt: Prompt) -> _Frame:
        texts = [prompt.before + _LETTER + prompt.after, prompt.before + _LETTER, prompt.before]
        whole, before, start = self._ids(texts)
        tail = whole[len(before) :]
        if prompt.after and not self._tokenizer.decode(whole[-1:]).endswith('"'):
            raise UsageError(
                "token-prepending: the base's tokenizer has no token for the quotation mark that "
                "the prompt ends with; write prompt=none, or name another base"
            )
        around = len(start) + len(tail)
        settings = self._backbone.config.get_text_config()
        positions = getattr(settings, "max_position_embeddings", sys.maxsize)
        if around >= positions:
            raise UsageError(
                f"token-prepending: the prompt takes {around} tokens and the model has "
                f"{positions} positions; choose another prompt"
            )
        return _Frame(start, tail, min(positions, around + self.reading.max_seq_length))

    def _vectors(self, rows: list[list[int]], layers: Sequence[int]) -> list[NDArray[np.float32]]:
        features = self._features(rows)
        weights = features["attention_mask"].unsqueeze(-1)

        def pooled(states: Tensor) -> Tensor:
            if self.reading.pooling == "lasttoken":
                return states[:, -1].float()
            return (states.float() * weights).sum(1) / weights.sum(1)

        with torch.inference_mode(), self._changed(rows, features):
            read = read_layers(self._backbone, features, layers, pooled)
        return [vectors.cpu().numpy() for vectors in read]

    def _features(self, rows: list[list[int]]) -> dict[str, Tensor]:
        width = max(map(len, rows))
        ids, mask = torch.zeros((2, len(rows), width), dtype=torch.long)
        for row, content in enumerate(rows):
            ids[row, width - len(content) :] = torch.tensor(content)
            mask[row, width - len(content) :] = 1
        features = {"input_ids": ids, "attention_mask": mask}
        if self._numbered:
            features["position_ids"] = (mask.cumsum(1) - 1).clamp(min=0)
        return {name: value.to(self._backbone.device) for name, value in features.items()}

    @contextmanager
    def _changed(self, rows: list[list[int]], features: dict[str, Tensor]) -> Iterator[None]:
        """Edit the states of a batch, and what its tokens attend to, while the context is open."""
        model, reading = self._backbone, self.reading
        width = features["input_ids"].shape[1]
        with ExitStack() as changes:
            if reading.prepend:
                places = self._take_places(features)
                edited = reading.edited(self._layers)
                changes.enter_context(prepending(model, places, self._vector, edited))
                if reading.placeholder.masked:
                    pairs = to_placeholders(places, width)
                    changes.enter_context(attention_changed(model, [0], pairs, attends=False))
            if reading.attention == "sentence":
                pairs = within(*self._spans(rows), width)
                layers = range(self._layers)
                changes.enter_context(attention_changed(model, layers, pairs, attends=True))
            yield

    def _take_places(self, features: dict[str, Tensor]) -> Tensor:
        """Take the placeholder's id, which has no embedding, out of a batch; return its columns."""
        ids = features["input_ids"]
        is_placeholder = ids == self._placeholder
        features["input_ids"] = ids.masked_fill(is_placeholder, 0)
        return own_places(is_placeholder, self.reading.placeholder)

    def _spans(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        """First column of each row's text, and the first behind it, int64 (B,) each.

        A token that has letters of both the prompt and the text is of the text.
        """
        width = max(map(len, rows))
        begins, ends = [], []
        for row in rows:
            # The prompt's own beginning and end agree with the row for longer than others'.
            before = max(_agreeing(row, frame.head) for frame in self._frames)
            behind = max(_agreeing(row[::-1], frame.tail[::-1]) for frame in self._frames)
            begins.append(width - len(row) + before)
            ends.append(width - behind)
        device = self._backbone.device
        return torch.tensor(begins, device=device), torch.tensor(ends, device=device)


def _agreeing(row: list[int], part: list[int]) -> int:
    """How many tokens of a part a row begins with."""
    pairs = enumerate(zip(row, part, strict=False))
    return next((i for i, (one, other) in pairs if one != other), min(len(row), len(part)))


def _cut(ids: list[int], frame: _Frame) -> list[int]:
    """Cut a row that is too long, in front of the tokens behind the text."""
    behind = len(frame.tail)
    kept = ids[: frame.most - behind] + ids[len(ids) - behind :]
    return ids if len(ids) <= frame.most else kept


def _batches(rows: list[list[int]]) -> Iterator[list[int]]:
    """Numbers of rows in batches of a number of tokens, shortest first."""
    batch: list[int] = []
    for number in sorted(range(len(rows)), key=lambda i: (len(rows[i]), i)):
        if batch and len(rows[number]) * (len(batch) + 1) > CPU_LIMITS.tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
