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

from bench.core.fingerprint import fingerprint
from bench.execution.plan import file_name
from bench.records.entries import Record, TaskEntry

_MODEL = "sentence-bench"
# Bytes of a folder's name are 255 on common file systems, less those of the above.
_LONGEST = 200


def export(records: Iterable[Record], folder: Path) -> tuple[list[Path], int, list[str]]:
    """Write the tasks that equal mteb's as ``folder/results/<model>/<revision>/<Task>.json``.

    The model is named ``sentence-bench/<spec>``, its revision is the fingerprint of the model. A
    spec that is too long for a folder is shortened as in the names of records.

    Args:
        records: Records; partial ones and other conventions than MTEB's are left out.
        folder: Where ``mteb.ResultCache(folder)`` finds them.

    Returns:
        Files written, the number of task scores left out, and notes of names that were shortened
        and of tasks that mteb does not have.
    """
    cache = ResultCache(folder)
    written: list[Path] = []
    left_out, notes = 0, []
    for record in records:
        meta = _meta(record)
        for name, entry in record.tasks.items():
            if record.convention != "mteb" or record.limit is not None or entry.mteb is None:
                left_out += 1
                continue
            try:
                result = _result(entry.mteb, entry)
            except KeyError as error:
                missing = str(error.args[0]).removeprefix("KeyError: ")
                notes.append(
                    f"task {name} of {record.suite} is left out: mteb has no {entry.mteb} with its "
                    f"subset: {missing}; correct its mteb in the suite"
                )
                continue
            if meta.name != f"{_MODEL}/{record.method.spec}":
                notes.append(
                    f"{record.method.spec} is too long for a folder name; it is {meta.name} there"
                )
            cache.save_to_cache(result, meta)
            written.append(cache.get_task_result_path(entry.mteb, meta))
    return written, left_out, list(dict.fromkeys(notes))


def _name(spec: str) -> str:
    if len(spec.encode()) <= _LONGEST:
        return spec
    return f"{file_name(spec)}-{fingerprint(spec)[:8]}"


def _meta(record: Record) -> ModelMeta:
    return ModelMeta.create_empty(
        overwrites={
            "name": f"{_MODEL}/{_name(record.method.spec)}",
            # From a record, which may be a stranger's, and the name of a folder.
            "revision": file_name(record.model_fingerprint),
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
    scores: dict[tuple[str, str], dict[str, float]] = {}
    for key, value in entry.metrics.items():
        split, subset, metric = key.split("/", 2)
        scores.setdefault((split, subset), {})[metric] = value
    return scores
