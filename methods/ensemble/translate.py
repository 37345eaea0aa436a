"""Texts translated to another language and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.core.files import is_folder
from bench.core.libraries import quiet_libraries
from bench.method import BuildContext
from bench.models.checkpoint_files import refuse_damaged
from bench.models.checkpoints import snapshot
from bench.models.loading import refuse_random, reports, told_by_name

_BATCH = 32


def round_trip(
    texts: Sequence[str], models: tuple[str, ...], ctx: BuildContext, max_length: int
) -> list[str]:
    """Translate texts by one model after the other, each by beam search as it is configured.

    Args:
        texts: Texts.
        models: Folders or hub ids of sequence-to-sequence models.
        ctx: Device and progress.
        max_length: Most tokens of a translation.

    Raises:
        DataError: There is no such model.
    """
    translated = list(texts)
    for name in models:
        translated = _translated(translated, name, ctx, max_length)
    return translated


def translation_folder(name: str, *, offline: bool) -> Path:
    """Folder of a translation model.

    Raises:
        DataError: There is no such model.
    """
    if is_folder(name):
        return Path(name)
    repository, _, revision = name.partition("@")
    return snapshot(repository, revision or None, offline)


def _translated(texts: list[str], name: str, ctx: BuildContext, max_length: int) -> list[str]:
    import torch

    model, tokenizer = _load(name, ctx)
    ctx.progress.start(f"translate by {name}", len(texts))
    translated: list[str] = []
    for start in range(0, len(texts), _BATCH):
        part = texts[start : start + _BATCH]
        batch = tokenizer(part, return_tensors="pt", padding=True, truncation=True).to(ctx.device)
        with torch.inference_mode():
            ids = model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=max_length,
            )
        translated += tokenizer.batch_decode(ids, skip_special_tokens=True)
        ctx.progress.advance(len(translated))
    return translated


def _load(name: str, ctx: BuildContext) -> tuple[Any, Any]:
    import transformers

    quiet_libraries()
    folder = translation_folder(name, offline=ctx.data.offline)
    refuse_damaged(folder)
    with told_by_name(folder), reports() as loaded:
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    refuse_random(folder, loaded, ctx.progress)
    return model.to(ctx.device).eval(), tokenizer
