"""Time and memory of runs of thousands of tiny cells, by executor.

    python tests/perf/many_cells.py
    python tests/perf/many_cells.py --cells 500,1000 --executors local,processes[jobs=2]

Each cell is a method of random vectors on 20 pairs, a class in a file with an option, and a job of
its own, as no two share a model. A line tells seconds a cell and the largest memory of the process
that was started, without those of its workers; then those of the same command where all cells are
there. For ``ray`` a cluster has to run on this machine.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.core.spec import split_list
from tests.support.memory import watched

ROWS = 20
_METHOD = """
import numpy as np
from bench.method import Method, MethodConfig, MethodInfo


class Tiny(Method):
    info = MethodInfo(name="tiny", title="Random vectors", kind="static", requires=("numpy",))

    class Config(MethodConfig):
        number: int = 0

    def build(self, ctx):
        return Encoder(self.config.number)


class Encoder:
    def __init__(self, number):
        self.number = number

    def encode(self, texts, *, role=None):
        seeds = [[self.number, *text.encode()] for text in texts]
        rows = [np.random.default_rng(seed).normal(size=8) for seed in seeds]
        return np.array(rows, dtype=np.float32)
"""


def write_suite(folder: Path) -> Path:
    """Write a suite of one task of 20 pairs."""
    lines = [f"one text {row}\tanother {row}\t{row % 6}" for row in range(ROWS)]
    table = "\n".join(["sentence1\tsentence2\tscore", *lines])
    (folder / "rows.tsv").write_text(f"{table}\n", encoding="utf-8")
    path = folder / "tiny.toml"
    path.write_text(
        'name = "tiny"\ntitle = "Twenty pairs"\nconvention = "senteval"\naverage = ["T"]\n'
        f'[[tasks]]\nname = "T"\nkind = "sts"\ndata = {{ file = "{folder / "rows.tsv"}" }}\n',
        encoding="utf-8",
    )
    return path


def timed(folder: Path, cells: int, executor: str) -> tuple[float, float]:
    """Seconds of a run of so many cells, and gigabytes of its own process."""
    (folder / "tiny.py").write_text(_METHOD, encoding="utf-8")
    methods = ",".join(f"./tiny.py:Tiny[number={number}]" for number in range(cells))
    asked = folder / "run.toml"
    output = folder / f"out-{executor.partition('[')[0]}-{cells}"
    asked.write_text(
        f'suite = "{write_suite(folder)}"\nmethods = "{methods}"\noutput = "{output}"\n'
        f"executor = '{executor}'\n",
        encoding="utf-8",
    )
    started = time.perf_counter()
    with (folder / "told").open("w", encoding="utf-8") as told:
        run = subprocess.Popen(
            [sys.executable, "-m", "bench", "run", str(asked)],
            cwd=folder,
            env={
                **os.environ,
                "BENCH_CACHE": str(folder / "cache"),
                "HF_HUB_OFFLINE": "1",
                "PYTHONSAFEPATH": "1",
            },
            stdout=told,
            stderr=told,
        )
        peak = watched(run)
    if run.returncode:
        sys.exit((folder / "told").read_text(encoding="utf-8")[-2000:])
    there = sum(1 for _ in output.rglob("*-seed0.json"))
    if there != cells:
        sys.exit(f"{executor}: {there} records of {cells} cells")
    return time.perf_counter() - started, peak / 1e6


def main(arguments: Sequence[str]) -> int:
    """Print two lines for each executor and number of cells."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--cells",
        type=lambda counts: [int(count) for count in counts.split(",")],
        default=[1250, 2500, 5000],
    )
    parser.add_argument(
        "--executors",
        type=split_list,
        default=["local", "processes[jobs=2]"],
    )
    given = parser.parse_args(arguments)
    for executor in given.executors:
        for cells in given.cells:
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                for what in ("", "all there"):
                    seconds, peak = timed(folder, cells, executor)
                    print(
                        f"{executor:<20} {cells:>6,} cells  {seconds:7.1f} s  "
                        f"{1e3 * seconds / cells:6.1f} ms a cell  {peak:5.2f} GB  {what}",
                        flush=True,
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
