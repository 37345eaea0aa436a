"""Weights of 4 bits for adapters to be trained on (QLoRA, arXiv 2305.14314), by bitsandbytes."""

from __future__ import annotations

from typing import Any

from bench.core.compute import Precision
from bench.core.errors import UsageError

_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def four_bit_options(device: str, precision: Precision) -> dict[str, Any]:
    """Arguments by name with which transformers quantises linear layers while it loads them.

    Each is NF4 with doubly quantised scales, as for Pcc-tuning (arXiv 2406.09790). Embeddings and
    norms stay as they are. A layer is multiplied in the precision of the training.

    Args:
        device: Torch device that the weights go to.
        precision: Numbers that the training multiplies.

    Raises:
        UsageError: bitsandbytes is not installed, or has nothing for the device.
    """
    try:
        import bitsandbytes
    except ImportError:
        raise UsageError(
            "load_in_4bit needs bitsandbytes; pip install 'sentence-bench[llm4bit]'"
        ) from None
    from transformers import BitsAndBytesConfig

    if device.partition(":")[0] not in bitsandbytes.supported_torch_devices:
        raise UsageError(
            f"load_in_4bit: bitsandbytes has no 4-bit weights for device {device}; "
            "use --device cuda or cpu, or leave it out"
        )
    configured: Any = BitsAndBytesConfig
    quantisation = configured(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=_DTYPES[precision],
    )
    return {"quantization_config": quantisation, "device_map": {"": device}}
