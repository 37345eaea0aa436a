"""Prompts of a suite: what is put before texts, by task, kind and role, as mteb has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bench.core.registry import did_you_mean
from bench.suite.kinds import TaskSpec

ROLES = ("query", "document")


def prompt_of(prompts: Mapping[str, str], spec: TaskSpec, role: str | None) -> str | None:
    """The prompt of texts of a task, or None where the table has none for them.

    The first of task and role, task, kind and role, kind, and role that the table has, in the
    order of ``mteb.models.abs_encoder.get_prompt_name``.

    Args:
        prompts: The table.
        spec: The task.
        role: ``query``, ``document`` or None.
    """
    return next((prompts[name] for name in _names(spec, role) if name in prompts), None)


def _names(spec: TaskSpec, role: str | None) -> Iterator[str]:
    for name in (spec.name, spec.kind):
        if role is not None:
            yield f"{name}-{role}"
        yield name
    if role is not None:
        yield role


def prompts_by_role(prompts: Mapping[str, str], spec: TaskSpec) -> dict[str, str]:
    """The prompts that a task has, by role; ``text`` is that of texts without one."""
    named = {role or "text": prompt_of(prompts, spec, role) for role in (None, *ROLES)}
    return {role: prompt for role, prompt in named.items() if prompt is not None}


def unknown_prompts(prompts: Iterable[str], specs: Iterable[TaskSpec]) -> str | None:
    """Say which key of a table no text of a suite can have, or return None.

    Args:
        prompts: Keys of the table.
        specs: Tasks of the suite.
    """
    bases = dict.fromkeys(name for spec in specs for name in (spec.name, spec.kind))
    known = [*bases, *ROLES, *(f"{base}-{role}" for base in bases for role in ROLES)]
    for name in prompts:
        if name not in known:
            hint = did_you_mean(name, known) or "write a task, a kind or a role, or TASK-query"
            return f"prompts has {name!r}, which is no task, kind or role of the suite; {hint}"
    return None
