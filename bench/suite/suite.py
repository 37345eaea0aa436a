"""Suites and groups of them, as their TOML says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from bench.core.defaults import USUAL, Profile
from bench.core.errors import UsageError
from bench.core.spec import MethodSpec, wrapping
from bench.core.toml import TomlTable
from bench.suite.entry import Convention
from bench.suite.kinds import TaskSpec
from bench.suite.prompts import unknown_prompts

AVERAGE = "Avg"


class Suite(TomlTable):
    """A suite.

    Attributes:
        name: Name of the suite.
        title: One line for lists.
        convention: Whose protocol the scores follow.
        tasks: Tasks in the order of the columns.
        average: Names of the tasks in the average.
        variants: Specs of transforms without ``of``, which a run adds for each method asked for.
        prompts: What methods that take prompts put before texts, by task, kind of task or role, or
            ``TASK-query`` and so on, see ``bench.suite.prompts``.
        profile: Profile of a run that names none.
        path: TOML file the suite was read from.
    """

    name: str
    title: str
    convention: Convention
    tasks: Annotated[tuple[TaskSpec, ...], Field(min_length=1)]
    average: Annotated[tuple[str, ...], Field(min_length=1)]
    variants: tuple[str, ...] = ()
    prompts: Mapping[str, str] = Field(default_factory=dict)
    profile: Profile = USUAL
    path: Path

    @model_validator(mode="after")
    def _names_agree(self) -> Suite:
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError("two tasks have the same name")
        if AVERAGE in names:
            raise ValueError(f"{AVERAGE!r} is the name of the average; rename the task")
        if unknown := set(self.average) - set(names):
            raise ValueError(f"average names no task: {', '.join(sorted(unknown))}")
        if len(set(self.average)) != len(self.average):
            raise ValueError("average names a task twice, which would count twice")
        if (wrong := unknown_prompts(self.prompts, self.tasks)) is not None:
            raise ValueError(wrong)
        return self

    @field_validator("variants")
    @classmethod
    def _wrap(cls, variants: tuple[str, ...]) -> tuple[str, ...]:
        for text in variants:
            try:
                wrapping(text, MethodSpec("x"))
            except UsageError as error:
                raise ValueError(str(error)) from None
        return variants

    def definition(self) -> dict[str, Any]:
        """All that decides the scores besides code and rows, as JSON values."""
        # Suites from before there were prompts are what they were.
        unset = set() if self.prompts else {"prompts"}
        return self.model_dump(
            mode="json", exclude={"path", "title", "variants", "profile", *unset}
        )


class Group(TomlTable):
    """Several suites under one name, each with a table of its own.

    Attributes:
        name: Name of the group.
        title: One line for lists.
        suites: Names of its suites.
    """

    name: str
    title: str
    suites: Annotated[tuple[str, ...], Field(min_length=1)]
