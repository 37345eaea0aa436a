"""Checkpoints of a training: complete or absent, with all that resuming needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState

from bench.core.files import copy_folder, write_atomic
from bench.core.sealed import SEAL, damage, seal
from bench.method.contract import EXTRA
from bench.training.ranks import is_first, wait_for_all
from bench.training.watching import StopWhen

LOSS_FILE = "loss.safetensors"
STATE_FILE = "trainer_state.json"


def resume_point(folder: Path, note: Callable[[str], None] | None = None) -> Path | None:
    """Find the last checkpoint that is whole, and delete those that are not.

    One whose best weights so far are in another checkpoint is whole with that one.

    Args:
        folder: Where the checkpoints are.
        note: Called for checkpoints that were whole once.
    """
    whole = {}
    for path in folder.glob("checkpoint-*"):
        wrong = damage(path)
        if wrong is None:
            whole[int(path.name.rpartition("-")[2])] = path
            continue
        if note is not None and (path / SEAL).is_file():
            note(f"  {path} is not used, as {wrong}")
        shutil.rmtree(path, ignore_errors=True)
    usable = (whole[step] for step in sorted(whole, reverse=True))
    return next((path for path in usable if _has_best(path, whole.values())), None)


def _has_best(point: Path, whole: Collection[Path]) -> bool:
    best = TrainerState.load_from_json(str(point / STATE_FILE)).best_model_checkpoint
    return best is None or Path(best) in whole


def go_on(trainer: Trainer, point: Path | None) -> None:
    """Train, from a checkpoint if there is one; from the last one of a training no step is made.

    The library's trainer makes one more step whatever it starts from.

    Args:
        trainer: Trainer whose arguments say the number of steps.
        point: Where to go on.
    """
    if point is None:
        trainer.train()
        return
    state = TrainerState.load_from_json(str(point / STATE_FILE))
    callbacks = trainer.callback_handler.callbacks
    stopped = any(callback.ended(state) for callback in callbacks if isinstance(callback, StopWhen))
    if not stopped and state.global_step < trainer.args.max_steps:
        trainer.train(resume_from_checkpoint=str(point))
        return
    trainer.state = state
    trainer._load_from_checkpoint(str(point))
    if trainer.args.load_best_model_at_end and state.best_model_checkpoint is not None:
        trainer._load_best_model()


class SealCheckpoints(TrainerCallback):
    """Makes checkpoints whole: what the method has left so far goes in, and checksums of all.

    It has to be the last one of the callbacks, so that a checkpoint with checksums is complete.

    Args:
        workdir: Folder of the build.
    """

    def __init__(self, workdir: Path) -> None:
        self._extra = workdir / EXTRA

    def on_save(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Seal the checkpoint."""
        wait_for_all()
        if is_first():
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            _copy(self._extra, folder / EXTRA)
            seal(folder)

    def restore(self, point: Path) -> None:
        """Put back what the method had left when a checkpoint was written."""
        if is_first():
            _copy(point / EXTRA, self._extra)
        wait_for_all()


def _copy(source: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    copy_folder(source, target, _link)


def _link(source: str, target: str) -> None:
    """Link a file, which is replaced and never written into; copy it where there are no links."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


class LossCheckpoints(TrainerCallback):
    """Adds the loss's own tensors, and the seconds spent, to the trainer's checkpoints.

    The file is written by the first process when all have written what is theirs.
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
        own = _registered(self._loss) - _registered(self._model)
        state = self._loss.state_dict(keep_vars=True).items()
        return {name: tensor for name, tensor in state if id(tensor) in own}


def unfrozen(model: torch.nn.Module) -> Mapping[str, torch.Tensor] | None:
    """Trained parameters and persistent buffers by name, or None where nothing is frozen."""
    frozen = {id(tensor) for tensor in model.parameters() if not tensor.requires_grad}
    if not frozen:
        return None
    trained = _registered(model) - frozen
    state = model.state_dict(keep_vars=True).items()
    return {name: tensor for name, tensor in state if id(tensor) in trained}


def _registered(module: torch.nn.Module) -> set[int]:
    """Identities of parameters and buffers; weights of 4 bits have other tensors in their state."""
    return {id(tensor) for tensor in (*module.parameters(), *module.buffers())}


def copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copy tensors to the memory of the CPU, as safetensors wants them."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
