"""The Python API: what the command line does, as functions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cache import Cache, default_root
from bench.data.access import DataAccess
from bench.encode import TEXTS_PER_BATCH
from bench.errors import EXIT_CELLS_FAILED, EXIT_OK, UsageError
from bench.method import PROFILES
from bench.plan import Rerun, Settings, plan
from bench.progress import Progress, Silent
from bench.record import Failure, Record, find_records, read_record
from bench.report.model import Table, load_tables
from bench.runner import run_cells
from bench.spec import parse_method_spec
from bench.suite import load_suite

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_OUTPUT = Path("results/runs")


@dataclass(frozen=True)
class RunResult:
    """What a run produced.

    Attributes:
        paths: Records of the complete cells.
        failures: Cells that failed.
    """

    paths: list[Path]
    failures: list[Failure]

    @property
    def exit_code(self) -> int:
        """0 if every cell is complete, else 3."""
        return EXIT_CELLS_FAILED if self.failures else EXIT_OK

    def records(self) -> list[Record]:
        """The records, read from disk."""
        return [read_record(path) for path in self.paths]

    def tables(self) -> list[Table]:
        """One table a suite."""
        return load_tables(self.paths)

    def to_frame(self) -> pd.DataFrame:
        """One row a cell and task: suite, spec, profile, seed, task, main, ci_low, ci_high."""
        return _frame(self.records())


def make_settings(
    *,
    profile: str,
    device: str | None = None,
    output: str | Path = DEFAULT_OUTPUT,
    data: str | Path | None = None,
    offline: bool = False,
    rerun: Rerun = "missing",
    limit: int | None = None,
    batch_size: int = TEXTS_PER_BATCH,
    progress: Progress | None = None,
) -> Settings:
    """Fill in what the caller left open from the environment.

    Raises:
        UsageError: Unknown profile, a data folder that does not exist, or an output that cannot
            be written.
    """
    if profile not in PROFILES:
        raise UsageError(f"unknown profile {profile!r}; choose {', '.join(PROFILES)}")
    folder = data or os.environ.get("BENCH_DATA")
    if folder and not Path(folder).is_dir():
        raise UsageError(f"data folder {folder} does not exist; mend --data or BENCH_DATA")
    offline = offline or any(
        os.environ.get(name, "") not in {"", "0"} for name in ("BENCH_OFFLINE", "HF_HUB_OFFLINE")
    )
    cache = Cache(default_root())
    return Settings(
        profile=profile,
        device=device or "cpu",
        output=_writable(Path(output)),
        cache=cache,
        data=DataAccess(
            Path(folder) if folder else None, cache.data, cache.hashes(), offline=offline
        ),
        progress=progress or Silent(),
        rerun=rerun,
        limit=limit,
        batch_size=batch_size,
    )


def _writable(output: Path) -> Path:
    try:
        output.mkdir(parents=True, exist_ok=True)
        probe = output / f".write-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(
            f"output {output} cannot be written: {error.strerror}; choose another --output"
        ) from None
    return output


def run(
    suite: str | Sequence[str] = "mini",
    methods: Sequence[str] = ("random", "tfidf", "minilm"),
    *,
    seeds: int = 1,
    profile: str = "local",
    device: str | None = None,
    output: str | Path = DEFAULT_OUTPUT,
    data: str | Path | None = None,
    offline: bool = False,
    rerun: Rerun = "missing",
    limit: int | None = None,
    batch_size: int = TEXTS_PER_BATCH,
    progress: Progress | None = None,
) -> RunResult:
    """Train or load methods, evaluate them on suites, write records.

    Args:
        suite: Name or TOML path of one suite or several.
        methods: Method specs, e.g. ``["sct", "simcse[lr=1e-4]"]``.
        seeds: Number of seeds of each trained method: 0, 1, ...
        profile: ``smoke``, ``local`` or ``paper``.
        device: Torch device; the CPU by default.
        output: Folder of the records.
        data: Data folder; ``BENCH_DATA`` by default.
        offline: Never ask the hub.
        rerun: ``missing``, ``failed`` or ``all``.
        limit: Rows of each task, or None for all.
        batch_size: Most texts in a batch.
        progress: Where the run reports.

    Raises:
        UsageError: Unknown names or bad options.
        DataError: Data or checkpoints are missing or changed.
    """
    settings = make_settings(
        profile=profile,
        device=device,
        output=output,
        data=data,
        offline=offline,
        rerun=rerun,
        limit=limit,
        batch_size=batch_size,
        progress=progress,
    )
    suites = [load_suite(name) for name in ([suite] if isinstance(suite, str) else suite)]
    specs = [parse_method_spec(text) for text in methods]
    outcome = run_cells(plan(suites, specs, seeds, settings), settings)
    return RunResult(outcome.records, outcome.failures)


def load_records(*folders: str | Path) -> pd.DataFrame:
    """Read all records below some folders as a frame, see ``RunResult.to_frame``.

    Raises:
        DataError: A folder does not exist, or a record is damaged.
    """
    paths = find_records([Path(folder) for folder in folders or (DEFAULT_OUTPUT,)])
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
            "ci_low": entry.ci95[0],
            "ci_high": entry.ci95[1],
        }
        for record in records
        for task, entry in record.tasks.items()
    ]
    return pd.DataFrame(rows)
