"""The protocol of a task: all that decides its score besides its rows, the method and our code."""

from __future__ import annotations

from typing import Any

from bench.suite.kinds import TaskSpec
from bench.suite.prompts import prompts_by_role
from bench.suite.suite import Suite

# What only names a task, and what the checksum of its rows already tells.
_NAMES = frozenset({"name", "mteb"})
_ROWS = frozenset({"data", "train", "dev", "pool", "corpus", "queries", "qrels"})


def task_protocol(suite: Suite, spec: TaskSpec) -> dict[str, Any]:
    """What decides the score of a task besides its rows.

    All fields of its entry in the suite, so that a new one is part of it unless it is left out
    here, the convention of the suite, its prompts for the task, and which parts it has.

    Args:
        suite: The suite.
        spec: One of its tasks.

    Returns:
        JSON values by field.
    """
    fields = spec.model_dump(mode="json", exclude=set(_NAMES | _ROWS))
    # Columns that are renamed show in the checksum of a table's rows, in that of a named set not.
    if not any(isinstance(data, str) for data in spec.parts().values()):
        fields.pop("columns", None)
    return {
        **fields,
        "convention": suite.convention,
        "parts": list(spec.parts()),
        "prompts": prompts_by_role(suite.prompts, spec),
    }
