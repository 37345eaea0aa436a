"""The Python API: what the command line does, as functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from bench.core.errors import UsageError
from bench.core.progress import Progress
from bench.core.spec import MethodSpec, parse_method_spec, split_list
from bench.execution.cells import Cell
from bench.execution.plan import plan
from bench.execution.provision import fetch_command, provide
from bench.execution.runner import Outcome
from bench.execution.settings import Rerun, RunOptions, Settings, make_settings
from bench.jobs.executor import LOCAL, Executor, PlannedRun, make_executor
from bench.jobs.job import Request
from bench.jobs.shards import RunShard, part_of
from bench.method import Built, method_class, resolve
from bench.models.devices import ComputeOptions
from bench.records.entries import Record
from bench.records.files import DEFAULT_OUTPUT, find_records, read_record
from bench.report.table import Table, tables_of
from bench.suite import Suite, load_suites

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Run",
    "RunResult",
    "build_method",
    "load_records",
    "make_settings",
    "prepare",
    "run",
]


class RunResult(Outcome):
    """What a run produced."""

    def records(self) -> list[Record]:
        """The records of the complete cells."""
        return [record for _, record in self.stored]

    def tables(self) -> list[Table]:
        """One table a suite."""
        return tables_of(self.stored)

    def to_frame(self) -> pd.DataFrame:
        """One row a cell and task: suite, spec, profile, seed, task, main, ci_low, ci_high."""
        return _frame(self.records())


@dataclass(frozen=True)
class Run:
    """A run that was asked for, and not begun.

    Attributes:
        suites: Its suites.
        specs: Its methods.
        seeds: Number of seeds of each trained method.
        settings: What its cells share.
        command: What fetches the data that it needs.
        names: What loads its suites, for other processes.
        device: Torch device that was asked for, or None for what each machine has.
        executor: Where its cells are computed.
        shard: Part of the run that is computed here, or None for all of it.
    """

    suites: tuple[Suite, ...]
    specs: tuple[MethodSpec, ...]
    seeds: int
    settings: Settings
    command: str
    names: tuple[str, ...] = ()
    device: str | None = None
    executor: Executor = field(default_factory=lambda: make_executor(LOCAL))
    shard: RunShard | None = None

    def describe(self) -> str:
        """Say what would be downloaded or is missing, and what would be done.

        Raises:
            UsageError: Unknown names or bad options.
            DataError: Checkpoints or files that the specs name are missing, or data is changed.
        """
        from bench.execution.dry_run import describe_missing, describe_work
        from bench.jobs.describe import describe_jobs
        from bench.jobs.workers import Workers

        suites, specs, settings = self.suites, self.specs, self.settings
        missing = describe_missing(suites, specs, self.seeds, settings, self.command)
        if missing:
            return "\n".join(missing)
        cells = self._cells()
        lines = describe_work(suites, specs, cells, settings)
        if isinstance(self.executor, Workers):
            lines += describe_jobs(cells, settings, self.executor.at_a_time)
        return "\n".join(lines)

    def plan_lines(self) -> Iterator[str]:
        """The jobs that have to run as JSON, one a line, for other tools.

        Raises:
            UsageError: Unknown names or bad options.
            DataError: Data or checkpoints are missing or changed.
        """
        from bench.jobs.describe import plan_lines

        return plan_lines(self._cells(), self.settings)

    def run(self) -> RunResult:
        """Fetch what is not here, and run all cells that are due.

        Raises:
            UsageError: Unknown names or bad options.
            DataError: Data or checkpoints are missing or changed.
        """
        provide(self.suites, self.specs, self.settings, self.command)
        request = Request.of(self.names, self.settings, self.device)
        outcome = self.executor.run(PlannedRun(self._cells(), self.settings, request))
        return RunResult(outcome.stored, outcome.failures)

    def _cells(self) -> list[Cell]:
        cells = plan(self.suites, self.specs, self.seeds, self.settings)
        return cells if self.shard is None else part_of(cells, self.shard, self.settings)


def prepare(
    suites: Sequence[str],
    methods: Sequence[str],
    seeds: int,
    settings: Settings,
    *,
    device: str | None = None,
    executor: str = LOCAL,
    shard: str | None = None,
) -> Run:
    """Read the suites and specs of a run.

    Args:
        suites: Names or TOML paths.
        methods: Method specs.
        seeds: Number of seeds of each trained method.
        settings: What its cells share, see ``make_settings``.
        device: Torch device that was asked for, or None for what each machine has.
        executor: Where the cells are computed: ``local``, or a spec such as ``processes[jobs=4]``.
        shard: Part of the run, such as ``1/3``.

    Raises:
        UsageError: Unknown suites, a spec that cannot be read, or none of either; an executor or a
            part that there is not.
    """
    if not suites or not methods:
        raise UsageError("no suites or no methods are named; 'bench list' shows what there is")
    return Run(
        tuple(suite for name in suites for suite in load_suites(name)),
        tuple(parse_method_spec(text) for text in methods),
        seeds,
        settings,
        fetch_command(suites, methods, settings.profile),
        tuple(suites),
        device,
        make_executor(executor),
        None if shard is None else RunShard.parse(shard),
    )


def run(  # noqa: PLR0913 - keywords that all have defaults
    suite: str | Sequence[str] = "mini",
    methods: str | Sequence[str] = ("random", "tfidf", "minilm"),
    *,
    seeds: int = 1,
    profile: str = "local",
    output: str | Path = DEFAULT_OUTPUT,
    data: str | Path | None = None,
    offline: bool = False,
    mirror: str | None = None,
    rerun: Rerun = "missing",
    limit: int | None = None,
    batch_size: int | None = None,
    processes: int = 1,
    executor: str = LOCAL,
    shard: str | None = None,
    progress: Progress | None = None,
    **computing: Unpack[RunOptions],
) -> RunResult:
    """Fetch data that is not here, train or load methods, evaluate them, write records.

    Args:
        suite: Name or TOML path of one suite or several.
        methods: Method specs, e.g. ``["sct", "simcse[lr=1e-4]"]`` or ``"sct,simcse"``.
        seeds: Number of seeds of each trained method: 0, 1, ...
        profile: ``smoke``, ``local`` or ``paper``.
        output: Folder of the records.
        data: Data folder; ``BENCH_DATA`` by default.
        offline: Never ask the network.
        mirror: Address in place of scheme and host of public files; ``BENCH_MIRROR`` by default.
        rerun: ``missing``, ``failed`` or ``all``; for all, every file is read again too.
        limit: Rows of each task, or None for all.
        batch_size: Most texts in a batch; by default 256 on a CPU and 4,096 on a GPU.
        processes: Processes of each training, see ``bench.models.processes``.
        executor: Where cells are computed, see ``prepare``.
        shard: Part of the run, see ``prepare``.
        progress: Where the run reports.
        computing: Device, precisions, ``report_to``: ``bench.execution.settings.RunOptions``.

    Raises:
        UsageError: Unknown names or bad options.
        DataError: Data or checkpoints are missing or changed.
    """
    settings = make_settings(
        profile=profile,
        output=output,
        data=data,
        offline=offline,
        mirror=mirror,
        rerun=rerun,
        limit=limit,
        batch_size=batch_size,
        processes=processes,
        progress=progress,
        **computing,
    )
    names = [suite] if isinstance(suite, str) else suite
    specs = split_list(methods) if isinstance(methods, str) else methods
    where: Any = {"device": computing.get("device"), "executor": executor, "shard": shard}
    return prepare(names, specs, seeds, settings, **where).run()


def build_method(
    method: str,
    *,
    seed: int = 0,
    profile: str = "local",
    data: str | Path | None = None,
    offline: bool = False,
    processes: int = 1,
    **computing: Unpack[ComputeOptions],
) -> tuple[Built, Settings]:
    """Train or load one method, for use outside of a run.

    Args:
        method: Method spec, e.g. ``sct`` or ``simcse[lr=1e-4]``.
        seed: Seed of the training.
        profile: ``smoke``, ``local`` or ``paper``.
        data: Data folder; ``BENCH_DATA`` by default.
        offline: Never ask the network.
        processes: Processes of the training.
        computing: See ``run``. The encoder itself is as it was built: ``backend`` and
            ``precision`` are for what is encoded with the settings.

    Returns:
        The built encoder, and the settings it was built with.

    Raises:
        UsageError: Unknown method or bad options.
        DataError: Data or a checkpoint is missing or changed.
    """
    settings = make_settings(
        profile=profile,
        data=data,
        offline=offline,
        processes=processes,
        **computing,
    )
    spec = parse_method_spec(method)
    provide([], [spec], settings, fetch_command([], [method], profile))
    return settings.models.build(
        resolve(method_class(spec.name), spec, profile), seed=seed
    ), settings


def load_records(*folders: str | Path) -> pd.DataFrame:
    """Read all records below some folders as a frame, see ``RunResult.to_frame``.

    Raises:
        DataError: A folder does not exist, or a record is damaged.
    """
    paths = find_records([Path(folder) for folder in folders])
    return _frame([read_record(path) for path in paths])


def _frame(records: Sequence[Record]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "suite": record.suite,
            "spec": record.method.spec,
            "profile": record.profile,
            "seed": record.seed,
            "task": task,
            "main": entry.main,
            "ci_low": entry.ci95[0] if entry.ci95 else None,
            "ci_high": entry.ci95[1] if entry.ci95 else None,
        }
        for record in records
        for task, entry in record.tasks.items()
    ]
    return pd.DataFrame(rows)
