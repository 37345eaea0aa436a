"""Trainings in several processes: as in one, and one line when a process fails or is killed."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback

from bench import api
from bench.core import registry
from bench.core.errors import UsageError
from bench.method import BuildContext
from bench.methods.codiemb import CoDiEmb
from bench.methods.sct import SCT
from bench.methods.simcse import SimCSE
from bench.models.processes import can_share, check_processes, dump_method, restore_method
from bench.training import trainer
from bench.training.batches import EpochSampler, GivenBatches
from bench.training.ranks import check_shares, is_first
from tests.support.models import tiny_bert
from tests.support.suites import Bench, write_suite

ROOT = Path(__file__).parents[2]
# Batches of 8, 8 and 5 rows.
ROWS = "corpus=pydoc,sentences=21,batch_size=8,epochs=2,dev=false,head=true,lr=0.1"
KILLED_AT = 4


class Frequent(SimCSE):
    """Keeps a checkpoint every second step.

    With this epsilon steps follow the gradients; else rounding of tiny ones would decide.
    """

    info = dataclasses.replace(SimCSE.info, name="frequent")

    def train_settings(self, rows: int) -> trainer.TrainSettings:
        return dataclasses.replace(
            super().train_settings(rows), checkpoint_every=2, adam_epsilon=1.0
        )


class KilledOnce(Frequent):
    """Its second process is killed, as out of memory, unless the flag file is there."""

    class Config(SimCSE.Config):
        flag: Path

    config: Config

    def callbacks(self, model: SentenceTransformer, ctx: BuildContext) -> list[TrainerCallback]:
        return [_Killer(self.config.flag)]


class _Killer(TrainerCallback):
    def __init__(self, flag: Path) -> None:
        self._flag = flag
        self._first: int | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._first is None and is_first():
            with self._flag.with_suffix(".starts").open("a") as stream:
                stream.write(f"{state.global_step} {os.getpid()} {os.getppid()}\n")
        self._first = state.global_step if self._first is None else self._first
        if state.global_step == KILLED_AT - 1 and not is_first() and not self._flag.exists():
            self._flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the methods of this file, which other processes find by the path."""
    entries = registry._entries(registry.METHODS)
    for cls in (Frequent, KilledOnce):
        entry = EntryPoint(cls.__name__, f"{__name__}:{cls.__name__}", registry.METHODS)
        monkeypatch.setitem(entries, cls.__name__, [entry])
    # Only the tests go on the path: the checkout's bench would hide the installed one.
    path = tmp_path / "path"
    path.mkdir()
    (path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.setenv("PYTHONPATH", str(path))


def base(folder: Path, dropout: float = 0.0) -> Path:
    """A tiny BERT with a dropout."""
    path = tiny_bert(folder) / "config.json"
    config = json.loads(path.read_text())
    rates = dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob"), dropout)
    path.write_text(json.dumps({**config, **rates}))
    return folder


@pytest.fixture
def weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, torch.Tensor]]:
    """Train a method in a cache of its own and return the weights."""

    def train(spec: str, processes: int) -> dict[str, torch.Tensor]:
        monkeypatch.setenv("BENCH_CACHE", str(tmp_path / f"cache-{processes}"))
        built, _ = api.build_method(spec, profile="smoke", processes=processes)
        assert isinstance(built.encoder, SentenceTransformer)
        assert built.training is not None and built.training["steps"] == 6
        return {name: value.clone() for name, value in built.encoder.state_dict().items()}

    return train


@pytest.mark.slow
@pytest.mark.usefixtures("stubs")
def test_two_processes_equal_one(
    tmp_path: Path, weights: Callable[..., dict[str, torch.Tensor]]
) -> None:
    spec = f"Frequent[base={base(tmp_path / 'tiny')},dropout=0,{ROWS}]"
    one, two = weights(spec, 1), weights(spec, 2)
    start = SentenceTransformer(str(tmp_path / "tiny")).state_dict()
    moved = max(float((one[name] - start[name]).abs().max()) for name in one)
    torch.testing.assert_close(two, one, atol=moved / 10_000, rtol=0)
    assert moved > 1e-3


def lives(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.usefixtures("stubs")
def test_a_killed_process_is_one_line_and_the_next_run_goes_on(
    bench: Bench, tmp_path: Path
) -> None:
    flag, models = tmp_path / "flag", tmp_path / "cache/models"
    spec = f"KilledOnce[base={base(tmp_path / 'tiny', 0.1)},flag={flag},{ROWS}]"
    suite = write_suite(tmp_path)
    command = ["run", "--suite", suite, "--profile", "smoke", "--processes", "2", "-m", spec]
    code, _, err = bench(*command)
    assert code == 3
    (line,) = [line for line in err.splitlines() if line.startswith("bench: ")]
    assert "process 1 of the training was ended by SIGKILL" in line
    assert "run the same command to go on from the last checkpoint" in line
    assert "Traceback" not in err and "torch" not in err
    starts = flag.with_suffix(".starts")
    step, *pids = map(int, starts.read_text().split())
    assert step == 0 and not any(map(lives, pids))

    code, _, err = bench(*command)
    assert code == 0 and err.count("  train: 6") == 1
    assert starts.read_text().splitlines()[1].startswith("2 ")
    (resumed,) = models.glob("*/model.safetensors")
    content = resumed.read_bytes()
    assert not list((tmp_path / "cache/work").iterdir())
    shutil.rmtree(tmp_path / "cache")
    assert bench(*command, "--rerun", "all")[0] == 0
    assert starts.read_text().splitlines()[2].startswith("0 ")
    assert resumed.read_bytes() == content


@pytest.mark.slow
@pytest.mark.usefixtures("stubs")
def test_an_error_of_the_user_is_one_line(bench: Bench, tmp_path: Path) -> None:
    spec = f"Frequent[base={base(tmp_path / 'tiny')},dropout=0,{ROWS.replace('size=8', 'size=9')}]"
    suite = write_suite(tmp_path)
    code, _, err = bench(
        "run", "--suite", suite, "--profile", "smoke", "--processes", "2", "-m", spec
    )
    (line,) = [line for line in err.splitlines() if line.startswith("bench: ")]
    assert code == 3 and "batch_size 9 does not divide into 2 processes" in line
    assert "Traceback" not in err and "checkpoint" not in line


def batches_of(sampler: Any) -> list[list[int]]:
    """Batches of the second epoch."""
    sampler.set_epoch(1)
    return list(sampler)


@pytest.mark.parametrize("given", [False, True])
def test_batches_of_two_are_the_halves_of_those_of_one(
    monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    rows = Dataset.from_dict({"text": [str(i) for i in range(21)]})

    def batches(rank: int, world: int) -> list[list[int]]:
        monkeypatch.setattr("bench.training.ranks.rank_and_world_size", lambda: (rank, world))
        settings: dict[str, Any] = {
            "batch_size": 8,
            "drop_last": False,
            "seed": 3,
            "generator": None,
        }
        if not given:
            return batches_of(EpochSampler(rows, **settings))
        own = lambda seed, epoch: [[epoch, 2, 3], [4, 5, 6, seed]]  # noqa: E731
        return batches_of(GivenBatches(own, rows, **settings))

    whole = batches(0, 1)
    first, second = batches(0, 2), batches(1, 2)
    assert len(first) == len(second) == len(whole)
    assert [a + b for a, b in zip(first, second, strict=True)] == whole
    assert all(abs(len(a) - len(b)) <= 1 for a, b in zip(first, second, strict=True))
    assert [len(batch) for batch in whole] == ([3, 4] if given else [8, 8, 5])


@pytest.mark.parametrize(
    ("size", "fewest", "message"),
    [(9, 9, "batch_size 9 does not divide"), (8, 1, "a batch of 1 rows is too small")],
)
def test_batches_that_cannot_be_shared_are_refused(
    monkeypatch: pytest.MonkeyPatch, size: int, fewest: int, message: str
) -> None:
    check_shares(size, fewest)
    monkeypatch.setattr("bench.training.ranks.rank_and_world_size", lambda: (0, 2))
    with pytest.raises(UsageError, match=message):
        check_shares(size, fewest)
    check_shares(8, 2)


@pytest.mark.parametrize(
    ("rows", "max_steps", "smallest"),
    [(17, -1, 1), (17, 3, 1), (17, 2, 8), (16, -1, 8), (5, -1, 5), (5, 9, 5)],
)
def test_the_smallest_batch_is_the_last_one_if_the_training_gets_there(
    rows: int, max_steps: int, smallest: int
) -> None:
    settings = trainer.TrainSettings(
        lr=1, epochs=1, batch_size=8, max_seq_length=8, max_steps=max_steps
    )
    assert settings.smallest_batch(rows) == smallest


def test_a_method_is_made_anew_with_its_settings() -> None:
    method = SimCSE(SimCSE.Config(lr=0.5, head=False), None, "smoke")
    again = restore_method(json.loads(json.dumps(dump_method(method))))
    assert type(again) is SimCSE
    assert (again.config, again.checkpoint, again.profile) == (method.config, None, "smoke")


def test_only_methods_whose_loss_gathers_share_a_training() -> None:
    assert can_share(SimCSE(SimCSE.Config()))
    assert not can_share(SimCSE(SimCSE.Config(), "folder"))
    assert not can_share(SCT(SCT.Config()))
    assert can_share(CoDiEmb(CoDiEmb.Config()))


@pytest.mark.parametrize(("processes", "device"), [(0, "cpu"), (2, "cuda:1"), (2, "mps")])
def test_numbers_of_processes_that_cannot_be(processes: int, device: str) -> None:
    with pytest.raises(UsageError, match="process"):
        check_processes(processes, device)
    check_processes(1, "mps")
