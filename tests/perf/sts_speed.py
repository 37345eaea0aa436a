"""Time sts7 without SICK against ``mteb.evaluate`` on the same rows, model and cores.

    python tests/perf/sts_speed.py DATA_FOLDER

Both encode from scratch in fp32. mteb's real tasks get the rows injected, so that no hub is
needed. Prints seconds, texts encoded, scores, and the ratio.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets
import mteb

from bench.api import make_settings
from bench.encoding.encode import encode_columns
from bench.methods.minilm import minilm_folder
from bench.models.checkpoints import load_folder
from bench.suite import load_suite
from bench.tasks.loading import load_tasks


def _timed_bench(tasks: list[Any], model: Any, settings: Any) -> tuple[float, dict[str, float]]:
    columns = {(t.spec.name, name): c for t in tasks for name, c in t.texts().items()}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        encoded = encode_columns(
            model,
            columns,
            model_fingerprint="speed",
            folder=Path(folder),
            progress=settings.progress,
        )
        scores = {}
        for task in tasks:
            vectors = {column: encoded.vectors[task.spec.name, column] for column in task.texts()}
            scores[task.spec.name] = task.score(vectors, 0).main
        seconds = time.perf_counter() - started
    print(f"bench: {encoded.texts} texts, {encoded.encoded} encoded, {encoded.tokens} tokens")
    return seconds, scores


def _timed_mteb(tasks: list[Any], model: Any) -> tuple[float, dict[str, float]]:
    prepared, texts = [], 0
    for task in tasks:
        target = mteb.get_task(task.spec.name)
        target.dataset = datasets.DatasetDict({"test": datasets.Dataset.from_list(task.rows)})
        target.data_loaded = True
        prepared.append(target)
        texts += 2 * len(task.rows)
    started = time.perf_counter()
    result = mteb.evaluate(model, prepared, cache=None, show_progress_bar=False)
    seconds = time.perf_counter() - started
    print(f"mteb:  {texts} texts, {texts} encoded")
    return seconds, {r.task_name: r.get_score() for r in result.task_results}


def main(data: str) -> None:
    """Print both timings and their ratio."""
    settings = make_settings(profile="local", output=tempfile.mkdtemp(), data=data, offline=True)
    suite = load_suite("sts7-mteb")
    tasks = [t for t in load_tasks(suite, settings.data) if t.spec.name != "SICK-R"]
    model = load_folder(minilm_folder(settings.data), device="cpu")
    model.encode(["warm up"])
    ours, our_scores = _timed_bench(tasks, model, settings)
    theirs, their_scores = _timed_mteb(tasks, model)
    for name, score in our_scores.items():
        print(f"{name:<14} bench {score:.6f}  mteb {their_scores[name]:.6f}")
    print(f"bench {ours:.1f} s, mteb {mteb.__version__} {theirs:.1f} s, ratio {theirs / ours:.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
