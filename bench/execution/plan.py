"""What a run consists of: the cells that suites, methods and seeds make."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.core.compute import FULL
from bench.core.errors import UsageError
from bench.core.files import check_writable
from bench.core.fingerprint import fingerprint, source_fingerprint, versions
from bench.core.outputs import MethodOutput
from bench.core.spec import MethodSpec, parse_method_spec, wrapping
from bench.execution.cells import Cell
from bench.execution.settings import Settings
from bench.execution.suites import LoadedSuite
from bench.method import Method, known_methods, learns, make_method
from bench.records.files import record_path
from bench.suite import (
    KINDS,
    ClassificationSpec,
    MtebSpec,
    NliSpec,
    RelatednessSpec,
    Suite,
    scored_from,
)

SCORING = (
    "bench.tasks",
    "bench.metrics",
    "bench.stats.bootstrap",
    "bench.encoding.batches",
    "bench.encoding.compute",
    "bench.encoding.exports",
    "bench.encoding.encode",
    "bench.encoding.sparse",
    "bench.execution.geometry",
)
PROBED = (ClassificationSpec, NliSpec, RelatednessSpec)
_GIVEN: Mapping[MethodOutput, str] = {
    "vectors": "gives them",
    "pairs": "scores pairs of texts",
    "sparse": "gives sparse ones",
}
Outline = list[tuple[Suite, list[tuple[MethodSpec, Method]]]]


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
        planned = PlannedSuite(suite, settings)
        for spec, method in rows:
            for seed in range(seeds if method.seeded else 1):
                cells.append(planned.cell(spec, method, seed))
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
        UsageError: Unknown names, bad options, or two labels of one method.
    """
    wanted: dict[str, MethodSpec] = {}
    for spec in specs:
        first = wanted.setdefault(str(spec), spec)
        if first.label != spec.label:
            labels = " and ".join(str(one.label or "no label") for one in (first, spec))
            raise UsageError(f"{spec} is asked for twice, with {labels}; name it once")
    asked = [(spec, make_method(spec, profile)) for spec in wanted.values()]
    with_bases = _with_bases(asked, profile)
    rows_of_suites = [
        (
            suite,
            _with_variants(suite, asked if _is_supervised(suite) else with_bases, asked, profile),
        )
        for suite in _distinct(suites)
    ]
    for suite, rows in rows_of_suites:
        for spec, method in rows:
            _refuse_unscorable(suite, spec, method)
    return rows_of_suites


def _refuse_unscorable(suite: Suite, spec: MethodSpec, method: Method) -> None:
    output = method.info.output
    for task in suite.tasks:
        if output not in task.scored_from:
            kinds = ", ".join(kind for kind in KINDS if output in scored_from(kind))
            raise UsageError(
                f"{spec} cannot run on suite {suite.name}: task {task.name} of kind {task.kind} "
                f"needs dense vectors of texts, and {method.info.name} {_GIVEN[output]}; it runs "
                f"on suites of {kinds}"
            )


def _distinct(suites: Sequence[Suite]) -> list[Suite]:
    by_name: dict[str, Suite] = {}
    for suite in suites:
        first = by_name.setdefault(suite.name, suite)
        if (first.path, first.definition()) != (suite.path, suite.definition()):
            raise UsageError(
                f"two suites are called {suite.name}: {first.path} and {suite.path}; rename one,"
                " as they would replace each other's records"
            )
    return [*by_name.values()]


def _with_bases(
    asked: Sequence[tuple[MethodSpec, Method]], profile: str
) -> list[tuple[MethodSpec, Method]]:
    bases = [
        parse_method_spec(method.base)
        for _, method in asked
        if method.trains and method.base in known_methods()
    ]
    untrained = {str(spec): (spec, make_method(spec, profile)) for spec in bases}
    return list({**untrained, **{str(spec): (spec, method) for spec, method in asked}}.values())


def _with_variants(
    suite: Suite,
    rows: Sequence[tuple[MethodSpec, Method]],
    asked: Sequence[tuple[MethodSpec, Method]],
    profile: str,
) -> list[tuple[MethodSpec, Method]]:
    named = {str(spec) for spec, _ in asked}
    methods = {}
    for spec, method in rows:
        methods[str(spec)] = spec, method
        # A transform of a transform is run where it is asked for by name.
        if str(spec) not in named or method.info.kind == "transform":
            continue
        for variant in suite.variants:
            wrapped = wrapping(variant, spec)
            methods[str(wrapped)] = wrapped, make_method(wrapped, profile)
    return list(methods.values())


def _identity(loaded: LoadedSuite, settings: Settings) -> dict[str, Any]:
    """What the scores of a suite follow from, besides the model and what computes with it."""
    suite = loaded.suite
    return {
        "suite": suite.definition(),
        "data": list(loaded.sha256.values()),
        "subsets": list(loaded.subsets.values()),
        "limit": settings.limit,
        "code": [source_fingerprint(module) for module in SCORING],
        "mteb": dict(versions(["mteb"])) if _by_mteb(suite) else {},
        **_probed(suite, settings),
    }


def _probed(suite: Suite, settings: Settings) -> dict[str, str]:
    """What is to fit the probes of a suite, where that is not the CPU.

    A fit differs by an item at most, but where two values of a grid are as close as that, another
    one is chosen.
    """
    device = settings.probe_device
    fits = suite.convention != "mteb" and any(isinstance(task, PROBED) for task in suite.tasks)
    return {"probes": device} if fits and device != "cpu" else {}


def _computed(method: Method, settings: Settings) -> dict[str, str]:
    """What is to compute the vectors, where it is another backend than torch or a precision.

    A method without torch computes by itself, and maps no vectors of one that has it.
    """
    if "torch" not in method.info.requires and method.wraps is None:
        return {}
    asked: dict[str, str] = {"backend": settings.backend, "precision": settings.precision or ""}
    return {} if asked == {"backend": "torch", "precision": ""} else asked


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


class PlannedSuite:
    """A suite whose cells are made: its rows are identified once for all of them.

    Args:
        suite: The suite.
        settings: Settings of the run.

    Raises:
        DataError: Rows are missing, changed, or lack a column.
    """

    def __init__(self, suite: Suite, settings: Settings) -> None:
        self._settings = settings
        self._loaded = LoadedSuite(suite, settings)
        self._identity = _identity(self._loaded, settings)

    def cell(self, spec: MethodSpec, method: Method, seed: int) -> Cell:
        """The cell of a method and a seed.

        Raises:
            DataError: Data or a model that the method needs is missing.
        """
        settings, suite = self._settings, self._loaded.suite.name
        model = settings.models.seeded(seed).identity(method)
        precision = settings.train_precision
        trained = [precision] if precision != FULL and learns(method) else []
        computed = _computed(method, settings)
        setup = [*computed.values(), *trained]
        key = fingerprint([suite, str(spec), settings.profile, settings.limit, *setup])[:8]
        name = f"{file_name(str(spec))}-{settings.profile}-{key}-seed{seed}"
        path = record_path(settings.output, file_name(suite), name)
        cell = fingerprint([model, {**self._identity, **computed}])
        return Cell(self._loaded, spec, method, seed, model, cell, path)


def file_name(text: str) -> str:
    """Letters, digits and hyphens of a text that name a file, the first 60; others may share it."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", text).strip("_")[:60]
