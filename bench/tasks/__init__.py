"""Tasks by kind; a new kind is one file here and one line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.tasks.base import Column, Task, TaskScore, Vectors
from bench.tasks.classification import ClassificationTask, NliTask
from bench.tasks.pair_classification import PairClassificationTask
from bench.tasks.relatedness import RelatednessTask
from bench.tasks.reranking import RerankingTask
from bench.tasks.sts import StsTask

KINDS: Mapping[str, type[Task[Any]]] = {
    task.kind: task
    for task in (
        StsTask,
        ClassificationTask,
        NliTask,
        PairClassificationTask,
        RerankingTask,
        RelatednessTask,
    )
}

__all__ = ["KINDS", "Column", "Task", "TaskScore", "Vectors"]
