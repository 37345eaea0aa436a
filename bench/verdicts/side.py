"""All seeds of one method on one suite, with their items."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import DataError
from bench.records.entries import Evidence, Interval, Record
from bench.records.evidence import evidence_of
from bench.records.files import StoredRecord, read_items
from bench.records.items import ALL_TASKS, REPLICATES, VALUE, items_key, split_items_key
from bench.stats.bootstrap import percentile_interval
from bench.suite import AVERAGE
from bench.verdicts.protocol import refuse_other_protocol


class Side:
    """All seeds of one method on one suite.

    Args:
        stored: Records, with their paths.

    Raises:
        DataError: A seed is there twice, seeds differ in settings or rows, or the items are not
            those of their record.
        ProtocolError: Seeds were scored by two protocols.
    """

    def __init__(self, stored: Sequence[StoredRecord]) -> None:
        refuse_mixed_seeds(stored)
        self.records = [record for _, record in stored]
        self._items = [read_items(path, record) for path, record in stored]

    @property
    def first(self) -> Record:
        """The record of the first seed."""
        return self.records[0]

    @property
    def name(self) -> str:
        """Label or spec, the profile where it was trained, and what else than fp32 computed it."""
        method = self.first.method
        profile = self.first.profile if method.trained else ""
        spec = method.spec if method.label else ""
        facts = ", ".join(filter(None, [spec, profile, self.first.setup]))
        called = method.label or method.spec
        return f"{called} ({facts})" if facts else called

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, in the order of the records."""
        return tuple(record.seed for record in self.records)

    @property
    def models(self) -> list[str]:
        """Fingerprint of each seed's model."""
        return [record.model_fingerprint for record in self.records]

    def points(self, task: str) -> NDArray[np.float64]:
        """Score of each seed, (S,)."""
        if task == AVERAGE:
            return np.array([record.average for record in self.records])
        return np.array([record.tasks[task].main for record in self.records])

    def replicates(self, task: str) -> NDArray[np.float64]:
        """Scores on the resamples, (S, R)."""
        key = items_key(ALL_TASKS if task == AVERAGE else task, REPLICATES)
        return np.stack([items[key] for items in self._items])

    def interval(self, task: str) -> Interval | None:
        """Bootstrap interval of the mean score over items; None where nothing is known of items."""
        first = self.first
        own = first.average_ci95 if task == AVERAGE else first.tasks[task].ci95
        if len(self.records) == 1 or own is None:
            return own
        # Replicates of all seeds resample the same items, so their mean is a replicate too.
        return percentile_interval(np.mean(self.replicates(task), axis=0))

    def values(self, task: str) -> NDArray[np.float64]:
        """Mean over seeds of each item's value, (n,)."""
        key = items_key(task, VALUE)
        return np.asarray(np.mean([items[key] for items in self._items], axis=0))

    def arrays(self, task: str) -> dict[str, NDArray[Any]]:
        """What is kept of each item of a task, by part, (S, n, …); what all seeds have alike."""
        parts = [
            {
                split_items_key(name)[1]: array
                for name, array in items.items()
                if split_items_key(name)[0] == task and name != items_key(task, REPLICATES)
            }
            for items in self._items
        ]
        alike = set.intersection(*(set(of_seed) for of_seed in parts))
        return {
            part: np.stack([of_seed[part] for of_seed in parts])
            for part in sorted(alike)
            if len({of_seed[part].shape for of_seed in parts}) == 1
        }

    def evidence(self, task: str) -> Evidence:
        """What the score of the first seed rests on; an average has its resamples alone."""
        if task == AVERAGE:
            return "replicates"
        return evidence_of(self.first.tasks[task], self._items[0][items_key(task, VALUE)])


def refuse_mixed_seeds(stored: Sequence[StoredRecord]) -> None:
    """Refuse records that are no seeds of one method, which a mean must not hide.

    Args:
        stored: Records of one method on one suite, with their paths.

    Raises:
        DataError: A seed is there twice, or seeds differ in settings or rows.
        ProtocolError: Seeds were scored by two protocols.
    """
    _refuse_twice(stored)
    _refuse_mixed(stored)


def _refuse_twice(stored: Sequence[StoredRecord]) -> None:
    first: dict[int, Path] = {}
    for path, record in stored:
        if (earlier := first.setdefault(record.seed, path)) != path:
            raise DataError(
                f"{record.method.spec} (seed {record.seed}) on {record.suite} is both in {earlier} "
                f"and in {path}; name a folder that has it once"
            )


def _refuse_mixed(stored: Sequence[StoredRecord]) -> None:
    for (_, record), (_, later) in pairwise(stored):
        if _circumstances(record) != _circumstances(later):
            raise DataError(
                f"seeds {record.seed} and {later.seed} of {record.method.spec} on {record.suite} "
                "differ in settings, base or rows; run both again with the same command"
            )
        refuse_other_protocol(record, later)


def _circumstances(record: Record) -> tuple[object, ...]:
    rows = [*record.tasks], record.scored_rows
    averaged = record.averaged_tasks
    return record.convention, record.method.config, record.method.base, rows, averaged
