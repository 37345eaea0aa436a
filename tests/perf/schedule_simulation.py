"""Play runs of 1,000 cells through on 1 to 256 workers, with durations of committed records.

    python tests/perf/schedule_simulation.py [FOLDER] [SEED]

Each cell is a job as long as a record in FOLDER (results/baselines) says that its training,
encoding and scoring took, drawn with SEED (0); a tenth of the trained ones wait for a base that
others share. Prints the time of the whole against the lower bound (the longest chain, or an even
share), in the order of ``bench.jobs`` and in the order in which the jobs were drawn.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.jobs.estimate import estimate, play
from bench.jobs.job import Job
from bench.records.files import find_records, read_record

CELLS, SHARED = 1000, 0.1
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def draw(folder: Path, seed: int) -> tuple[list[Job], dict[str, float]]:
    """Jobs and their seconds."""
    records = [read_record(path) for path in find_records([folder])]
    chosen = random.Random(seed)
    jobs, seconds = list[Job](), dict[str, float]()
    bases = list[str]()
    for number in range(CELLS):
        record = chosen.choice(records)
        name, after = str(number), frozenset[str]()
        if record.method.trained and bases and chosen.random() < SHARED:
            after = frozenset({chosen.choice(bases)})
        elif record.method.trained:
            bases.append(name)
        jobs.append(Job(name, name, (), after=after))
        timings = record.timings
        seconds[name] = timings.build + timings.encode + timings.score
    return jobs, seconds


def drawn_order(jobs: Sequence[Job]) -> Mapping[str, float]:
    """Priorities that keep the jobs in the order in which they were drawn."""
    return {job.identity: float(-number) for number, job in enumerate(jobs)}


def main(folder: Path, seed: int) -> None:
    """Print a line for each number of workers."""
    jobs, seconds = draw(folder, seed)
    total, longest = sum(seconds.values()), max(seconds.values())
    print(f"{CELLS} jobs, {total / 3600:.1f} hours one after the other, longest {longest:.0f} s")
    print("workers   bound s   ours s  ours/bound  as drawn/bound")
    for workers in WORKERS:
        estimated = estimate(jobs, seconds, workers)
        plain = play(jobs, seconds, drawn_order(jobs), workers)
        ours, bound = estimated.makespan, estimated.bound
        print(f"{workers:7d} {bound:9.0f} {ours:8.0f} {ours / bound:11.3f} {plain / bound:15.3f}")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0] if given else "results/baselines"), int(given[1]) if given[1:] else 0)
