"""Low-rank adapters on all linear layers (LoRA, arXiv 2106.09685), merged after training."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from bench.core.errors import UsageError

ALPHA = 16
DROPOUT = 0.05


def add_lora(model: SentenceTransformer, rank: int, seed: int) -> None:
    """Freeze a model's transformer and put adapters on its linear layers, to be trained instead.

    A layer W x becomes W x + (16 / rank) B A dropout(x). A is (rank, in) and random, B is
    (out, rank) and zero, so that vectors stay the same at first. Scale and dropout are those of
    Pcc-tuning (arXiv 2406.09790). Modules behind the transformer are not touched.

    Args:
        model: The model, changed in place.
        rank: Rank of the adapters.
        seed: Seed of their weights.

    Raises:
        UsageError: The package peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise UsageError("LoRA needs peft; pip install 'sentence-bench[llm]'") from None
    config = LoraConfig(r=rank, lora_alpha=ALPHA, lora_dropout=DROPOUT, target_modules="all-linear")
    transformer: Any = model[0]
    # It warns that it sets what GPT-2's layers need, and of names that transformers gives up.
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        transformer.model = get_peft_model(transformer.model, config)


def merge_lora(model: SentenceTransformer) -> None:
    """Add a model's adapters to its weights and remove them; it is then as if never adapted.

    The sums have the precision of the weights: vectors stay the same in float32, and move by
    rounding in bfloat16.

    Args:
        model: The model, changed in place; one without adapters stays as it is.
    """
    transformer: Any = model[0]
    backbone: Any = getattr(transformer, "model", None)
    if hasattr(backbone, "merge_and_unload"):
        transformer.model = backbone.merge_and_unload().requires_grad_(True)
