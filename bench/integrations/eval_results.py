"""Scores as the hub reads them from the repository of a model: ``.eval_results/*.yaml``."""

from __future__ import annotations

from pathlib import Path

from bench.core.files import write_atomic
from bench.execution.plan import file_name
from bench.integrations.shared_model import SharedModel
from bench.records.entries import Record, TaskEntry

FOLDER = ".eval_results"


def write_eval_results(model: SharedModel, folder: Path) -> list[Path]:
    """Write the tasks that equal mteb's as ``folder/.eval_results/<Task>.yaml``.

    The hub knows data sets, so that each is under the id and revision that mteb reads, and values
    are percentages, as mteb itself writes them there. Partial records and other conventions are
    left out.

    Args:
        model: The model.
        folder: Folder of the model, or another one to be put there.

    Returns:
        The files.

    Raises:
        OSError: The folder cannot be written.
    """
    written = []
    for _, record in model.stored:
        if record.convention != "mteb" or record.limit is not None:
            continue
        for task in record.tasks.values():
            if task.mteb is not None:
                path = folder / FOLDER / f"{file_name(task.mteb)}.yaml"
                write_atomic(path, _entry(record, task, task.mteb).encode())
                written.append(path)
    return written


def _entry(record: Record, task: TaskEntry, name: str) -> str:
    import mteb
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    from bench import __version__

    dataset = mteb.get_task(name).metadata.dataset
    interval = "" if task.ci95 is None else f"; 95% CI {100 * task.ci95[0]}–{100 * task.ci95[1]}"
    entry = EvalResultEntry(
        dataset_id=dataset["path"],
        task_id=name,
        value=100 * task.main,
        dataset_revision=dataset["revision"],
        date=record.created,
        notes=(
            f"{task.metric} × 100 by sentence-bench {__version__}, {record.method.spec}, "
            f"profile {record.profile}, seed {record.seed}{interval}"
        ),
    )
    text: str = yaml.safe_dump(
        eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True
    )
    return text
