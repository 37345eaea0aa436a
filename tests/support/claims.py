"""Files of claims, and records that answer them as a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.stats.bootstrap import percentile_interval
from tests.support.records import items_of, record_of, task_of, write_in

RUNS = Path("results/runs")
TRAINED = {"sct", "simcse"}
# Sums, differences and thirds of such numbers are exact, so that margins can be hit.
NOISE = np.arange(40) / 64
STEP = 1 / 32


def write(
    spec: str,
    gain: float | np.ndarray = 0.0,
    *,
    folder: Path = RUNS,
    seed: int = 0,
    suite: str = "small",
    profile: str = "local",
    limit: int | None = None,
    rows: str = "0",
    task_gain: float | None = None,
) -> Path:
    """Write a record of one task whose scores on all resamples are those of 0.25 and a gain."""
    average = 0.25 + NOISE + gain
    replicates = {"pairs": average}
    if task_gain is not None:
        # What the task lacks to the average is in another one.
        pairs = 0.25 + NOISE + task_gain
        replicates = {"pairs": pairs, "rest": 2 * average - pairs}
    trained = spec.partition("[")[0] in TRAINED
    tasks = {
        name: task_of(
            "sts",
            float(one.mean()),
            metric="Spearman",
            items=40,
            ci95=percentile_interval(one),
            data_sha256=rows,
        )
        for name, one in replicates.items()
    }
    items = items_of(tasks, replicates)
    record = record_of(
        spec,
        tasks,
        items=items,
        method={"trained": trained, "base": "minilm-l2" if trained else None},
        suite=suite,
        convention="simcse",
        profile=profile,
        seed=seed,
        limit=limit,
        model_fingerprint=f"{spec}{seed}",
        average_ci95=percentile_interval(items["average/replicates"]),
    )
    return write_in(folder, f"{spec}-{profile}-{limit}-seed{seed}", record, items)


def write_seeds(spec: str, gain: float | np.ndarray = 0.0, seeds: int = 3, **changes: Any) -> None:
    for seed in range(seeds):
        write(spec, gain, seed=seed, **changes)


TOML = """
paper = "A Paper"
arxiv = "2401.00001"
[[claims]]
name = "new-above-old"
claim = "The new one is better."
source = "Table 1"
a = "sct"
b = "simcse"
suite = "small.toml"
"""


def write_toml(file: str = "paper.toml", **changes: Any) -> Path:
    """Write a file of one claim with some fields changed."""
    lines = [line for line in TOML.splitlines() if line.partition(" = ")[0] not in changes]
    lines += [f"{key} = {value}" for key, value in changes.items() if value is not None]
    Path(file).write_text("\n".join(lines), encoding="utf-8")
    return Path(file)
