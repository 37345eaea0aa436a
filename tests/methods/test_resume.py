"""Every method that trains goes on where it was stopped, to the same weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.api import build_method
from bench.data.graded import Graded
from bench.methods import pcc_tuning
from bench.training import trainer
from bench.training.adapter import TrainedMethod
from tests.tiny import tiny_bert

TEXTS = ["a red kettle", "two dogs run", "rain"]
METHODS = {
    "simcse": {"corpus": "{pairs}"},
    "sct": {"corpus": "{pairs}", "queue_size": 8, "sentences": 40},
    "sup-simcse": {"corpus": "{triplets}"},
    "two-tier-simcse": {
        "corpus": "{triplets}",
        "tier1_corpus": "{pairs}",
        "dropout": "curriculum",
    },
    "sct-distill": {
        "corpus": "{pairs}",
        "queue_size": 8,
        "sentences": 40,
        "student": "",
        "teacher": "random",
    },
    "pcc-tuning": {"stage1": ""},
    "matryoshka": {
        "corpus": "{triplets}",
        "dims": "(16,8,4)",
        "dims_per_step": 1,
        "grid": "(16)",
    },
    "matryoshka-2d": {
        "corpus": "{triplets}",
        "base": "{deep}",
        "dims": "(16,8,4)",
        "grid": "(16)",
    },
}


class Stopped(BaseException):
    """Stands for the signal that ends a run."""


@pytest.fixture(autouse=True)
def frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TrainedMethod.train_settings

    def often(method: Any, rows: int) -> trainer.TrainSettings:
        return dataclasses.replace(settings(method, rows), checkpoint_every=2)

    monkeypatch.setattr(TrainedMethod, "train_settings", often)
    pairs = [(f"text {i}", f"the text {i}") for i in range(40)]
    graded = Graded(pairs, [i / 39 for i in range(40)])
    monkeypatch.setattr(pcc_tuning, "load_graded", lambda data: graded)
    monkeypatch.setattr(pcc_tuning, "graded_fingerprint", lambda data: "made up")


def spec(name: str, folder: Path) -> str:
    names = {"pairs": folder / "pairs.tsv", "triplets": folder / "triplets.tsv"}
    names["deep"] = tiny_bert(folder / "deep", layers=3)
    rows = [(f"text {i}", f"the text {i}", f"no text {i}") for i in range(40)]
    names["pairs"].write_text("".join("\t".join(row[:2]) + "\n" for row in rows))
    names["triplets"].write_text("".join("\t".join(row) + "\n" for row in rows))
    options = {"base": tiny_bert(folder / "tiny"), "dev": "false", "batch_size": 8, "lr": 1e-2}
    options |= {key: str(value).format(**names) for key, value in METHODS[name].items()}
    return f"{name}[epochs=1,{','.join(f'{key}={value}' for key, value in options.items())}]"


@pytest.mark.parametrize("name", METHODS)
def test_stopped_and_run_again(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = spec(name, tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "whole"))
    whole, _ = build_method(training)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    compute = trainer._Trainer.compute_loss
    resumed_at: list[int] = []

    def stopping(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step == 3:
            raise Stopped
        return compute(self, *args, **kwargs)

    def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
        resumed_at.append(self.state.global_step)
        return compute(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(trainer._Trainer, "compute_loss", stopping)
        with pytest.raises(Stopped):
            build_method(training)
    monkeypatch.setattr(trainer._Trainer, "compute_loss", noting)
    again, _ = build_method(training)
    assert resumed_at[0] == 2
    np.testing.assert_array_equal(again.encoder.encode(TEXTS), whole.encoder.encode(TEXTS))
