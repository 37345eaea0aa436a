"""Decoders whose weights are quantised to four bits while they are loaded."""

from __future__ import annotations

from typing import Any

from bench.core.errors import DataError, UsageError, first_line
from bench.core.files import is_folder
from bench.method import BuildContext, named_method


def load_in_4bit(source: str, ctx: BuildContext) -> tuple[Any, Any]:
    """Load a model of transformers with quantised weights, and its tokenizer.

    Args:
        source: Method, folder or hub id.
        ctx: What it is built with.

    Raises:
        UsageError: It cannot be quantised here.
        DataError: It cannot be loaded.
    """
    import torch
    import transformers

    refuse_4bit(ctx.device)
    name, _, revision = source.partition("@")
    if named_method(source, ctx.profile) is not None:
        name, revision = str(ctx.models.folder(source)), ""
    elif is_folder(source):
        name, revision = source, ""
    options: dict[str, Any] = {
        "revision": revision or "main",
        "local_files_only": ctx.data.offline,
        "trust_remote_code": False,
    }
    # transformers does not annotate it.
    quantisation = transformers.BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
    try:
        backbone = transformers.AutoModel.from_pretrained(
            name,
            quantization_config=quantisation,
            dtype=torch.bfloat16,
            device_map={"": ctx.device},
            use_safetensors=True,
            **options,
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise DataError(f"{source} cannot be loaded in 4 bits: {first_line(error)}") from None
    return backbone, tokenizer


def refuse_4bit(device: str) -> None:
    """Check that weights can be quantised here.

    Raises:
        UsageError: There is no GPU, or the package bitsandbytes is not installed.
    """
    import importlib.util

    import torch

    if not device.startswith("cuda") or not torch.cuda.is_available():
        raise UsageError(
            f"token-prepending: load_in_4bit needs a GPU, and the device is {device!r}; pass "
            "--device cuda on a machine with one, or leave load_in_4bit out"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UsageError(
            "token-prepending: load_in_4bit needs bitsandbytes; pip install "
            "'sentence-bench[llm4bit]'"
        )
