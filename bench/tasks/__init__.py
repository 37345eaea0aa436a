"""Tasks by kind; a new kind is one file here and one line below."""

from __future__ import annotations

from collections.abc import Mapping

from bench.tasks.base import Column, Task, TaskScore, Vectors
from bench.tasks.sts import StsTask

KINDS: Mapping[str, type[Task]] = {StsTask.kind: StsTask}

__all__ = ["KINDS", "Column", "StsTask", "Task", "TaskScore", "Vectors"]
