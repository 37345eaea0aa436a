"""What an entry of any kind of task says in a suite's TOML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from bench.core.outputs import MethodOutput
from bench.core.toml import TomlTable
from bench.suite.data import Data

Convention = Literal["simcse", "senteval", "mteb", "useb"]
ScoredAs = Literal["vectors", "predictions"]


class OwnTaskSpec(TomlTable):
    """What tasks of our own kinds have.

    Attributes:
        name: Name and column of the task.
        columns: The kind's column to the name that it has in the data, where they differ.
        mteb: Name of the task of mteb with the same rows and, in a suite of convention ``mteb``,
            the same scores; ``bench export`` writes them under this name.
    """

    name: str
    columns: Mapping[str, str] = Field(default_factory=dict)
    mteb: str | None = None

    required: ClassVar[tuple[str, ...]]
    # Columns that rows may have besides, and that may be called otherwise too.
    beside: ClassVar[tuple[str, ...]] = ("phenomenon",)
    # The part whose rows are the items of the score.
    scored_part: ClassVar[str] = "test"
    # What of a method it can be scored from.
    scored_from: ClassVar[tuple[MethodOutput, ...]] = ("vectors",)

    @model_validator(mode="after")
    def _columns_are_known(self) -> OwnTaskSpec:
        read = [name for part in self.parts() for name in self.row_columns(part)]
        known = dict.fromkeys((*read, *self.beside))
        unknown = [name for name in self.columns if name not in known]
        if unknown:
            raise ValueError(
                f"columns has {unknown[0]!r}, which the kind does not read; it reads "
                f"{', '.join(known)}"
            )
        return self

    @property
    def scored_as(self) -> ScoredAs:
        """Whether vectors of the texts are scored, or what a method itself predicts."""
        return "vectors"

    @property
    def over_subsets(self) -> bool:
        """Whether the score is one over subsets of the rows."""
        return False

    def renamed_beside(self, part: str) -> tuple[str, ...]:
        """Columns besides that the rows of a part have under another name."""
        scored = part == self.scored_part
        return tuple(name for name in self.beside if name in self.columns and scored)

    def names(self, part: str) -> Mapping[str, str]:
        """Column to the name that it has in the rows of a part, where they differ."""
        return self.columns

    def parts(self) -> dict[str, Data]:
        """All data of the task by role."""
        raise NotImplementedError

    def row_columns(self, part: str = "test") -> tuple[str, ...]:
        """Columns that the rows of a part must have, by the kind's own names."""
        return self.required

    def optional_columns(self, part: str) -> tuple[str, ...]:
        """Those of them that rows of a part may lack."""
        return ()

    def scores_blank_texts(self, convention: Convention) -> bool:
        """Whether a row without a text has a score, where others are refused."""
        return False


class RowsTaskSpec(OwnTaskSpec):
    """What tasks have whose scored rows are one table.

    Attributes:
        data: Rows to score: ``family/set:split`` of datasets.toml (splits joined by ``+``), a
            file, public files at pinned addresses (see ``bench.data.sources.FilesSource``), a data
            set on the hub, or the rows of a task of mteb.
    """

    data: Data

    def parts(self) -> dict[str, Data]:
        """All data of the task by role; ``test`` is what is scored."""
        return {"test": self.data}
