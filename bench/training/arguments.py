"""What all trainings tell the library's trainer alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from bench.method import BuildContext


def checkpoints_folder(ctx: BuildContext) -> Path:
    """Folder of the checkpoints of a build."""
    return ctx.workdir.absolute() / "checkpoints"


def shared_arguments(ctx: BuildContext, every: int) -> dict[str, Any]:
    """Arguments by name: where and in what precision it computes, seeds, checkpoints, silence.

    Args:
        ctx: Seed, device and folder of this build.
        every: Steps between checkpoints, of which two are kept.
    """
    cuda = ctx.device.startswith("cuda")
    bf16 = cuda and torch.cuda.is_bf16_supported()
    return {
        "output_dir": str(checkpoints_folder(ctx)),
        "seed": ctx.seed,
        "data_seed": ctx.seed,
        "use_cpu": ctx.device == "cpu",
        "bf16": bf16,
        "fp16": cuda and not bf16,
        "optim": "adamw_torch_fused",
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 2,
        # Windows of the logged loss end at checkpoints, so that resuming never cuts one.
        "logging_steps": every,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": cuda,
    }
