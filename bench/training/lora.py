"""Low-rank adapters on all linear layers (LoRA, arXiv 2106.09685), kept and merged in the end."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from sentence_transformers import SentenceTransformer

from bench.core.errors import DataError, UsageError
from bench.core.files import write_atomic
from bench.training.checkpoints import copied
from bench.training.ranks import is_first

# Folder of a model trained with adapters that has them, as they were before they were merged.
ADAPTER = "adapter"
_FILE = "adapter_model.safetensors"
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


def keep_lora(model: SentenceTransformer, folder: Path) -> None:
    """Write a model's adapters, so that another training can go on with them; one process does.

    The file is one of peft, with its names.

    Args:
        model: The model; of one without adapters nothing is written.
        folder: Folder of the file, which may not exist yet.
    """
    backbone = _adapted(model)
    if backbone is not None and is_first():
        content = safetensors.torch.save(copied(_weights(backbone)))
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / _FILE, content)


def load_lora(model: SentenceTransformer, folder: Path) -> None:
    """Set a model's adapters to those that ``keep_lora`` wrote.

    Args:
        model: The model as it was before its training, with adapters, changed in place.
        folder: Folder of the file.

    Raises:
        DataError: The file is missing, or of other layers or another rank.
    """
    from peft import set_peft_model_state_dict

    path, backbone = folder / _FILE, _adapted(model)
    if not path.is_file():
        raise DataError(f"{path} is missing; clear the cache and train that model again")
    stored, own = safetensors.torch.load_file(path), _weights(backbone)
    if {name: one.shape for name, one in stored.items()} != {
        name: one.shape for name, one in own.items()
    }:
        raise DataError(f"{path} has adapters of other layers or another rank than the model")
    set_peft_model_state_dict(backbone, stored)


def merge_lora(model: SentenceTransformer) -> None:
    """Add a model's adapters to its weights and remove them; it is then as if never adapted.

    The sums have the precision of the weights: vectors stay the same in float32, and move by
    rounding in bfloat16. Weights of 4 bits are turned into such numbers first, as what adapters
    were trained beside: the sums are neither rounded to 4 bits again nor those of the weights
    before they were quantised, which would be other models than the one that was trained.

    Args:
        model: The model, changed in place; one without adapters stays as it is.
    """
    transformer: Any = model[0]
    backbone = _adapted(model)
    if backbone is None:
        return
    if getattr(backbone.get_base_model(), "is_quantized", False):
        backbone = _dequantised(backbone)
    transformer.model = backbone.merge_and_unload().requires_grad_(True)


def _adapted(model: SentenceTransformer) -> Any:
    """The transformer with its adapters, or None where it has none."""
    backbone: Any = getattr(model[0], "model", None)
    return backbone if hasattr(backbone, "merge_and_unload") else None


def _dequantised(backbone: Any) -> Any:
    """The same adapters on the numbers that weights of 4 bits stand for."""
    from peft import get_peft_model, set_peft_model_state_dict

    weights, config = _weights(backbone), backbone.peft_config["default"]
    plain = backbone.unload()
    adapted = get_peft_model(plain.dequantize(plain.dtype), config)
    set_peft_model_state_dict(adapted, weights)
    return adapted


def _weights(backbone: Any) -> dict[str, torch.Tensor]:
    from peft import get_peft_model_state_dict

    # Else it asks the hub whether the vocabulary was changed.
    return dict(get_peft_model_state_dict(backbone, save_embedding_layers=False))
