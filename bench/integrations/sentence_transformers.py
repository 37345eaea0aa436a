"""Suites as evaluators of sentence-transformers' trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator

from bench.api import make_settings
from bench.core.errors import UsageError
from bench.core.files import temporary_folder
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column
from bench.execution.provision import fetch_command, provide
from bench.execution.scoring import rows_seed
from bench.execution.suites import LoadedSuite
from bench.execution.vectors import text_columns
from bench.suite import AVERAGE, TaskSpec, load_suite, prompt_of
from bench.tasks.base import GridTask, Vectors, VectorTask


class SuiteEvaluator(SentenceEvaluator):
    """Scores of a suite while a model is trained, equal to those of ``bench run`` on it.

    Scores are fractions under ``SUITE_TASK``, and their average under ``SUITE_Avg``, which is the
    primary metric: ``metric_for_best_model="eval_mini_Avg"`` for suite ``mini``. Vectors are those
    of the model at that step, and are not kept. To choose checkpoints by test rows is to train on
    them: name a suite of dev rows for that.

    Args:
        suite: Name or TOML path of one suite.
        name: What its metrics begin with, by default the suite's name.
        data: Data folder; ``BENCH_DATA`` by default.
        offline: Never ask the network for rows.
        limit: Rows of each task, or None for all.
        batch_size: Most texts in a batch; by default those of the device's kind.

    Raises:
        UsageError: There is no such suite, or it scores what a method predicts itself.
        DataError: Rows are missing or changed.
    """

    def __init__(
        self,
        suite: str | Path,
        *,
        name: str | None = None,
        data: str | Path | None = None,
        offline: bool = False,
        limit: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        # The library does not annotate it.
        super().__init__()  # type: ignore[no-untyped-call]
        self._suite = load_suite(str(suite))
        for spec in self._suite.tasks:
            if spec.scored_as != "vectors":
                raise UsageError(
                    f"task {spec.name} of suite {self._suite.name} scores what a method predicts "
                    "itself; an evaluator has vectors alone"
                )
        self._settings = make_settings(
            profile="local", data=data, offline=offline, limit=limit, batch_size=batch_size
        )
        provide([self._suite], [], self._settings, fetch_command([str(suite)], [], "local"))
        self._loaded = LoadedSuite(self._suite, self._settings)
        self._name = self._suite.name if name is None else name
        self.primary_metric = f"{self._name}_{AVERAGE}" if self._name else AVERAGE

    @property
    def description(self) -> str:
        """What model cards call it."""
        return f"Suite {self._suite.name}"

    def get_config_dict(self) -> dict[str, Any]:
        """What model cards say of it."""
        return {"suite": self._suite.name, "convention": self._suite.convention}

    def __call__(
        self,
        model: Any,
        output_path: str | None = None,
        epoch: int = -1,
        steps: int = -1,
    ) -> dict[str, float]:
        """Score a model on all tasks.

        Args:
            model: A ``SentenceTransformer``; whether it is being trained stays as it is.
            output_path: Of no use here.
            epoch: Epoch, for the model card.
            steps: Steps of that epoch, likewise.

        Raises:
            UsageError: It is no ``SentenceTransformer``.
            CellError: Its vectors give no score.
        """
        if not isinstance(model, SentenceTransformer):
            kind = type(model).__name__
            raise UsageError(f"a suite scores vectors of a SentenceTransformer, not of {kind}")
        training = model.training
        try:
            scores = self._scores(model)
        finally:
            model.train(training)
        average = float(np.mean([scores[name] for name in self._suite.average]))
        metrics = self.prefix_name_to_metrics({**scores, AVERAGE: average}, self._name)
        self.store_metrics_in_model_card_data(model, metrics, epoch, steps)
        return metrics

    def _scores(self, model: SentenceTransformer) -> dict[str, float]:
        cache, tasks = self._settings.cache, self._loaded.tasks()
        cache.root.mkdir(parents=True, exist_ok=True)
        # The next step is another model, whose vectors are others.
        with temporary_folder(cache.root, "evaluation") as folder:
            encoded = encode_columns(
                model,
                text_columns(tasks, self._column),
                model_fingerprint="being trained",
                folder=folder,
                progress=self._settings.progress,
                batch_size=self._settings.batch_size,
            )
            return {
                task.spec.name: self._score(
                    task, {name: encoded.vectors[task.spec.name, name] for name in task.texts()}
                )
                for task in tasks
                if isinstance(task, VectorTask)
            }

    def _column(self, spec: TaskSpec, column: Column) -> Column:
        prompt = prompt_of(self._suite.prompts, spec, column.role)
        return Column(column.texts, column.role, column.streamed, prompt)

    def _score(self, task: VectorTask[Any], vectors: Vectors) -> float:
        if isinstance(task, GridTask):
            return task.main(vectors)
        seed = rows_seed(self._loaded.sha256[task.spec.name], self._settings.limit)
        return task.score(vectors, seed).main
