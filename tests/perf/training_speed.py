"""Time SimCSE's local training against ``SentenceTransformerTrainer`` alone, in turns.

    python tests/perf/training_speed.py DATA_FOLDER [TURNS] [STEPS]

Both train the same base on the same sentences with the same loss, batches of 64 and learning rate,
without evaluations; ours in fp32, in the fastest precision that the device has, and with the
transformer compiled. Turn t has seed t. Prints medians, pairs a second, the ratio to the library's
trainer, and Spearman's rho (times 100) on STS-B dev after each training.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)

from bench.api import make_settings
from bench.core.compute import FULL, Precision
from bench.core.spec import parse_method_spec
from bench.execution.environment import machine
from bench.execution.settings import Settings
from bench.method import BuildContext, resolve
from bench.methods.losses.in_batch import InBatchLoss
from bench.methods.simcse import SimCSE
from bench.models.devices import choose_precision
from bench.training.trainer import train
from bench.training.watching import DevEvaluator

DEV = "sts/stsb:dev"
_PEER = "SentenceTransformerTrainer"


@dataclass(frozen=True)
class Work:
    """What every training starts from, at a seed of its own.

    Attributes:
        method: SimCSE with the settings of profile ``local``.
        settings: Those of a run.
        steps: Optimizer steps.
    """

    method: SimCSE
    settings: Settings
    steps: int

    def context(self, seed: int, folder: str, precision: Precision = FULL) -> BuildContext:
        """What a build gets."""
        settings = self.settings
        return BuildContext(
            seed=seed,
            profile=settings.profile,
            device=settings.device,
            workdir=Path(folder),
            data=settings.data,
            models=settings.models,
            progress=settings.progress,
            precision=precision,
        )

    def start(self, ctx: BuildContext) -> tuple[SentenceTransformer, InBatchLoss, list[Any]]:
        """The base, the loss and the rows."""
        rows = self.method.rows(ctx)
        model = self.method.start(ctx)
        return model, self.method.loss(model, rows, ctx), rows


def ours(work: Work, seed: int, precision: Precision, *, compiled: bool) -> tuple[float, Any]:
    """Seconds of our loop, and the model."""
    with tempfile.TemporaryDirectory() as folder:
        ctx = work.context(seed, folder, precision)
        model, loss, rows = work.start(ctx)
        if compiled:
            model[0].model.compile(dynamic=True)
        settings = work.method.train_settings(len(rows))
        settings = replace(settings, max_steps=work.steps, dev_every=0, checkpoint_every=10**6)
        started = time.perf_counter()
        train(model, loss, rows, settings, ctx)
        return time.perf_counter() - started, model


def theirs(work: Work, seed: int) -> tuple[float, Any]:
    """Seconds of the library's trainer as it is, and the model."""
    with tempfile.TemporaryDirectory() as folder:
        model, loss, rows = work.start(work.context(seed, folder))
        whole, model.max_seq_length = model.max_seq_length, work.method.config.max_seq_length
        first, second = zip(*rows, strict=True)
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            max_steps=work.steps,
            per_device_train_batch_size=work.method.config.batch_size,
            learning_rate=work.method.config.lr,
            seed=seed,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=work.settings.device == "cpu",
        )
        data = Dataset.from_dict({"anchor": first, "positive": second})
        started = time.perf_counter()
        trainer = SentenceTransformerTrainer(model, arguments, train_dataset=data, loss=loss)
        trainer.train()
        seconds = time.perf_counter() - started
        model.max_seq_length = whole
        return seconds, model


def spearman(model: Any, work: Work) -> float:
    """Spearman's rho on STS-B dev, times 100."""
    dev = DevEvaluator(work.settings.data.rows(DEV), 64, model.max_seq_length)
    return 100 * float(dev(model)["spearman_cosine"])


def main(data: str, turns: int = 3, steps: int = 128) -> None:
    """Print all timings, their ratios and the scores."""
    settings = make_settings(profile="local", output=tempfile.mkdtemp(), data=data, offline=True)
    method = resolve(SimCSE, parse_method_spec("simcse[dev=false]"), "local")
    work = Work(method, settings, steps)
    half = choose_precision("auto", settings.device, print)
    runs: dict[str, Callable[[int], tuple[float, Any]]] = {
        _PEER: partial(theirs, work),
        FULL: partial(ours, work, precision=FULL, compiled=False),
        f"{FULL} compiled": partial(ours, work, precision=FULL, compiled=True),
    }
    if half != FULL:
        runs[half] = partial(ours, work, precision=half, compiled=False)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    theirs(replace(work, steps=2), 0)
    for turn in range(turns):
        for name, run in runs.items():
            seconds, model = run(seed=turn)
            taken[name].append((seconds, spearman(model, work)))
            print(f"turn {turn + 1} {name}: {seconds:.1f} s, {taken[name][-1][1]:.1f}", flush=True)
    facts = machine(settings.device)
    print(f"{facts['processor']}, {torch.get_num_threads()} threads, {steps} steps of 64 pairs")
    medians = {name: statistics.median(s for s, _ in each) for name, each in taken.items()}
    for name, seconds in medians.items():
        scores = " ".join(f"{score:.1f}" for _, score in taken[name])
        print(
            f"{name:<28} {seconds:6.1f} s  {64 * steps / seconds:6.0f} pairs/s  "
            f"{medians[_PEER] / seconds:5.2f} × the library, "
            f"{seconds / medians[FULL]:5.2f} of fp32's time, STS-B dev {scores}"
        )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
