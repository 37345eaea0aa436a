"""Time 10,000 paired resamples of Spearman's correlation for two methods, ours and SciPy's.

    python tests/perf/paired_speed.py

The gold scores are those of all pairs of sts7 where BENCH_DATA names the data folder, else made
up; the similarities are gold scores with noise. Ours may use two threads. SciPy's
`scipy.stats.bootstrap` gets a number of resamples that takes seconds, and its time is multiplied
up to 10,000; it resamples one at a time, so that this is what it would take. The exit code is 0
only where SciPy takes 25 times as long or longer.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap, spearmanr

from bench.data.rows import read_rows
from bench.stats.bootstrap import spearman_replicates_of_many
from bench.stats.paired import Difference, difference_of_replicates
from bench.stats.resampling import replicate
from bench.suite import load_suite

PAIRS, REPLICATES, THEIR_REPLICATES, WORKERS = 18_850, 10_000, 400, 2
TARGET = 25.0


def gold_scores() -> tuple[np.ndarray, str]:
    """Gold scores and where they are from."""
    folder = os.environ.get("BENCH_DATA")
    if not folder:
        return np.random.default_rng(0).integers(0, 26, PAIRS) / 5, "made up"
    parts = [task.data.split(":") for task in load_suite("sts7").tasks]
    files = [Path(folder) / name / f"{split}.jsonl.gz" for name, split in parts]
    return np.array([row["score"] for file in files for row in read_rows(file)]), "sts7"


def time_ours(first: np.ndarray, second: np.ndarray, gold: np.ndarray) -> tuple[float, Difference]:
    """Seconds, and the difference found."""
    started = time.perf_counter()
    score = partial(spearman_replicates_of_many, np.stack([first, second]), gold)
    rng = np.random.default_rng(0)
    replicates = replicate(score, len(gold), rng, REPLICATES, WORKERS)
    points = score(np.ones((1, len(gold)), dtype=np.int16))[:, 0]
    found = difference_of_replicates(
        (float(points[0]), float(points[1])), (replicates[0], replicates[1])
    )
    return time.perf_counter() - started, found


def time_scipy(
    first: np.ndarray, second: np.ndarray, gold: np.ndarray
) -> tuple[float, tuple[float, float]]:
    """Seconds for our number of resamples, extrapolated, and the interval of the fewer ones."""

    def difference(a: np.ndarray, b: np.ndarray, target: np.ndarray) -> float:
        return spearmanr(a, target).statistic - spearmanr(b, target).statistic

    started = time.perf_counter()
    result = bootstrap(
        (first, second, gold),
        difference,
        paired=True,
        vectorized=False,
        n_resamples=THEIR_REPLICATES,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    seconds = (time.perf_counter() - started) / THEIR_REPLICATES * REPLICATES
    interval = result.confidence_interval
    return seconds, (float(interval.low), float(interval.high))


def main() -> int:
    """Print both times, both intervals, the ratio and the peak memory."""
    gold, origin = gold_scores()
    rng = np.random.default_rng(0)
    first, second = (gold + spread * rng.normal(size=len(gold)) for spread in (1.0, 1.05))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours, found = time_ours(first, second, gold)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    theirs, interval = time_scipy(first, second, gold)
    print(f"{len(gold):,} pairs ({origin}), 2 methods, {REPLICATES:,} resamples")
    print(f"sentence-bench {ours:7.1f} s  {WORKERS} threads, interval {found.ci95}")
    print(f"scipy          {theirs:7.1f} s  from {THEIR_REPLICATES} resamples, {interval}")
    print(f"ratio {theirs / ours:.1f} (target {TARGET:.0f})")
    print(f"peak memory {peak / 1024:.0f} MB, before the resampling {before / 1024:.0f} MB")
    return 0 if theirs / ours >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
