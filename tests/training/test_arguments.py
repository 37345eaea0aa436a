"""On what trainers compute where a machine has several GPUs."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformerTrainingArguments

from bench.training.arguments import on_device, shared_arguments
from tests.training.test_trainer import context

GPUS = 8


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine of several GPUs; what of them is made the current one."""
    devices: list[Any] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: GPUS)
    monkeypatch.setattr(torch.cuda, "set_device", devices.append)
    return devices


@pytest.mark.parametrize(
    "cls", [SentenceTransformerTrainingArguments, transformers.TrainingArguments]
)
def test_several_gpus_do_not_make_batches_larger(
    tmp_path: Path, chosen: list[Any], cls: type[transformers.TrainingArguments]
) -> None:
    ctx = replace(context(tmp_path), device="cuda")
    alone = cls(**shared_arguments(ctx, 1), per_device_train_batch_size=64)
    assert alone.train_batch_size == GPUS * 64
    arguments = on_device(
        cls(**shared_arguments(ctx, 1), per_device_train_batch_size=64), ctx.device
    )
    assert (arguments.n_gpu, arguments.train_batch_size) == (1, 64)
    assert arguments.parallel_mode is transformers.training_args.ParallelMode.NOT_PARALLEL
    assert chosen == []


def test_the_gpu_that_was_asked_for_is_the_one_that_trains(
    tmp_path: Path, chosen: list[Any]
) -> None:
    ctx = replace(context(tmp_path), device="cuda:3")
    arguments = on_device(transformers.TrainingArguments(**shared_arguments(ctx, 1)), ctx.device)
    assert arguments.device == torch.device("cuda:3")
    assert (arguments.n_gpu, chosen) == (1, ["cuda:3"])


def test_the_processor_stays_itself(tmp_path: Path, chosen: list[Any]) -> None:
    ctx = context(tmp_path)
    arguments = on_device(transformers.TrainingArguments(**shared_arguments(ctx, 1)), ctx.device)
    assert (arguments.device, arguments.n_gpu) == (torch.device("cpu"), 0)


def test_every_trainer_is_told_its_device() -> None:
    root = Path(__file__).resolve().parents[2]
    files = [path for name in ("bench", "methods") for path in (root / name).rglob("*.py")]
    calls = {
        str(path.relative_to(root)): [
            call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
            for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(call, ast.Call)
        ]
        for path in files
    }
    told = {
        name: (names.count("on_device"), sum(one.endswith("TrainingArguments") for one in names))
        for name, names in calls.items()
    }
    trainers = {name: counts for name, counts in told.items() if any(counts)}
    assert len(trainers) == 4
    assert set(trainers.values()) == {(1, 1)}
