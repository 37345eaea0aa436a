"""``bench run``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

import click

from bench.cli.gate import DEFAULT_BOUNDS, check_judgeable, judge
from bench.cli.terminal import say
from bench.core.compute import PACKAGES, AskedPrecision
from bench.core.spec import split_list

DEFAULT_SUITE = "mini"
_SUPERVISED = "-supervised"
DEFAULT_METHODS = "random,tfidf,minilm,simcse,sct"


@click.command("run")
@click.option("--suite", "-s", help=f"Suites, comma-separated, or TOML files [{DEFAULT_SUITE}].")
@click.option(
    "--track",
    type=click.Choice(["frozen", "supervised"]),
    default="frozen",
    help="supervised: the methods label the rows, suite NAME-supervised in place of NAME [frozen].",
)
@click.option("--methods", "-m", help=f"Method specs, comma-separated [{DEFAULT_METHODS}].")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=1, help="Seeds of each training: 0, 1, …"
)
@click.option("--profile", help="smoke, local or paper [local; smoke without --suite].")
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
@click.option(
    "--fail-on", "bounds", default=DEFAULT_BOUNDS, help="Largest drops that pass [avg:0]."
)
@click.option("--dry-run", is_flag=True, help="Show what would run, and stop.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "jsonl"]),
    default="text",
    help="Form of --dry-run: text, or a job a line as JSON [text].",
)
def command(
    suite: str | None,
    track: str,
    methods: str | None,
    seeds: int,
    profile: str | None,
    batch_size: int | None,
    processes: int,
    data: str | None,
    output: str,
    rerun: str,
    offline: bool,
    mirror: str | None,
    limit: int | None,
    baseline: Path | None,
    bounds: str,
    dry_run: bool,
    form: str,
    **computing: Any,
) -> int:
    """Train or load methods, evaluate them on a suite, print the table."""
    if offline:
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
            os.environ[name] = "1"
    from bench import api
    from bench.cli.pages import show_tables
    from bench.cli.progress import Bar

    where = {"executor": _executor(computing, processes), "shard": computing.pop("shard")}
    if baseline is not None:
        check_judgeable(baseline, bounds)
    wanted = [_on(track, name) for name in split_list(DEFAULT_SUITE if suite is None else suite)]
    named = split_list(DEFAULT_METHODS if methods is None else methods)
    with Bar() as bar:
        settings = api.make_settings(
            profile=profile or ("local" if suite else "smoke"),
            output=output,
            data=data,
            offline=offline,
            mirror=mirror,
            rerun=rerun,  # type: ignore[arg-type]  # click checked the choice
            limit=limit,
            batch_size=batch_size,
            processes=processes,
            progress=bar,
            **computing,
        )
        run = api.prepare(wanted, named, seeds, settings, device=computing["device"], **where)
        if dry_run:
            for line in [run.describe()] if form == "text" else run.plan_lines():
                say(line)
            return 0
        result = run.run()
    show_tables(result.tables())
    for failure in result.failures:
        say(f"bench: {failure.message}", err=True)
    if baseline is None or result.failures:
        return result.exit_code
    return judge(result.paths, baseline, bounds, names=(output, baseline.as_posix()), partial=True)


def _executor(options: dict[str, Any], processes: int) -> str:
    """Take from the options which executor was asked for: its spec.

    Raises:
        UsageError: What was asked for contradicts itself.
    """
    from bench.core.errors import UsageError
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
    from bench.core.errors import UsageError
    from bench.core.registry import SUITES, names

    known = [track for track in names(SUITES) if track.endswith(_SUPERVISED)]
    if name in known:
        return name
    if f"{name}{_SUPERVISED}" in known:
        return f"{name}{_SUPERVISED}"
    raise UsageError(
        f"suite {name!r} has no supervised track, as there is no suite '{name}{_SUPERVISED}'; "
        f"choose {', '.join(track.removesuffix(_SUPERVISED) for track in known)}, or name a TOML "
        "file of supervised tasks without --track"
    )
