"""Records as mteb's result tree."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mteb
from mteb.cache import ResultCache
from mteb.models.model_meta import ModelMeta
from mteb.results import TaskResult

from bench.record import Record, TaskEntry

_MODEL = "sentence-bench"


def export(records: Iterable[Record], folder: Path) -> tuple[list[Path], int]:
    """Write the tasks that equal mteb's as ``folder/results/<model>/<revision>/<Task>.json``.

    The model is named ``sentence-bench/<spec>``, its revision is the fingerprint of the model.

    Args:
        records: Records; partial ones and other conventions than MTEB's are left out.
        folder: Where ``mteb.ResultCache(folder)`` finds them.

    Returns:
        Files written, and the number of task scores left out.
    """
    cache = ResultCache(folder)
    written: list[Path] = []
    left_out = 0
    for record in records:
        meta = _meta(record)
        for entry in record.tasks.values():
            if record.convention != "mteb" or record.limit is not None or entry.mteb is None:
                left_out += 1
                continue
            cache.save_to_cache(_result(entry.mteb, entry), meta)
            written.append(cache.get_task_result_path(entry.mteb, meta))
    return written, left_out


def _meta(record: Record) -> ModelMeta:
    return ModelMeta.create_empty(
        overwrites={
            "name": f"{_MODEL}/{record.method.spec}",
            "revision": record.model_fingerprint,
            "n_parameters": record.parameters,
            "embed_dim": record.dimension,
        }
    )


def _result(name: str, entry: TaskEntry) -> TaskResult:
    metadata = mteb.get_task(name).metadata
    languages = metadata.hf_subsets_to_langscripts
    scores: dict[str, list[dict[str, Any]]] = {}
    for (split, subset), metrics in _by_subset(entry).items():
        known = {"hf_subset": subset, "languages": languages[subset], **metrics}
        scores.setdefault(split, []).append(known)
    # The time is known of whole suites only, as texts are encoded across tasks.
    return TaskResult(
        dataset_revision=metadata.dataset["revision"],
        task_name=name,
        mteb_version=version("mteb"),
        scores=scores,
        evaluation_time=None,
    )


def _by_subset(entry: TaskEntry) -> dict[tuple[str, str], dict[str, float]]:
    if entry.kind != "mteb":
        return {("test", "default"): {"main_score": entry.main, **entry.metrics}}
    found: dict[tuple[str, str], dict[str, float]] = {}
    for key, value in entry.metrics.items():
        split, subset, metric = key.split("/", 2)
        found.setdefault((split, subset), {})[metric] = value
    return found
