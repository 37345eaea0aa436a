"""Costs that the harness adds to every cell; compare them over commits with pytest-benchmark."""

from __future__ import annotations

import numpy as np

from bench.core.spec import split_list
from bench.stats.bootstrap import resample_counts, spearman_replicates
from bench.tasks.probes import protocols
from bench.tasks.probes.base import ProbeRows
from bench.tasks.probes.logistic import Logistic


def test_bootstrap_of_one_task(benchmark) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1379))
    counts = resample_counts(1379, rng)
    replicates = benchmark(spearman_replicates, x, y, counts)
    assert replicates.shape == (1000,)


def test_splitting_a_long_list(benchmark) -> None:
    text = ",".join(f"sct[queue_size={i},lr=1e-4]" for i in range(200))
    assert len(benchmark(split_list, text)) == 200


def test_nested_folds_of_few_wide_rows(benchmark) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(240) % 3
    rows = ProbeRows(rng.normal(size=(3, 1536))[y] + 5 * rng.normal(size=(240, 1536)), y)
    predicted, _ = benchmark(protocols.nested_folds, rows, Logistic(), 5)
    assert np.mean(predicted == y) > 0.8
