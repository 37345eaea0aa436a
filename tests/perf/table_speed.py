"""Time ``bench table`` over made records of many methods.

    python tests/perf/table_speed.py [SPECS] [SEEDS] [SPREAD]

The records, of 500 methods with 4 seeds each unless others are named, are of one suite of three
tasks with 1,000 resamples. SPREAD is the standard deviation of the methods' levels; with 0 most
pairs are near, which takes longest. The exit code is 0 only where the table takes 10 s or less.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.stats.bootstrap import percentile_interval
from tests.support.records import items_of, record_of, task_of, write_in

TASKS, RESAMPLES, TARGET = "abc", 1000, 10.0


def write_records(folder: Path, specs: int, seeds: int, spread: float) -> None:
    """Write the records of methods whose scores share most of their noise."""
    rng = np.random.default_rng(0)
    shared = {name: rng.normal(0, 0.008, RESAMPLES) for name in TASKS}
    for number in range(specs):
        level = 0.5 + spread * rng.normal()
        for seed in range(seeds):
            mains = {name: float(np.clip(level + 0.01 * rng.normal(), 0, 1)) for name in TASKS}
            replicates = {
                name: main + shared[name] + rng.normal(0, 0.004, RESAMPLES)
                for name, main in mains.items()
            }
            tasks = {
                name: task_of("sts", main, items=300, ci95=percentile_interval(replicates[name]))
                for name, main in mains.items()
            }
            items = items_of(tasks, replicates)
            record = record_of(
                f"m{number}",
                tasks,
                items=items,
                method={"trained": True, "base": "minilm"},
                seed=seed,
                model_fingerprint=f"{number}-{seed}",
                average_ci95=percentile_interval(items["average/replicates"]),
            )
            write_in(folder, f"m{number}-{seed}", record, items)


def main() -> int:
    """Write the records, time the table, and tell both."""
    defaults = ["500", "4", "0.1"]
    texts = sys.argv[1:] + defaults[len(sys.argv) - 1 :]
    specs, seeds, spread = int(texts[0]), int(texts[1]), float(texts[2])
    with tempfile.TemporaryDirectory() as folder:
        write_records(Path(folder), specs, seeds, spread)
        command = [Path(sys.executable).parent / "bench", "table", folder]
        started = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - started
    print(f"{specs} methods, {seeds} seeds, spread {spread:g}: {seconds:.1f} s")
    return int(seconds > TARGET)


if __name__ == "__main__":
    sys.exit(main())
