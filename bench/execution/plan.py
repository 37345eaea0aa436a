"""What a run consists of: its settings, and the cells that suites, methods and seeds make."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.core.cache import Cache
from bench.core.errors import BenchError, UsageError
from bench.core.files import check_writable
from bench.core.fingerprint import fingerprint, source_fingerprint, versions
from bench.core.progress import Progress
from bench.core.registry import METHODS, names
from bench.core.spec import MethodSpec, parse_method_spec, wrapping
from bench.data.access import DataAccess
from bench.data.needs import Needs
from bench.encoding.encode import TEXTS_PER_BATCH, Encoded, encode_columns
from bench.encoding.encoder import Columns
from bench.method import Built, Method, method_class, named_method, resolve
from bench.models.access import Models
from bench.models.build import build_encoder, model_fingerprint
from bench.records.files import has_failed, read_verified, record_path
from bench.suite import MtebSpec, Suite
from bench.tasks.rows import ask_for_rows, part_rows, subsets_sha256, task_sha256

Rerun = Literal["missing", "failed", "all"]
SCORING = (
    "bench.tasks",
    "bench.metrics",
    "bench.stats.bootstrap",
    "bench.encoding.encode",
    "bench.execution.geometry",
)
Outline = list[tuple[Suite, list[tuple[MethodSpec, Method]]]]


@dataclass(frozen=True)
class Settings:
    """What a run shares over all its cells.

    Attributes:
        profile: Scale of the trainings.
        device: Torch device.
        output: Folder of the records.
        cache: Trained models and vectors.
        data: Access to rows and texts.
        progress: Where the run reports.
        rerun: ``missing`` runs cells without a record, ``failed`` only those whose last attempt
            failed, ``all`` everything.
        limit: Rows of each task, or None for all; marks the records as partial.
        batch_size: Most texts in a batch.
        processes: Processes of each training.
    """

    profile: str
    device: str
    output: Path
    cache: Cache
    data: DataAccess
    progress: Progress
    rerun: Rerun = "missing"
    limit: int | None = None
    batch_size: int = TEXTS_PER_BATCH
    processes: int = 1


@dataclass(frozen=True)
class Cell:
    """One method with one seed on one suite."""

    suite: Suite
    spec: MethodSpec
    method: Method
    seed: int
    model_fingerprint: str
    fingerprint: str
    path: Path


def plan(
    suites: Sequence[Suite], specs: Sequence[MethodSpec], seeds: int, settings: Settings
) -> list[Cell]:
    """Resolve every cell of a run, checking names, options, output, data and bases first.

    A trained method brings its untrained base along, so that the table can say whether training
    helped; a supervised suite, where that predicts nothing of its own, leaves it out. Methods to
    which seeds do not matter have one cell, with seed 0. After each method that was asked for come
    the suite's variants of it.

    Raises:
        UsageError: Unknown names, bad options, or an output that cannot be written.
        DataError: Data or checkpoints are missing or changed.
    """
    check(suites, settings)
    cells = []
    for suite, rows in outline(suites, specs, settings.profile):
        identity = _suite_identity(suite, settings)
        for spec, method in rows:
            for seed in range(seeds if method.seeded else 1):
                cells.append(_cell(suite, identity, spec, method, seed, settings))
    return cells


def check(suites: Sequence[Suite], settings: Settings) -> None:
    """Check what needs no data.

    Raises:
        UsageError: Two suites of one name, a limit that a task cannot have, or an output that
            cannot be written.
    """
    _check_output(settings.output)
    if settings.limit is not None and any(_by_mteb(suite) for suite in _distinct(suites)):
        raise UsageError("--limit does not apply to tasks that mteb scores")


def outline(suites: Sequence[Suite], specs: Sequence[MethodSpec], profile: str) -> Outline:
    """The suites of a run, each with its methods, before any data is read.

    Raises:
        UsageError: Unknown names, or bad options.
    """
    wanted = {str(spec): spec for spec in specs}.values()
    asked = [(spec, resolve(method_class(spec.name), spec, profile)) for spec in wanted]
    with_bases = _with_bases(asked, profile)
    return [
        (
            suite,
            _with_variants(suite, asked if _is_supervised(suite) else with_bases, asked, profile),
        )
        for suite in _distinct(suites)
    ]


def find_needs(suites: Sequence[Suite], specs: Sequence[MethodSpec], settings: Settings) -> Needs:
    """What a run reads and is not on this machine.

    The run is planned with an access that reads nothing and notes all it is asked for, so that
    suites and methods, bases and corpora say what they need in one place alone.

    Raises:
        UsageError: Unknown names, or bad options.
        DataError: A checkpoint or a file is missing.
    """
    needs = Needs(settings.data)
    note_needs(needs, suites, specs, settings)
    return needs


def note_needs(
    needs: Needs, suites: Sequence[Suite], specs: Sequence[MethodSpec], settings: Settings
) -> None:
    """Ask an access that notes it for all that a run reads, see ``find_needs``."""
    methods = {
        str(spec): resolve(method_class(spec.name), spec, settings.profile) for spec in specs
    }
    for suite, rows in outline(suites, specs, settings.profile):
        for task in suite.tasks:
            ask_for_rows(suite, task, needs)
        methods |= {str(spec): method for spec, method in rows}
    models = _models(replace(settings, data=needs), seed=0)
    for method in methods.values():
        model_fingerprint(method, needs, models, 0)


def _distinct(suites: Sequence[Suite]) -> list[Suite]:
    found: dict[str, Suite] = {}
    for suite in suites:
        first = found.setdefault(suite.name, suite)
        if (first.path, first.definition()) != (suite.path, suite.definition()):
            raise UsageError(f"two suites are called {suite.name}; run one after the other")
    return [*found.values()]


def _with_bases(
    asked: Sequence[tuple[MethodSpec, Method]], profile: str
) -> list[tuple[MethodSpec, Method]]:
    bases = [
        parse_method_spec(method.base)
        for _, method in asked
        if method.trains and method.base in names(METHODS)
    ]
    found = {str(spec): (spec, resolve(method_class(spec.name), spec, profile)) for spec in bases}
    return list({**found, **{str(spec): (spec, method) for spec, method in asked}}.values())


def _with_variants(
    suite: Suite,
    rows: Sequence[tuple[MethodSpec, Method]],
    asked: Sequence[tuple[MethodSpec, Method]],
    profile: str,
) -> list[tuple[MethodSpec, Method]]:
    named = {str(spec) for spec, _ in asked}
    found = {}
    for spec, method in rows:
        found[str(spec)] = spec, method
        # A transform of a transform is run where it is asked for by name.
        if str(spec) not in named or method.info.kind == "transform":
            continue
        for variant in suite.variants:
            wrapped = wrapping(variant, spec)
            found[str(wrapped)] = wrapped, resolve(method_class(wrapped.name), wrapped, profile)
    return list(found.values())


def _suite_identity(suite: Suite, settings: Settings) -> dict[str, Any]:
    return {
        "suite": suite.definition(),
        "data": [task_sha256(suite, task, settings.data) for task in suite.tasks],
        "subsets": [
            subsets_sha256(task, part_rows(suite, task, "test", settings.data))
            for task in suite.tasks
            if task.over_subsets
        ],
        "limit": settings.limit,
        "code": [source_fingerprint(module) for module in SCORING],
        "mteb": dict(versions(["mteb"])) if _by_mteb(suite) else {},
    }


def _is_supervised(suite: Suite) -> bool:
    return any(task.scored_as == "predictions" for task in suite.tasks)


def _by_mteb(suite: Suite) -> bool:
    return any(isinstance(task, MtebSpec) for task in suite.tasks)


def _check_output(output: Path) -> None:
    try:
        check_writable(output)
    except OSError as error:
        raise UsageError(
            f"output {output} cannot be written: {error.strerror}; choose another --output"
        ) from None


def _cell(
    suite: Suite,
    identity: Mapping[str, Any],
    spec: MethodSpec,
    method: Method,
    seed: int,
    settings: Settings,
) -> Cell:
    models = _models(settings, seed)
    model = model_fingerprint(method, settings.data, models, seed)
    key = fingerprint([suite.name, str(spec), settings.profile, settings.limit])[:8]
    name = f"{file_name(str(spec))}-{settings.profile}-{key}-seed{seed}"
    path = record_path(settings.output, file_name(suite.name), name)
    return Cell(suite, spec, method, seed, model, fingerprint([model, identity]), path)


def file_name(text: str) -> str:
    """Letters, digits and hyphens of a text that name a file, the first 60; others may share it."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", text).strip("_")[:60]


def _models(settings: Settings, seed: int) -> Models:
    return Models(
        settings.cache,
        settings.data,
        device=settings.device,
        seed=seed,
        profile=settings.profile,
        offline=settings.data.offline,
        progress=settings.progress,
        processes=settings.processes,
    )


def encoder_of(cell: Cell, settings: Settings) -> tuple[str, bool]:
    """Fingerprint of the model that encodes for a cell, and whether it is trained here.

    It is the method's own unless that maps the vectors of another one.
    """
    models = _models(settings, cell.seed)
    method: Method | None = cell.method
    identity = cell.model_fingerprint
    while method is not None and method.wraps is not None:
        identity = models.fingerprint(method.wraps)
        method = named_method(method.wraps, settings.profile)
    return identity, method is not None and method.trains


def due(cell: Cell, rerun: Rerun) -> bool:
    """Whether a cell has to run."""
    if rerun == "failed":
        return has_failed(cell.path)
    return rerun == "all" or not is_complete(cell)


def is_complete(cell: Cell) -> bool:
    """Whether the record of a cell is there, of its fingerprint, and follows from its items."""
    try:
        record = read_verified(cell.path)
        named = record.cell_fingerprint, record.suite, record.method.spec, record.seed
        return named == (cell.fingerprint, cell.suite.name, str(cell.spec), cell.seed)
    except (OSError, BenchError):
        return False


def encode_built(
    built: Built,
    columns: Columns,
    *,
    folder: Path,
    progress: Progress,
    batch_size: int = TEXTS_PER_BATCH,
) -> Encoded:
    """Encode with a built method; one that maps the vectors of another shares those with it.

    Where maps are fitted to each task, these are the vectors before the first of them.

    Args:
        built: The method.
        columns: Columns by (task, column).
        folder: Folder of the vector store.
        progress: Where the work reports.
        batch_size: Most texts in a batch.

    Raises:
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    inner = built if built.mapped is None else built.mapped
    encoded = encode_columns(
        inner.encoder,
        columns,
        model_fingerprint=inner.fingerprint,
        folder=folder,
        progress=progress,
        batch_size=batch_size,
    )
    if built.mapped is not None:
        for key, vectors in encoded.vectors.items():
            encoded.vectors[key] = built.mapped.apply_done(vectors).astype(np.float32)
    return encoded


def encode(built: Built, columns: Columns, settings: Settings) -> Encoded:
    """Encode columns of texts with a built method, through the store of a run.

    Raises:
        UsageError: The method is fitted to each task, so that texts alone have no vectors.
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    if built.mapped is not None:
        built.mapped.refuse_per_task()
    return encode_unfitted(built, columns, settings)


def encode_unfitted(built: Built, columns: Columns, settings: Settings) -> Encoded:
    """The same up to the first map that is fitted to each task, see ``bench.execution.fitting``.

    Raises:
        CellError: Vectors of a wrong shape or with NaN or infinity.
    """
    return encode_built(
        built,
        columns,
        folder=settings.cache.vectors,
        progress=settings.progress,
        batch_size=settings.batch_size,
    )


def build(method: Method, seed: int, settings: Settings) -> Built:
    """Build one method with the models, data and device of a run.

    Raises:
        BenchError: The build fails for a reason the user can mend.
    """
    return build_encoder(
        method,
        cache=settings.cache,
        data=settings.data,
        models=_models(settings, seed),
        seed=seed,
        profile=settings.profile,
        device=settings.device,
        progress=settings.progress,
        processes=settings.processes,
    )
