"""A cell of a run: one method with one seed on one suite, due or done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from bench.core.errors import BenchError
from bench.core.spec import MethodSpec
from bench.encoding.encoder import Column, TaskLabel
from bench.execution.settings import Rerun, Settings
from bench.execution.suites import LoadedSuite
from bench.method import Method, named_method
from bench.records.entries import Record
from bench.records.files import has_failed, read_verified, rewrite_record
from bench.suite import Suite, TaskSpec, prompt_of


@dataclass(frozen=True)
class Cell:
    """One method with one seed on one suite.

    Attributes:
        loaded: The suite with its rows.
        spec: The method, as it was asked for.
        method: The method.
        seed: Seed of its training.
        model_fingerprint: Identity of its model.
        fingerprint: Identity of its record.
        path: File of its record.
    """

    loaded: LoadedSuite
    spec: MethodSpec
    method: Method
    seed: int
    model_fingerprint: str
    fingerprint: str
    path: Path

    @property
    def suite(self) -> Suite:
        """The suite."""
        return self.loaded.suite

    def column(self, spec: TaskSpec, column: Column) -> Column:
        """A column of texts of a task, with that task and the prompt that they get."""
        of_suite = prompt_of(self.suite.prompts, spec, column.role)
        _, method = encoding_model(self)
        prompt = of_suite if method is None else method.prompt(column.role, of_suite)
        return replace(column, prompt=prompt, task=TaskLabel(spec.kind, spec.mteb or spec.name))

    def __str__(self) -> str:
        """One line that names it."""
        return f"{self.suite.name}  {self.spec}  seed {self.seed}"


def encoding_model(cell: Cell) -> tuple[str, Method | None]:
    """Name and method of the model that encodes: the innermost one of those that map vectors.

    The method is None where a checkpoint is named without one.
    """
    name, method = str(cell.spec), cell.method
    inner: Method | None = method
    while inner is not None and inner.wraps is not None:
        name = inner.wraps
        inner = named_method(name, method.profile)
    return name, inner


def encoder_of(cell: Cell, settings: Settings) -> tuple[str, bool]:
    """Fingerprint of the model that encodes for a cell, and whether it is trained here."""
    name, method = encoding_model(cell)
    identity = cell.model_fingerprint
    if method is not cell.method:
        identity = settings.models.seeded(cell.seed).fingerprint(name)
    return identity, method is not None and method.trains


def due(cell: Cell, rerun: Rerun, record: Record | None) -> bool:
    """Whether a cell has to run.

    Args:
        cell: The cell.
        rerun: Which cells are to run.
        record: Its record where it is complete, see ``finished``.
    """
    if rerun == "failed":
        return has_failed(cell.path)
    return rerun == "all" or record is None


def finished(cell: Cell) -> Record | None:
    """Record of a cell that is complete: of its fingerprint, and following from its items."""
    try:
        record = read_verified(cell.path)
    except (OSError, BenchError):
        return None
    named = record.cell_fingerprint, record.suite, record.method.spec, record.seed
    same = named == (cell.fingerprint, cell.suite.name, str(cell.spec), cell.seed)
    return record if same else None


def labelled(cell: Cell, record: Record) -> Record:
    """Write the label that a complete cell was asked for with into its record, where it is new."""
    label = cell.spec.label
    if label is None or label == record.method.label:
        return record
    method = record.method.model_copy(update={"label": label})
    return rewrite_record(cell.path, record.model_copy(update={"method": method}))
