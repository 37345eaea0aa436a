"""What a run shares over all its cells."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.core.compute import Backend, Precision
from bench.execution.commits import commit_of
from bench.models.access import Models
from bench.models.runtime import Runtime
from bench.records.entries import CommitEntry

if TYPE_CHECKING:
    from bench.encoding.compute import Conversions


Rerun = Literal["missing", "failed", "all"]


@dataclass(frozen=True, kw_only=True)
class Settings(Runtime):
    """What a run shares over all its cells, besides what models are built and encode with.

    Attributes:
        output: Folder of the records.
        rerun: ``missing`` runs cells without a record, ``failed`` only those whose last attempt
            failed, ``all`` everything.
        limit: Rows of each task, or None for all; marks the records as partial.
        batch_size: Most texts in a batch, or None for those of the device's kind.
        backend: Library that runs transformers.
        precision: Numbers that they compute with, or None for what their weights are.
    """

    output: Path
    rerun: Rerun = "missing"
    limit: int | None = None
    batch_size: int | None = None
    backend: Backend = "torch"
    precision: Precision | None = None

    @property
    def probe_device(self) -> str:
        """The device where that is one of CUDA, as the GPUs of Apple have no float64."""
        return self.device if self.device.startswith("cuda") else "cpu"

    @cached_property
    def commit(self) -> CommitEntry | None:
        """The commit of the working folder, as it was when this was first asked for."""
        return commit_of(Path.cwd())

    @cached_property
    def models(self) -> Models:
        """The models of the run, with seed 0 for bases that are trained."""
        return Models(self)

    @cached_property
    def conversions(self) -> Conversions:
        """Encoders as the run wants them to compute."""
        # Imported late, as it brings torch, which a run of complete cells never needs.
        from bench.encoding.compute import Conversions

        folder, progress = self.cache.exports, self.progress
        return Conversions(self.backend, self.precision, folder, progress, self.devices)
