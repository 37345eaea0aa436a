"""Checkpoints of a training: complete or absent, with all that resuming needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState

from bench.files import write_atomic
from bench.training.ranks import is_first, wait_for_all

LOSS_FILE = "loss.safetensors"
STATE_FILE = "trainer_state.json"


def resume_point(folder: Path, files: tuple[str, ...]) -> Path | None:
    """Find the last checkpoint that has all of some files, and delete the incomplete ones."""
    complete = {}
    for path in folder.glob("checkpoint-*"):
        if all((path / name).is_file() for name in files):
            complete[int(path.name.rpartition("-")[2])] = path
        else:
            shutil.rmtree(path)
    return complete[max(complete)] if complete else None


class LossCheckpoints(TrainerCallback):
    """Adds the loss's own tensors, and the seconds spent, to the trainer's checkpoints.

    The file is written last, by the first process when all have written what is theirs, so a
    checkpoint that has it is complete.
    """

    def __init__(self, model: torch.nn.Module, loss: torch.nn.Module) -> None:
        self._model = model
        self._loss = loss
        self._earlier = 0.0
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """Seconds spent so far, before an interruption too."""
        return self._earlier + time.perf_counter() - self._started

    def on_save(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the file of a checkpoint."""
        wait_for_all()
        if not is_first():
            return
        content = safetensors.torch.save(copied(self._own()), {"seconds": repr(self.seconds())})
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        write_atomic(folder / LOSS_FILE, content)

    def load(self, checkpoint: Path) -> None:
        """Restore what a checkpoint has of the loss, and the seconds."""
        own = self._own()
        with safetensors.safe_open(checkpoint / LOSS_FILE, "pt") as stored, torch.no_grad():
            self._earlier = float(stored.metadata()["seconds"])
            for name, tensor in own.items():
                tensor.copy_(stored.get_tensor(name))

    def _own(self) -> Mapping[str, torch.Tensor]:
        # By identity, since a loss may hold the model under any name and at any depth.
        models = {id(tensor) for tensor in self._model.state_dict(keep_vars=True).values()}
        return {
            name: tensor
            for name, tensor in self._loss.state_dict(keep_vars=True).items()
            if id(tensor) not in models
        }


def unfrozen(model: torch.nn.Module) -> Mapping[str, torch.Tensor] | None:
    """Trained parameters and persistent buffers by name, or None where nothing is frozen."""
    frozen = {id(tensor) for tensor in model.parameters() if not tensor.requires_grad}
    state = model.state_dict(keep_vars=True).items()
    return {name: tensor for name, tensor in state if id(tensor) not in frozen} if frozen else None


def copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy tensors to the memory of the CPU, as safetensors wants them."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
