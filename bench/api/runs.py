"""Runs: methods trained or loaded, and evaluated on suites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from bench.api.objects import Methods, asked_methods
from bench.api.results import RunResult
from bench.core.bar import Bar
from bench.core.defaults import DEFAULT_METHODS, DEFAULT_SUITE
from bench.core.errors import UsageError
from bench.core.progress import Progress
from bench.core.spec import MethodSpec, parse_method_spec, split_list
from bench.execution.cells import Cell
from bench.execution.plan import plan
from bench.execution.provision import fetch_command, provide
from bench.execution.run_file import keep_run_file, run_file
from bench.execution.settings import Rerun, RunOptions, Settings, make_settings
from bench.jobs.executor import LOCAL, Executor, PlannedRun, make_executor
from bench.jobs.job import Request
from bench.jobs.shards import RunShard, part_of
from bench.method import Built, make_method, with_methods
from bench.method.files import with_files
from bench.models.devices import ComputeOptions
from bench.records.files import DEFAULT_OUTPUT
from bench.suite import Suite, default_profile, load_suites, only_tasks

__all__ = ["Run", "build_method", "make_settings", "prepare", "run"]


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
        file: The run as a file, which is kept beside its records; empty for none.
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
    file: str = ""

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
            executor = self.executor
            lines += describe_jobs(cells, settings, executor.at_a_time, executor.parts)
        return "\n".join(lines)

    def plan_lines(self) -> Iterator[str]:
        """The jobs that have to run as JSON, one a line, for other tools.

        Raises:
            UsageError: Unknown names or bad options.
            DataError: Data or checkpoints are missing or changed.
        """
        from bench.jobs.describe import plan_lines
        from bench.jobs.workers import Workers

        parts = self.executor.parts if isinstance(self.executor, Workers) else 1
        return plan_lines(self._cells(), self.settings, parts)

    def run(self) -> RunResult:
        """Fetch what is not here, and run all cells that are due.

        Raises:
            UsageError: Unknown names or bad options.
            DataError: Data or checkpoints are missing or changed.
        """
        provide(self.suites, self.specs, self.settings, self.command)
        request, cells = Request.of(self.names, self.settings, self.device), self._cells()
        if self.file:
            keep_run_file(self.file, self.settings.output)
        outcome = self.executor.run(PlannedRun(cells, self.settings, request))
        return RunResult(**vars(outcome))

    def _cells(self) -> list[Cell]:
        cells = plan(self.suites, self.specs, self.seeds, self.settings)
        return cells if self.shard is None else part_of(cells, self.shard, self.settings)


def prepare(
    suites: Sequence[str],
    methods: Sequence[str | MethodSpec],
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
        methods: Method specs; also hub ids, folders (``./model``), and classes in files of Python
            (``my_method.py:MyMethod``).
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
    texts = [one if isinstance(one, str) else one.asked() for one in methods]
    asked = {"suite": suites, "methods": texts, "seeds": seeds, "device": device}
    specs = tuple(
        parse_method_spec(with_files(one)) if isinstance(one, str) else one for one in methods
    )
    return Run(
        tuple(suite for name in suites for suite in load_suites(name)),
        specs,
        seeds,
        settings,
        fetch_command(suites, [str(spec) for spec in specs], settings.profile),
        tuple(suites),
        device,
        make_executor(executor),
        None if shard is None else RunShard.parse(shard),
        run_file(
            {**asked, **settings.options(), "executor": None if executor == LOCAL else executor}
        ),
    )


class FurtherOptions(RunOptions, total=False):
    """Settings of a run, besides device, backend, precisions and trackers.

    Attributes:
        mirror: Address in place of scheme and host of public files; ``BENCH_MIRROR`` by default.
        rerun: ``missing``, ``failed`` or ``all``; for all, every file is read again too.
        batch_size: Most texts in a batch; by default 256 on a CPU and 4,096 on a GPU.
        processes: Processes of each training, see ``bench.models.processes``.
    """

    mirror: str | None
    rerun: Rerun
    batch_size: int | None
    processes: int


def run(
    suite: str | Sequence[str] = DEFAULT_SUITE,
    methods: Methods = DEFAULT_METHODS,
    *,
    seeds: int = 1,
    tasks: str | Sequence[str] | None = None,
    profile: str | None = None,
    output: str | Path = DEFAULT_OUTPUT,
    data: str | Path | None = None,
    offline: bool = False,
    limit: int | None = None,
    executor: str = LOCAL,
    shard: str | None = None,
    progress: Progress | None = None,
    **options: Unpack[FurtherOptions],
) -> RunResult:
    """Fetch data that is not here, train or load methods, evaluate them, write records.

    Args:
        suite: Name or TOML path of one suite or several.
        methods: Method specs, e.g. ``["sct", "simcse[lr=1e-4]"]`` or ``"sct,simcse"``; or objects:
            models of sentence-transformers, anything with ``encode``, functions from a list of n
            texts to an array (n, d), in a list or by name, ``{"mine": model}``. Models are the same
            while name, weights, settings and tokenizer are. Of other objects nobody knows what
            their vectors follow from: they are encoded again in every run.
        seeds: Number of seeds of each trained method: 0, 1, ...
        tasks: Tasks of the suites, or None for all; ``suite[task,task]`` is such a part too.
        profile: ``smoke``, ``local`` or ``paper``; by default that of the suites.
        output: Folder of the records.
        data: Data folder; ``BENCH_DATA`` by default.
        offline: Never ask the network.
        limit: Rows of each task, or None for all.
        executor: Where cells are computed, see ``prepare``.
        shard: Part of the run, see ``prepare``.
        progress: Where the run reports; by default on stderr, ``bench.core.progress.Silent()`` for
            nowhere.
        options: Device, precisions, ``report_to`` and what is asked for less often, see
            ``FurtherOptions``.

    Raises:
        UsageError: Unknown names or bad options; objects of one name, ones that encode nothing, or
            ones for another executor than this process.
        DataError: Data or checkpoints are missing or changed.
    """
    if not isinstance(seeds, int) or seeds < 1:
        raise UsageError(f"seeds {seeds!r}: give a whole number, 1 or more")
    specs, objects = asked_methods(methods)
    if objects and executor != LOCAL:
        raise UsageError(f"objects run in this process; leave out executor {executor!r}")
    names = _parts([suite] if isinstance(suite, str) else suite, tasks)
    sources: Any = {"data": data, "offline": offline, "limit": limit}
    profile = profile or default_profile(names)
    where: Any = {"device": options.get("device"), "executor": executor, "shard": shard}
    with with_methods(objects), Bar() as bar:
        sources["progress"] = progress or bar
        settings = make_settings(profile=profile, output=output, **sources, **options)
        asked = prepare(names, specs, seeds, settings, **where)
        # A file cannot name objects, and so cannot repeat the run.
        return (replace(asked, file="") if objects else asked).run()


def _parts(suites: Sequence[str], tasks: str | Sequence[str] | None) -> Sequence[str]:
    if tasks is None:
        return suites
    return only_tasks(suites, split_list(tasks) if isinstance(tasks, str) else tasks)


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
    method = with_files(method)
    spec = parse_method_spec(method)
    provide([], [spec], settings, fetch_command([], [method], profile))
    return settings.models.build(make_method(spec, profile), seed=seed), settings
