"""Parts of suites: some of their tasks, under a name of their own.

``sts7[STS12,STS-B]`` is a suite like any other, so that nothing takes its records for those of the
whole: they lie in another folder, and another table shows them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from bench.core.errors import UsageError
from bench.core.registry import did_you_mean
from bench.suite.kinds import MTEB_PREFIX
from bench.suite.suite import Suite

_PART = re.compile(r"(.*[^:])(\[[^\[\]]+\])", re.DOTALL)


def split_part(name: str) -> tuple[str, str]:
    """Split the name of a suite into that of the whole, and its part in brackets or nothing."""
    part = _PART.fullmatch(name)
    return (part[1], part[2]) if part is not None else (name, "")


def tasks_of_part(part: str) -> list[str]:
    """Names of the tasks in the brackets of a part."""
    return [name.strip() for name in part[1:-1].split(",") if name.strip()]


def part_of_suite(suite: Suite, tasks: Collection[str]) -> Suite | None:
    """The suite of some tasks of a suite; all of it where they are all, None where it has none.

    The average is over those that the whole averages, or over all where that is none of them.
    """
    kept = tuple(task for task in suite.tasks if task.name in tasks)
    if len(kept) in (0, len(suite.tasks)):
        return suite if kept else None
    names = [task.name for task in kept]
    average = tuple(name for name in suite.average if name in names) or tuple(names)
    called = f"{suite.name}[{','.join(names)}]"
    return suite.model_copy(update={"name": called, "tasks": kept, "average": average})


def parts_of_suites(suites: Sequence[Suite], tasks: Sequence[str], name: str) -> list[Suite]:
    """The parts of some suites; those that have none of the tasks are left out.

    Args:
        suites: The suites that a name stands for.
        tasks: Names of tasks.
        name: The name, for errors.

    Raises:
        UsageError: No suite has a task, or no task is named.
    """
    refuse_unknown(suites, tasks, name)
    parts = [part for suite in suites if (part := part_of_suite(suite, tasks)) is not None]
    if not parts:
        raise UsageError(f"no task of {name} is named; it has {', '.join(_names(suites))}")
    return parts


def refuse_unknown(suites: Sequence[Suite], tasks: Sequence[str], name: str) -> None:
    """Refuse the name of a task that no suite has.

    Args:
        suites: The suites.
        tasks: Names of tasks.
        name: What the suites are called together.

    Raises:
        UsageError: No suite has one of the tasks.
    """
    known = _names(suites)
    for task in tasks:
        if task not in known:
            hint = did_you_mean(task, known) or f"it has {', '.join(known)}"
            raise UsageError(f"{name} has no task {task!r}; {hint}")


def _names(suites: Sequence[Suite]) -> list[str]:
    return list(dict.fromkeys(task.name for suite in suites for task in suite.tasks))


def is_of_mteb(name: str) -> bool:
    """Whether a name is that of tasks of mteb, which takes seconds to be imported."""
    return name.startswith(MTEB_PREFIX)
