"""Functions of tests that run in both processes of a group."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

ROOT = Path(__file__).parents[2]


def in_two_processes(work: Callable[[int, Path], Any], folder: Path) -> list[Any]:
    """Run a function of a test file in two processes that gloo joins.

    Args:
        work: Called with the number of the process, 0 or 1, and the folder; what it returns must
            be made of tensors and plain Python.
        folder: Of the tests; both processes see what is there.

    Returns:
        What the function returned in each process.
    """
    with pytest.MonkeyPatch.context() as patch:
        # The processes import the test file by its name; last, as the checkout's bench would hide
        # the installed one.
        patch.setattr(sys, "path", [*sys.path, str(ROOT)])
        torch.multiprocessing.spawn(_process, args=(work, folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


def _process(rank: int, work: Callable[[int, Path], Any], folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=2,
        timeout=timedelta(minutes=2),
    )
    torch.save(work(rank, folder), folder / f"{rank}.pt")
    dist.barrier()
    # Threads of gloo that are left can wait for the interpreter's own end for good.
    os._exit(0)
