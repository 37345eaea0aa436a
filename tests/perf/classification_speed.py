"""Time the scoring of a large few-shot classification, ours and mteb's, on ready vectors.

    python tests/perf/classification_speed.py

77 classes, 10,000 training and 3,000 test rows, 384 dimensions: the shape of Banking77. Both see
the same vectors and must find the same ten accuracies. The exit code is 0 only then, and where
mteb takes at least twice as long.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import datasets
import mteb
import numpy as np
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta

from bench.suite import ClassificationSpec
from bench.tasks.classification import ClassificationTask

CLASSES, DIM, NOISE = 77, 384, 2.5
ROWS = {"train": 10_000, "test": 3_000}
TARGET = 2.0

Rows = dict[str, list[dict[str, Any]]]


def make() -> tuple[Rows, dict[str, np.ndarray]]:
    """Make rows, and a vector for each text."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(CLASSES, DIM))
    rows: Rows = {}
    vectors: dict[str, np.ndarray] = {}
    for part, n in ROWS.items():
        labels = rng.integers(0, CLASSES, size=n)
        rows[part] = [{"text": f"{part} {i}", "label": int(one)} for i, one in enumerate(labels)]
        points = centres[labels] + NOISE * rng.normal(size=(n, DIM))
        names = [row["text"] for row in rows[part]]
        vectors |= dict(zip(names, points.astype(np.float32), strict=True))
    return rows, vectors


class Ready(AbsEncoder):
    """Ready vectors behind mteb's protocol."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self._vectors = vectors
        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={"name": "test/ready", "revision": "1"}
        )

    def encode(self, inputs: Any, **_: Any) -> np.ndarray:
        return np.stack([self._vectors[text] for batch in inputs for text in batch["text"]])


def time_ours(rows: Rows, vectors: dict[str, np.ndarray]) -> tuple[float, list[float]]:
    """Seconds and the accuracy of each experiment."""
    started = time.perf_counter()
    spec = ClassificationSpec(name="T", kind="classification", data="x", train="y")
    task = ClassificationTask(spec, rows, "mteb")
    ready = {
        name: np.stack([vectors[text] for text in column.texts])
        for name, column in task.texts().items()
    }
    metrics = task.score(ready, 0).metrics
    seconds = time.perf_counter() - started
    return seconds, [metrics[f"accuracy_{i}"] for i in range(spec.experiments)]


def time_mteb(rows: Rows, vectors: dict[str, np.ndarray]) -> tuple[float, list[float]]:
    """Seconds and the accuracy of each experiment."""
    task = mteb.get_task("Banking77Classification")
    task.dataset = datasets.DatasetDict(
        {part: datasets.Dataset.from_list(rows[part]) for part in rows}
    )
    task.data_loaded = True
    started = time.perf_counter()
    result = mteb.evaluate(Ready(vectors), task, cache=None, show_progress_bar=False)
    seconds = time.perf_counter() - started
    scores = result.task_results[0].scores["test"][0]
    return seconds, [one["accuracy"] for one in scores["scores_per_experiment"]]


def main() -> int:
    """Print both times, the ratio, and whether the accuracies agree."""
    rows, vectors = make()
    ours, found = time_ours(rows, vectors)
    theirs, expected = time_mteb(rows, vectors)
    same = found == expected
    print(f"sentence-bench  {ours:6.1f} s  mean accuracy {np.mean(found):.6f}")
    print(f"mteb {mteb.__version__}  {theirs:6.1f} s  mean accuracy {np.mean(expected):.6f}")
    print(
        f"ratio {theirs / ours:.2f} (target {TARGET}), accuracies {'equal' if same else 'DIFFER'}"
    )
    return 0 if same and theirs / ours >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
