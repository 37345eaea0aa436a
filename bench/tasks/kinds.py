"""Tasks by kind: a new one is a line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.suite import TaskSpec
from bench.tasks.base import Task
from bench.tasks.classification import ClassificationTask, NliTask
from bench.tasks.clustering import ClusteringTask
from bench.tasks.dimension import DimensionTask
from bench.tasks.pair_classification import PairClassificationTask
from bench.tasks.relatedness import RelatednessTask
from bench.tasks.reranking import RerankingTask
from bench.tasks.retrieval import RetrievalTask
from bench.tasks.sts import StsTask
from bench.tasks.supervised import (
    SupervisedClassificationTask,
    SupervisedRelatednessTask,
)

KINDS: Mapping[str, type[Task[Any]]] = {
    task.kind: task
    for task in (
        StsTask,
        ClassificationTask,
        NliTask,
        PairClassificationTask,
        RerankingTask,
        ClusteringTask,
        DimensionTask,
        RelatednessTask,
        RetrievalTask,
    )
}
SUPERVISED: Mapping[str, type[Task[Any]]] = {
    task.kind: task for task in (SupervisedClassificationTask, SupervisedRelatednessTask)
}


def task_class(spec: TaskSpec) -> type[Task[Any]]:
    """Class for an entry of a suite."""
    if spec.kind == "mteb":
        # Imported late: mteb takes seconds, and only such tasks need it.
        from bench.tasks.mteb import MtebTask

        return MtebTask
    kinds = SUPERVISED if spec.scored_as == "predictions" else KINDS
    return kinds[spec.kind]
