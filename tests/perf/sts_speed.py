"""Time sts7 without SICK against ``mteb.evaluate`` on the same rows, model and cores.

    python tests/perf/sts_speed.py DATA_FOLDER [TURNS] [ROWS]

Everything encodes from scratch, in turns: mteb in fp32, and ours in every backend and precision
that this machine has. mteb's real tasks get the rows injected, so that no hub is needed. Prints
medians of the turns, their ratios to mteb, the rate of what the transformer multiplies beside that
of a bare product, and how far scores (times 100) are from mteb's.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import mteb
import torch

from bench.api import make_settings
from bench.core.compute import PACKAGES, Backend, Compute, Precision
from bench.core.fingerprint import versions
from bench.encoding.compute import Conversions
from bench.encoding.encode import Encoded, encode_columns
from bench.execution.environment import machine
from bench.methods.minilm import minilm_folder
from bench.models.checkpoints import load_folder
from bench.models.devices import choose_precision
from bench.suite import load_suite
from bench.tasks.loading import load_tasks

Timed = tuple[float, dict[str, float]]
_PEER = "mteb"
# Multiplications of a token in a layer: 4 of the attention, 8 of the feed-forward network.
_PRODUCTS = 12


def _ours(tasks: list[Any], encoder: Any, compute: Compute, progress: Any) -> tuple[Timed, Encoded]:
    columns = {(t.spec.name, name): c for t in tasks for name, c in t.texts().items()}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        encoded = encode_columns(
            encoder,
            columns,
            model_fingerprint="speed",
            folder=Path(folder),
            progress=progress,
            compute=compute,
        )
        scores = {}
        for task in tasks:
            vectors = {column: encoded.vectors[task.spec.name, column] for column in task.texts()}
            scores[task.spec.name] = task.score(vectors, 0).main
        return (time.perf_counter() - started, scores), encoded


def _theirs(tasks: list[Any], model: Any) -> Timed:
    prepared = []
    for task in tasks:
        target = mteb.get_task(task.spec.name)
        target.dataset = datasets.DatasetDict({"test": datasets.Dataset.from_list(task.rows)})
        target.data_loaded = True
        prepared.append(target)
    started = time.perf_counter()
    result = mteb.evaluate(model, prepared, cache=None, show_progress_bar=False)
    seconds = time.perf_counter() - started
    return seconds, {r.task_name: r.get_score() for r in result.task_results}


def _computes(device: str) -> list[Compute]:
    """What this machine has."""
    known = {backend: "absent" not in versions(PACKAGES[backend]).values() for backend in PACKAGES}
    half = choose_precision("auto", device, print)
    precisions: dict[Backend, list[Precision]] = {
        "torch": ["fp32", half],
        "onnx": ["fp32"],
        "openvino": ["fp32", half],
    }
    made = [Compute(one, each) for one, has in known.items() if has for each in precisions[one]]
    return list(dict.fromkeys(made))


def _bare_rate(rows: int, width: int, dtype: torch.dtype) -> float:
    """Floating-point operations a second of the product of a batch and a layer's largest matrix."""
    a, b = torch.randn(rows, width, dtype=dtype), torch.randn(width, 4 * width, dtype=dtype)
    times = []
    for _ in range(30):
        started = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - started)
    return 2 * rows * width * 4 * width / statistics.median(times)


def main(data: str, turns: int = 5, rows: int | None = None) -> None:
    """Print all timings and their ratios."""
    settings = make_settings(profile="local", output=tempfile.mkdtemp(), data=data, offline=True)
    loaded = load_tasks(load_suite("sts7-mteb"), settings.data, rows)
    tasks = [task for task in loaded if task.spec.name != "SICK-R"]
    model = load_folder(minilm_folder(settings.data), device="cpu")
    runs: dict[str, Callable[[], Timed]] = {_PEER: lambda: _theirs(tasks, model)}
    tokens: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        for compute in _computes("cpu"):
            made = Conversions(
                compute.backend, compute.precision, Path(folder), settings.progress
            ).get(model, "speed")

            def timed(encoder: Any = made.encoder, compute: Compute = compute) -> Timed:
                taken, encoded = _ours(tasks, encoder, compute, settings.progress)
                tokens.append(encoded.tokens or 0)
                return taken

            made.encoder.encode(["warm up"])
            runs[str(made.compute)] = timed
        taken = {name: list[Timed]() for name in runs}
        for turn in range(turns):
            for name, run in runs.items():
                taken[name].append(run())
                print(f"turn {turn + 1} {name}: {taken[name][-1][0]:.1f} s", flush=True)
    _report(taken, model, max(tokens))


def _report(taken: dict[str, list[Timed]], model: Any, tokens: int) -> None:
    config = model[0].model.config
    width, layers = config.hidden_size, config.num_hidden_layers
    work = 2 * _PRODUCTS * width * width * layers * tokens
    rates = [_bare_rate(2048, width, dtype) / 1e9 for dtype in (torch.float32, torch.bfloat16)]
    facts = machine("cpu")
    print(f"{facts['processor']}, {torch.get_num_threads()} threads, mteb {mteb.__version__}")
    print(f"bare product of 2048 × {width} × {4 * width}: ", end="")
    print(f"fp32 {rates[0]:.0f}, bf16 {rates[1]:.0f} GFLOP/s")
    medians = {name: statistics.median(s for s, _ in each) for name, each in taken.items()}
    peer_scores = taken[_PEER][0][1]
    for name, seconds in medians.items():
        scores = taken[name][0][1]
        gap = max(100 * abs(scores[task] - score) for task, score in peer_scores.items())
        rate = "" if name == _PEER else f"{work / seconds / 1e9:6.0f} GFLOP/s"
        print(
            f"{name:<14} {seconds:7.1f} s  {medians[_PEER] / seconds:5.2f} × mteb  {rate:>14}  "
            f"largest difference of a score {gap:.5f}"
        )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
