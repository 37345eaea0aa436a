"""Transformers that compute in another precision, or by another library than torch.

The converted encoder is a sentence transformer like the one it is made of: its tokenizer, pooling
and further modules are the same, and these compute in fp32. Only what stands between tokens and
their vectors is another.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bench.core.compute import FULL, Backend, Compute, Precision
from bench.core.progress import Progress
from bench.encoding.exports import ExportError, exported

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import nn

_DTYPES: Mapping[Precision, torch.dtype] = {
    FULL: torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
_STATES = ("token_embeddings", "sentence_embedding", "all_layer_embeddings")


@dataclass(frozen=True)
class Computing:
    """An encoder as a run wants it to compute.

    Attributes:
        encoder: The encoder.
        compute: What computes its vectors; None where the harness cannot know.
        copies: The same encoder on the other devices of the run.
    """

    encoder: Any
    compute: Compute | None
    copies: Sequence[SentenceTransformer] = ()


class Conversions:
    """Encoders as a run wants them to compute, of which the last is held.

    Args:
        backend: Library that is to run transformers.
        precision: What they are to compute with, or None for what their weights are.
        folder: Folder of exported transformers.
        progress: Told what cannot be done, with what is done instead.
        devices: The encoders' own device, and others that are to share batches with it.
    """

    def __init__(
        self,
        backend: Backend,
        precision: Precision | None,
        folder: Path,
        progress: Progress,
        devices: Sequence[str] = (),
    ) -> None:
        self._backend, self._precision, self._others = backend, precision, devices[1:]
        self._folder, self._progress = folder, progress
        self._last: tuple[Any, Computing] | None = None

    def get(self, encoder: Any, identity: str) -> Computing:
        """Convert an encoder, once while it is asked for again and again.

        Args:
            encoder: The encoder, which stays as it is.
            identity: Fingerprint of its model.
        """
        if self._last is None or self._last[0] is not encoder:
            self._last = None
            self._last = encoder, self._convert(encoder, identity)
        return self._last[1]

    def _convert(self, encoder: Any, identity: str) -> Computing:
        transformer = _transformer(encoder)
        if transformer is None:
            if (self._backend, self._precision or FULL) != ("torch", FULL):
                self._note("no transformer to convert, so --backend and --precision do not apply")
            return Computing(encoder, None)
        if self._backend != "torch":
            precision = self._precision or FULL
            try:
                model = exported(transformer, self._backend, precision, self._folder, identity)
                return Computing(_with(encoder, model), Compute(self._backend, precision))
            except ExportError as error:
                self._note(f"{self._backend} cannot take it ({error}); torch computes instead")
        return self._in_torch(encoder, transformer)

    def _in_torch(self, encoder: SentenceTransformer, transformer: Any) -> Computing:
        saved = _precision(transformer.model)
        wanted = self._precision or saved
        if wanted != saved:
            model = deepcopy(transformer.model).to(_DTYPES[wanted])
            encoder = _with(encoder, model)
        copies = [_copied(encoder).to(device) for device in self._others]
        return Computing(encoder, Compute("torch", wanted), copies)

    def _note(self, text: str) -> None:
        self._progress.note(f"  {text}")


def _transformer(encoder: Any) -> Any | None:
    """The first module of an encoder where that is a transformer of the library, or None."""
    # Who made a model with the library has imported it; others need not wait seconds for it.
    library = sys.modules.get("sentence_transformers")
    if library is None or not isinstance(encoder, library.SentenceTransformer):
        return None
    from sentence_transformers.sentence_transformer.modules import Transformer

    return encoder[0] if isinstance(encoder[0], Transformer) else None


def _with(encoder: SentenceTransformer, model: nn.Module) -> SentenceTransformer:
    """The same encoder around another model, whose states it takes in fp32."""
    first: Any = encoder[0]
    copied = _copied(encoder, {id(first.model): model})
    copied[0].register_forward_hook(_to_fp32)
    return copied


def _copied(
    encoder: SentenceTransformer, others: Mapping[int, Any] | None = None
) -> SentenceTransformer:
    """Copy an encoder, but for what its copies can share and what others stand for."""
    first: Any = encoder[0]
    # Vocabularies are large, and never change.
    known = {id(first.tokenizer): first.tokenizer, **(others or {})}
    copied: SentenceTransformer = deepcopy(encoder, known)
    return copied.eval()


def _to_fp32(module: nn.Module, given: Any, output: dict[str, Any]) -> dict[str, Any]:
    states = {name: output[name] for name in _STATES if name in output}
    single = {
        name: [state.float() for state in value]
        if isinstance(value, (list, tuple))
        else value.float()
        for name, value in states.items()
    }
    return {**output, **single}


def _precision(model: nn.Module) -> Precision:
    """What the weights of a model are, fp32 where they are neither bf16 nor fp16."""
    names = {dtype: precision for precision, dtype in _DTYPES.items()}
    return next((names.get(weight.dtype, FULL) for weight in model.parameters()), FULL)
