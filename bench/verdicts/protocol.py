"""Protocols: all that decides a task's score besides its rows, the method and our code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from bench.core.errors import UsageError
from bench.records.entries import Record, TaskEntry


class ProtocolError(UsageError):
    """Scores of one task by two protocols: no difference of them means anything."""


def differing_field(a: TaskEntry, b: TaskEntry) -> str | None:
    """Name a field in which the protocols of two scores of a task differ, with both values.

    A protocol is unknown in records from before it was kept, and so is a field that only one of
    them has: these are taken for equal. Kind and metric are known of all.

    Returns:
        E.g. ``metric ("accuracy" and "f1")``, or None.
    """
    for name, of_a, of_b in _fields(a, b):
        if of_a != of_b:
            return f"{name} ({_shown(of_a)} and {_shown(of_b)})"
    return None


def _fields(a: TaskEntry, b: TaskEntry) -> list[tuple[str, Any, Any]]:
    of_a, of_b = a.protocol or {}, b.protocol or {}
    known = [(name, of_a[name], of_b[name]) for name in of_a if name in of_b]
    return [*known, ("kind", a.kind, b.kind), ("metric", a.metric, b.metric)]


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def differing_protocols(a: Record, b: Record) -> dict[str, str]:
    """Tasks of both records whose protocols differ, each with a field, see ``differing_field``."""
    found = {
        task: differing_field(entry, b.tasks[task])
        for task, entry in a.tasks.items()
        if task in b.tasks
    }
    return {task: field for task, field in found.items() if field is not None}


def refuse_other_protocol(a: Record, b: Record) -> None:
    """Refuse what was scored by two protocols.

    Raises:
        ProtocolError: A task differs; it and the field are named.
    """
    for task, field in differing_protocols(a, b).items():
        raise ProtocolError(
            f"{a.method.spec} and {b.method.spec} cannot be compared on {a.suite}: the protocol "
            f"of task {task} differs in {field}; run both again on the same suite"
        )


def most_common(records: Sequence[Record]) -> Record:
    """The first of those records whose protocols most have.

    Kinds and metrics are known of all and count first; of those, known protocols count alone.
    """
    usual = _most_common(records, _metrics)
    known = [record for record in usual if any(task.protocol for task in record.tasks.values())]
    return _most_common(known or usual, _protocols)[0]


def _most_common(records: Sequence[Record], key: Callable[[Record], str]) -> list[Record]:
    keys = [key(record) for record in records]
    ((most, _),) = Counter(keys).most_common(1)
    return [record for record, own in zip(records, keys, strict=True) if own == most]


def _metrics(record: Record) -> str:
    return json.dumps({name: [task.kind, task.metric] for name, task in record.tasks.items()})


def _protocols(record: Record) -> str:
    tasks = {name: task.protocol for name, task in record.tasks.items()}
    return json.dumps(tasks, sort_keys=True)
