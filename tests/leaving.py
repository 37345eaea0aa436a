"""How a process of a group ends."""

from __future__ import annotations

import os

import torch.distributed as dist


def leave() -> None:
    """End this process when all others are here too, without the interpreter's own end.

    Threads of gloo that are left then can wait for the interpreter for good.
    """
    dist.barrier()
    os._exit(0)
