"""What a run shares over all its cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from bench.encoding.batches import TEXTS_PER_BATCH
from bench.models.access import Models
from bench.models.runtime import Runtime

Rerun = Literal["missing", "failed", "all"]


@dataclass(frozen=True, kw_only=True)
class Settings(Runtime):
    """What a run shares over all its cells, besides what models are built and encode with.

    Attributes:
        output: Folder of the records.
        rerun: ``missing`` runs cells without a record, ``failed`` only those whose last attempt
            failed, ``all`` everything.
        limit: Rows of each task, or None for all; marks the records as partial.
        batch_size: Most texts in a batch.
    """

    output: Path
    rerun: Rerun = "missing"
    limit: int | None = None
    batch_size: int = TEXTS_PER_BATCH

    @cached_property
    def models(self) -> Models:
        """The models of the run, with seed 0 for bases that are trained."""
        return Models(self)
