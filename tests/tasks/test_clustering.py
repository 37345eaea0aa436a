"""The clustering kind: k-means by five seeds, scored and resampled."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import v_measure_score

import bench
from bench.core.errors import CellError
from bench.suite import ClusteringSpec, Convention
from bench.tasks.clustering import ClusteringTask
from bench.tasks.kinds import KINDS

SPEC = ClusteringSpec(name="T", kind="clustering", data="x")


def task(labels: Sequence[object], convention: Convention = "senteval") -> ClusteringTask:
    rows = [{"text": f"t{i}", "label": label} for i, label in enumerate(labels)]
    return ClusteringTask(SPEC, {"test": rows}, convention)


def blobs(labels: Sequence[int], spread: float) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    centres = 10 * np.eye(8)
    noise = rng.normal(scale=spread, size=(len(labels), 8))
    return {"text": (centres[list(labels)] + noise).astype(np.float32)}


def test_clear_clusters_are_found_and_noise_is_not() -> None:
    labels = [0, 1, 2] * 40
    clear = task(labels).score(blobs(labels, 0.1), 0)
    assert clear.metric == "V-measure"
    assert clear.main == pytest.approx(1)
    assert clear.items is not None
    assert set(clear.items["value"].tolist()) == {1.0}
    noise = task(labels).score({"text": blobs([0] * 120, 1)["text"]}, 0)
    assert noise.main < 0.2


def test_the_main_score_is_the_mean_over_five_seeds() -> None:
    labels = [0, 1, 2, 3] * 20
    found = task(labels).score(blobs(labels, 4), 0)
    assert found.items is not None
    clusters = found.items["clusters"]
    assert clusters.shape == (80, 5)
    by_seed = [v_measure_score(labels, column) for column in clusters.T]
    assert [found.metrics[f"v_measure_{i}"] for i in range(5)] == pytest.approx(by_seed)
    assert len(set(by_seed)) > 1
    assert found.main == found.metrics["v_measure"] == pytest.approx(np.mean(by_seed))


def test_replicates_surround_the_score_and_are_paired() -> None:
    labels = [0, 1, 2, 3] * 50
    one = task(labels).score(blobs(labels, 3), 7)
    assert one.replicates is not None
    low, high = np.quantile(one.replicates, [0.025, 0.975])
    # Few items in a cell look more alike than they are, so resamples lie a little higher.
    assert low < one.main < high + 0.05
    assert 0.01 < high - low < 0.3
    again = task(labels).score(blobs(labels, 3), 7)
    assert np.array_equal(one.replicates, again.replicates)


def test_labels_may_be_anything() -> None:
    numbers = [0, 1] * 20
    mixed = [("1", 1)[i] for i in numbers]
    vectors = blobs(numbers, 0.1)
    assert task(mixed).score(vectors, 0).main == pytest.approx(1)


def test_constant_vectors_make_one_cluster() -> None:
    found = task([0, 1] * 10).score({"text": np.ones((20, 4), np.float32)}, 0)
    assert found.main == 0
    assert found.metrics["completeness"] == 1


def test_what_cannot_be_clustered() -> None:
    with pytest.raises(CellError, match="all rows have the same label"):
        task([1, 1, 1])
    with pytest.raises(CellError, match="does not follow MTEB's protocol"):
        task([0, 1], "mteb")


def test_a_new_task_is_toml_alone(tmp_path: Path) -> None:
    assert KINDS["clustering"] is ClusteringTask
    lines = [f'{{"text": "{"ab"[i % 2] * 9}{i}", "label": {i % 2}}}' for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "own.toml").write_text(
        'name = "own"\ntitle = "Own"\nconvention = "senteval"\naverage = ["C"]\n'
        '[[tasks]]\nname = "C"\nkind = "clustering"\ndata = { file = "rows.jsonl" }\n'
    )
    result = bench.run(str(tmp_path / "own.toml"), ["random"], output=tmp_path / "out")
    (record,) = result.records()
    entry = record.tasks["C"]
    assert (entry.metric, entry.items) == ("V-measure", 40)
    assert entry.ci95 is not None
    assert record.average_ci95 is not None
    assert record.geometry["C"].texts == 40
