"""Texts translated to another language and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.core.libraries import quiet_libraries
from bench.core.progress import Progress
from bench.data.access import DataAccess
from bench.models.checkpoint_files import refuse_damaged
from bench.models.checkpoints import find_folder
from bench.models.loading import refuse_random, reports, told_by_name

_BATCH = 32


@dataclass(frozen=True)
class Translators:
    """Translates by sequence-to-sequence models one after the other.

    Attributes:
        names: Folders or hub ids of the models.
        device: Torch device.
        data: Says whether the hub may be asked.
        progress: Where the work reports.
        max_length: Most tokens of a translation.
    """

    names: tuple[str, ...]
    device: str
    data: DataAccess
    progress: Progress
    max_length: int
    _loaded: dict[str, tuple[Any, Any]] = field(default_factory=dict, repr=False, compare=False)

    def translate(self, texts: Sequence[str]) -> list[str]:
        """Translate texts, each by beam search as the model is configured.

        Raises:
            DataError: There is no such model.
        """
        translated = list(texts)
        for name in self.names:
            translated = self._translated(translated, name)
        return translated

    def _translated(self, texts: list[str], name: str) -> list[str]:
        import torch

        # Long text comes in parts, and a model is loaded for the first.
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        model, tokenizer = self._loaded[name]
        self.progress.start(f"translate by {name}", len(texts))
        translated: list[str] = []
        for start in range(0, len(texts), _BATCH):
            part = texts[start : start + _BATCH]
            batch = tokenizer(part, return_tensors="pt", padding=True, truncation=True)
            with torch.inference_mode():
                ids = model.generate(
                    input_ids=batch["input_ids"].to(self.device),
                    attention_mask=batch["attention_mask"].to(self.device),
                    max_new_tokens=self.max_length,
                )
            translated += tokenizer.batch_decode(ids, skip_special_tokens=True)
            self.progress.advance(len(translated))
        return translated

    def _load(self, name: str) -> tuple[Any, Any]:
        import transformers

        quiet_libraries()
        folder = find_folder(name, offline=self.data.offline)
        refuse_damaged(folder)
        with told_by_name(folder), reports() as loaded:
            model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
                folder, trust_remote_code=False, local_files_only=True
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        refuse_random(folder, loaded, self.progress)
        return model.to(self.device).eval(), tokenizer
