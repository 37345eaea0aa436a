"""A suite of a run: its rows are identified once, and read once when its first cell runs."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.execution.settings import Settings
from bench.suite import Suite
from bench.tasks.rows import part_rows, subsets_sha256, task_sha256

if TYPE_CHECKING:
    from bench.tasks.base import Task


class LoadedSuite:
    """A suite with its rows.

    Args:
        suite: The suite.
        settings: Settings of the run.

    Attributes:
        suite: The suite.
        sha256: Checksum of all rows of each task, by its name.
        subsets: Checksum of the subset of each test row, of tasks that are scored over subsets.

    Raises:
        DataError: Rows are missing, changed, or lack a column.
    """

    def __init__(self, suite: Suite, settings: Settings) -> None:
        self.suite = suite
        self._settings = settings
        self.sha256 = {task.name: task_sha256(suite, task, settings.data) for task in suite.tasks}
        self.subsets = {
            task.name: subsets_sha256(task, part_rows(suite, task, "test", settings.data))
            for task in suite.tasks
            if task.over_subsets
        }

    def tasks(self) -> list[Task[Any]]:
        """Its tasks with their rows; what fails them is raised each time.

        Raises:
            DataError: Rows are missing, or have changed since they were identified.
            UsageError: The limit leaves too few rows of a task.
            CellError: A task cannot be scored on its rows.
        """
        if isinstance(self._read, Exception):
            raise self._read
        return self._read

    @cached_property
    def _read(self) -> list[Task[Any]] | Exception:
        # Imported late, as it brings scikit-learn, which a run of complete cells never needs.
        from bench.tasks.loading import load_tasks

        try:
            settings = self._settings
            tasks = load_tasks(self.suite, settings.data, settings.limit, settings.probe_device)
            settings.refuse_changed()
        except Exception as error:
            return error
        return tasks
