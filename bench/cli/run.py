"""``bench run``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from bench.cli import completers
from bench.cli.gate import DEFAULT_BOUNDS, bounds_option, check_judgeable, judge
from bench.cli.options import Verb, list_option
from bench.cli.run_files import read_run_file
from bench.cli.terminal import say
from bench.core.compute import PACKAGES, AskedPrecision
from bench.core.defaults import DEFAULT_METHODS, DEFAULT_SUITE
from bench.core.errors import UsageError

if TYPE_CHECKING:
    from bench.api import RunResult

_SUPERVISED = "-supervised"


@click.command("run", cls=Verb)
@click.argument("file", required=False, is_eager=True, callback=read_run_file, expose_value=False)
@list_option(
    "--suite",
    "-s",
    "suites",
    text=f"Suites, comma-separated, or TOML files [{DEFAULT_SUITE}].",
    shell_complete=completers.suites,
)
@click.option(
    "--track",
    type=click.Choice(["frozen", "supervised"]),
    default="frozen",
    help="supervised: the methods label the rows, suite NAME-supervised in place of NAME [frozen].",
)
@list_option(
    "--methods",
    "-m",
    text=f"Method specs, comma-separated [{','.join(DEFAULT_METHODS)}].",
    shell_complete=completers.methods,
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=1, help="Seeds of each training: 0, 1, …"
)
@list_option(
    "--tasks",
    text="Only these tasks of the suites, comma-separated.",
    shell_complete=completers.tasks,
)
@click.option(
    "--profile",
    shell_complete=completers.profiles,
    help="smoke, local or paper [what the suites say].",
)
@click.option("--device", help="Torch device: auto, cpu, cuda, cuda:1, mps, … [auto].")
@click.option(
    "--backend",
    type=click.Choice([*PACKAGES]),
    default="torch",
    help="What runs transformers [torch].",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(AskedPrecision)),
    help="What they compute in; auto: the fastest that the device has [as their weights].",
)
@click.option(
    "--train-precision",
    type=click.Choice(get_args(AskedPrecision)),
    default="fp32",
    help="What trainings multiply; auto: the fastest that the device has [fp32].",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Largest number of texts in a batch [256 on a CPU, 4096 on a GPU].",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    help="Processes of each training, GPUs of each encoding [1].",
)
@click.option(
    "--executor",
    shell_complete=completers.executors,
    help="Where cells are computed: local, processes[jobs=4], ray[…], slurm[…] [local].",
)
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(min=1),
    help="Models that are trained and encoded with at a time [1].",
)
@click.option("--shard", help="Only this part of the run, such as 1/3; each part by itself.")
@click.option(
    "--report-to", help="Report curves and scores to: tensorboard, trackio, wandb, mlflow."
)
@click.option("--data", help="Data folder [$BENCH_DATA].")
@click.option(
    "--output", "-o", default="results/runs", help="Folder of the records [results/runs]."
)
@click.option(
    "--rerun",
    type=click.Choice(["missing", "failed", "all"]),
    default="missing",
    help="Cells to run: those without a record, those that failed last, or all.",
)
@click.option("--offline", is_flag=True, help="Never use the network.")
@click.option(
    "--mirror", help="Address to use in place of the hosts of public files [$BENCH_MIRROR]."
)
@click.option(
    "--limit", type=click.IntRange(min=2), help="Use only this many rows of each task (partial)."
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="Then check against the records of this folder, as bench gate does.",
)
@bounds_option("Largest drops from --baseline that pass [avg:0].", default=None)
@click.option("--dry-run", is_flag=True, help="Show what would run, and stop.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "jsonl"]),
    help="Form of --dry-run: text, or a job a line as JSON [text].",
)
def command(
    suites: tuple[str, ...] | None,
    track: str,
    methods: tuple[str, ...] | None,
    seeds: int,
    tasks: tuple[str, ...] | None,
    profile: str | None,
    processes: int,
    output: str,
    offline: bool,
    baseline: Path | None,
    bounds: str | None,
    dry_run: bool,
    form: str | None,
    **options: Any,
) -> int:
    """Train or load methods, evaluate them on a suite, print the table.

    FILE is a run as TOML, with options by their long names; those of the command line win. Each run
    leaves one beside its records.

    A method is a spec, name[@checkpoint][key=value,...], a hub id such as org/name, a folder
    such as ./model, or a class in a file of Python: my_method.py:MyMethod.
    """
    if offline:
        _forbid_network()
    from bench import api
    from bench.core.bar import Bar

    _refuse_alone(baseline, bounds, dry_run=dry_run, form=form)
    where = {"executor": _executor(options, processes), "shard": options.pop("shard")}
    wanted, profile = _suites((DEFAULT_SUITE,) if suites is None else suites, track, tasks, profile)
    if baseline is not None:
        check_judgeable(baseline, bounds or DEFAULT_BOUNDS, wanted)
    named = DEFAULT_METHODS if methods is None else methods
    with Bar() as bar:
        settings = api.make_settings(
            profile=profile,
            output=output,
            offline=offline,
            processes=processes,
            progress=bar,
            **options,
        )
        run = api.prepare(wanted, named, seeds, settings, device=options["device"], **where)
        if dry_run:
            for line in run.plan_lines() if form == "jsonl" else [run.describe()]:
                say(line)
            return 0
        result = run.run()
    _show(result)
    if baseline is None or result.failures:
        return result.exit_code
    names = output, baseline.as_posix()
    return judge(result.paths, baseline, bounds or DEFAULT_BOUNDS, names=names, partial=True)


def _refuse_alone(
    baseline: Path | None, bounds: str | None, *, dry_run: bool, form: str | None
) -> None:
    """Refuse options that would do nothing without another one.

    Raises:
        UsageError: One of them stands alone.
    """
    if bounds is not None and baseline is None:
        raise UsageError(f"--fail-on {bounds} judges nothing without --baseline FOLDER; add that")
    if form is not None and not dry_run:
        raise UsageError(f"--format {form} is of --dry-run; add that, or leave it out")


def _forbid_network() -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"


def _show(result: RunResult) -> None:
    """Print the tables, and say what took the time and what is absent."""
    from bench.cli.pages import show_tables
    from bench.cli.spent import time_spent

    show_tables(result.tables())
    spent = time_spent(result)
    for line in [*([] if spent is None else [spent]), *result.failed_lines]:
        say(f"bench: {line}", err=True)


def _suites(
    names: Sequence[str], track: str, tasks: Sequence[str] | None, profile: str | None
) -> tuple[list[str], str]:
    """The suites of a run, or parts of them, and its profile.

    Raises:
        UsageError: There is no such suite or task, or suites have several profiles.
    """
    from bench.suite import default_profile, only_tasks

    wanted = [_on(track, name) for name in names]
    if tasks is not None:
        wanted = only_tasks(wanted, tasks)
    return wanted, profile or default_profile(wanted)


def _executor(options: dict[str, Any], processes: int) -> str:
    """Take from the options which executor was asked for: its spec.

    Raises:
        UsageError: What was asked for contradicts itself.
    """
    from bench.jobs.executor import LOCAL

    executor, jobs = options.pop("executor"), options.pop("jobs")
    if executor is not None and jobs is not None:
        raise UsageError(f"--jobs {jobs} and --executor {executor} both say where cells run")
    several = f"processes[jobs={jobs}]" if (jobs or 1) > 1 else LOCAL
    chosen: str = executor or several
    if processes > 1 and chosen != LOCAL:
        raise UsageError(
            f"--processes {processes} shares each training, and {chosen} runs several at a time: "
            "choose one of them"
        )
    return chosen


def _on(track: str, name: str) -> str:
    """The suite of a name on a track.

    Raises:
        UsageError: There is none.
    """
    if track != "supervised":
        return name
    from bench.core.registry import SUITES, names
    from bench.suite import split_part

    known = [track for track in names(SUITES) if track.endswith(_SUPERVISED)]
    whole, part = split_part(name)
    if whole in known:
        return name
    if f"{whole}{_SUPERVISED}" in known:
        return f"{whole}{_SUPERVISED}{part}"
    raise UsageError(
        f"suite {name!r} has no supervised track, as there is no suite '{name}{_SUPERVISED}'; "
        f"choose {', '.join(track.removesuffix(_SUPERVISED) for track in known)}, or name a TOML "
        "file of supervised tasks without --track"
    )
