"""Every method that trains goes on where it was stopped, to the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.api import build_method
from bench.data.graded import Graded, GradedPairs
from tests.support.models import tiny_bert
from tests.support.stopping import frequent_checkpoints, stopped_and_run_again

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


@pytest.fixture(autouse=True)
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    frequent_checkpoints(monkeypatch)
    pairs = [(f"text {i}", f"the text {i}") for i in range(40)]
    graded = Graded(pairs, [i / 39 for i in range(40)])
    monkeypatch.setattr(GradedPairs, "load", lambda self, data: graded)
    monkeypatch.setattr(GradedPairs, "fingerprint", lambda self, data: "made up")


def spec(name: str, folder: Path) -> str:
    names = {"pairs": folder / "pairs.tsv", "triplets": folder / "triplets.tsv"}
    names["deep"] = tiny_bert(folder / "deep", layers=3)
    rows = [(f"text {i}", f"the text {i}", f"no text {i}") for i in range(40)]
    names["pairs"].write_text("".join("\t".join(row[:2]) + "\n" for row in rows))
    names["triplets"].write_text("".join("\t".join(row) + "\n" for row in rows))
    options = {"base": tiny_bert(folder / "tiny"), "dev": "false", "batch_size": 8, "lr": 1e-2}
    options |= {key: str(value).format(**names) for key, value in METHODS[name].items()}
    return f"{name}[epochs=1,{','.join(f'{key}={value}' for key, value in options.items())}]"


# The trainer is one for all; each method's own state is looked at by night.
@pytest.mark.nightly
@pytest.mark.parametrize(
    "name",
    [name if name == "sct" else pytest.param(name, marks=pytest.mark.nightly) for name in METHODS],
)
def test_stopped_and_run_again(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    training = spec(name, tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "whole"))
    whole, _ = build_method(training)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "stopped"))
    again, _ = stopped_and_run_again(lambda: build_method(training), monkeypatch)
    np.testing.assert_array_equal(again.encoder.encode(TEXTS), whole.encoder.encode(TEXTS))
