"""The rows of the suite redundancy: as many as they should be, in the parts that they need."""

from __future__ import annotations

from pathlib import Path

from bench.api import make_settings
from bench.suite import load_suite
from bench.tasks.loading import load_tasks


def test_rows_are_there_in_their_parts(data_folder: Path) -> None:
    suite = load_suite("redundancy")
    data = make_settings(profile="smoke", data=data_folder).data
    tasks = {task.spec.name: task for task in load_tasks(suite, data)}
    sizes = {name: len(tasks[name].rows) for name in ("TREC-clusters", "AG-News-clusters", "ATIS")}
    assert sizes == {"TREC-clusters": 500, "AG-News-clusters": 1502, "ATIS": 893}
    assert len({row["label"] for row in tasks["TREC-clusters"].rows}) == 6
    assert len({row["label"] for row in tasks["AG-News-clusters"].rows}) == 4
    assert set(tasks["TREC"].parts) == {"test", "train"}
    assert set(tasks["ATIS"].parts) == {"test", "train", "dev"}
