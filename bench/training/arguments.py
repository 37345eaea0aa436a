"""What all trainings tell the library's trainer alike."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from bench.core.errors import UsageError
from bench.method import BuildContext

if TYPE_CHECKING:
    from transformers import TrainingArguments

Arguments = TypeVar("Arguments", bound="TrainingArguments")


def checkpoints_folder(ctx: BuildContext) -> Path:
    """Folder of the checkpoints of a build."""
    return ctx.workdir.absolute() / "checkpoints"


def precision_arguments(ctx: BuildContext) -> dict[str, Any]:
    """Arguments by name: what the transformer multiplies; weights stay fp32.

    TF32 is never switched on: in fp32 numbers are to be those of other devices, and otherwise
    what is left in fp32 are the losses, whose logits it would round.

    Args:
        ctx: Precision and device of this build.

    Raises:
        UsageError: The library cannot train in this precision on this device.
    """
    if ctx.precision == "fp16" and ctx.device == "cpu":
        raise UsageError("fp16 trains on GPUs only; use --train-precision bf16 or fp32")
    return {"bf16": ctx.precision == "bf16", "fp16": ctx.precision == "fp16"}


def shared_arguments(ctx: BuildContext, every: int) -> dict[str, Any]:
    """Arguments by name: where and in what precision it computes, seeds, checkpoints, silence.

    Args:
        ctx: Seed, device, precision and folder of this build.
        every: Steps between checkpoints, of which two are kept.

    Raises:
        UsageError: The library cannot train in this precision on this device.
    """
    return {
        **precision_arguments(ctx),
        "output_dir": str(checkpoints_folder(ctx)),
        "seed": ctx.seed,
        "data_seed": ctx.seed,
        "use_cpu": ctx.device == "cpu",
        "optim": "adamw_torch_fused",
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        # Windows of the logged loss end at checkpoints, so that resuming never cuts one.
        "logging_steps": every,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": ctx.device.startswith("cuda"),
    }


def on_device(arguments: Arguments, device: str) -> Arguments:
    """Let a trainer compute on the device of a build, and on no other.

    Left alone, it takes the first GPU whatever was asked for, and all there are to make batches
    that are as many times larger.

    Args:
        arguments: What the trainer is told, which is changed.
        device: Torch device.
    """
    # Asked for, so that the library has chosen, and will not choose again.
    count = arguments.n_gpu
    if torch.device(device).index is not None:
        torch.cuda.set_device(device)
        vars(arguments)["_setup_devices"] = torch.device(device)
    arguments._n_gpu = min(count, 1)
    return arguments
