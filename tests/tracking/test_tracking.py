"""What trackers have of a run is what its record has, and no tracker can cost a cell."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench.core.errors import UsageError
from bench.core.progress import Silent
from bench.records.entries import Record
from bench.records.files import find_records, read_record
from bench.tracking.trackers import TensorBoard, Tracker
from bench.tracking.tracking import Tracking, scores_of
from tests.support.suites import Bench, write_suite


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TENSORBOARD_LOGGING_DIR", "MLFLOW_TRACKING_URI", "WANDB_DIR", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    # Read when the package is imported, which one test does.
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))


def run(bench: Bench, base: Path, folder: Path, tracker: str, *more: str) -> tuple[int, str, str]:
    suite = write_suite(folder)
    method = f"simcse[base={base},max_steps=3]"
    options = ("--suite", str(suite), "--profile", "smoke", "--methods", method)
    return bench("run", *options, "--report-to", tracker, *more)


def records(folder: Path) -> dict[str, Record]:
    """Records by the name that trackers have for them; what trackers keep is none."""
    return {
        f"{path.parent.name}/{path.stem}": read_record(path)
        for path in find_records([folder / "results" / "runs"])
    }


def trained(found: Mapping[str, Record]) -> tuple[str, Record]:
    ((name, record),) = [one for one in found.items() if one[1].method.trained]
    return name, record


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(one.step, one.value) for one in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_tensorboard_has_curves_and_scores(bench: Bench, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra track")
    code, _, err = run(bench, base, tmp_path, "tensorboard")
    assert code == 0, err
    root = tmp_path / "results" / "runs" / "tracking" / "tensorboard"
    assert f"tensorboard --logdir {root}" in err
    found = records(tmp_path)
    for name, record in found.items():
        told = scalars(root / "scores" / name)
        assert {tag: [(0, pytest.approx(v))] for tag, v in scores_of(record).items()} == told
    name, record = trained(found)
    (curves,) = (root / "training").iterdir()
    assert record.model_fingerprint[:8] in curves.name
    steps = record.training["steps"]
    told = scalars(curves)
    assert told["train/loss"][-1] == (steps, pytest.approx(record.training["final_loss"]))
    assert "train/learning_rate" in told


@pytest.mark.nightly
def test_scores_of_a_model_from_the_cache_are_told_and_each_once(
    bench: Bench, base: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra track")
    assert run(bench, base, tmp_path, "tensorboard")[0] == 0
    root = tmp_path / "results" / "runs" / "tracking" / "tensorboard"
    trainings = len([*(root / "training").rglob("*tfevents*")])
    scores = len([*(root / "scores").rglob("*tfevents*")])
    assert run(bench, base, tmp_path, "tensorboard")[0] == 0
    assert len([*(root / "scores").rglob("*tfevents*")]) == scores
    # Scored again, by the model that is kept.
    assert run(bench, base, tmp_path, "tensorboard", "--rerun", "all")[0] == 0
    assert len([*(root / "scores").rglob("*tfevents*")]) == 2 * scores
    assert len([*(root / "training").rglob("*tfevents*")]) == trainings == 1


@pytest.mark.nightly
def test_mlflow_has_curves_and_scores(bench: Bench, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="needs the extra track")
    mlflow = pytest.importorskip("mlflow", reason="needs the extra track")
    code, _, err = run(bench, base, tmp_path, "mlflow")
    assert code == 0, err
    client = mlflow.MlflowClient(
        f"sqlite:///{tmp_path / 'results' / 'runs' / 'tracking' / 'mlflow.db'}"
    )
    experiment = client.get_experiment_by_name("sentence-bench")
    runs = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    found = records(tmp_path)
    for name, record in found.items():
        assert runs[name].data.metrics == scores_of(record)
        assert runs[name].data.tags["spec"] == record.method.spec
        assert runs[name].data.tags["seed"] == str(record.seed)
    (training,) = [one for one in runs.values() if one.data.tags["kind"] == "training"]
    _, record = trained(found)
    assert training.data.metrics["loss"] == pytest.approx(record.training["final_loss"])
    assert training.info.status == "FINISHED"


def test_trackio_has_curves_and_scores(bench: Bench, base: Path, tmp_path: Path) -> None:
    trackio = pytest.importorskip("trackio", reason="needs the extra track")
    code, out, err = run(bench, base, tmp_path, "trackio")
    assert code == 0, err
    assert "Trackio" not in out
    from trackio.sqlite_storage import SQLiteStorage

    def told_of(name: str) -> list[dict[str, Any]]:
        logs: list[dict[str, Any]] = SQLiteStorage.get_logs("sentence-bench", name)
        return logs

    runs = {one.name: one for one in trackio.Api().runs("sentence-bench")}
    found = records(tmp_path)
    for name, record in found.items():
        assert runs[name].config["spec"] == record.method.spec
        told = told_of(name)[-1]
        assert {tag: told[tag] for tag in scores_of(record)} == scores_of(record)
    (name,) = runs.keys() - found.keys()
    _, record = trained(found)
    losses = [one["train/loss"] for one in told_of(name) if "train/loss" in one]
    assert losses[-1] == pytest.approx(record.training["final_loss"])


def wandb_records(path: Path) -> list[Any]:
    """Messages of an offline run, whose file is a log of LevelDB behind seven bytes."""
    from wandb.proto import wandb_internal_pb2

    content, place, found, part = path.read_bytes(), 7, [], b""
    while place + 7 <= len(content):
        left = 32_768 - place % 32_768
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        part += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            found.append(wandb_internal_pb2.Record.FromString(part))
            part = b""
    return found


@pytest.mark.nightly
def test_wandb_has_curves_and_scores(bench: Bench, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="needs the extra track")
    code, _, err = run(bench, base, tmp_path, "wandb")
    assert code == 0, err
    runs = {}
    for path in tmp_path.rglob("offline-run-*/*.wandb"):
        messages = wandb_records(path)
        (name,) = {one.run.display_name for one in messages if one.HasField("run")}
        runs[name] = {
            item.key or "/".join(item.nested_key): json.loads(item.value_json)
            for one in messages
            if one.HasField("history")
            for item in one.history.item
        }
    found = records(tmp_path)
    for name, record in found.items():
        assert {tag: runs[name][tag] for tag in scores_of(record)} == scores_of(record)
    (name,) = runs.keys() - found.keys()
    _, record = trained(found)
    assert runs[name]["train/loss"] == pytest.approx(record.training["final_loss"])


class Recording(Tracker):
    """A tracker that remembers, draws from all dice, prints, and breaks where it is told to."""

    name, package = "recording", "json"
    told: ClassVar[list[str]] = []
    breaks_at: ClassVar[str | None] = None

    @property
    def where(self) -> str:
        return "here"

    def _tell(self, what: str) -> None:
        import random

        import numpy as np
        import torch

        random.random(), np.random.random(), torch.rand(1)
        print("a line of a tracker")
        if self.breaks_at == what:
            raise OSError(28, "No space left on device")
        self.told.append(what)

    def begin_training(self, run):
        from transformers import TrainerCallback

        tracker = self
        self._tell("begin")

        class Callback(TrainerCallback):
            def on_log(self, args, state, control, logs=None, **kwargs):
                tracker._tell("log")

        return Callback()

    def end_training(self, *, broken):
        self._tell("end")

    def scores(self, run, scores):
        self._tell("scores")


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> type[Recording]:
    monkeypatch.setattr("bench.tracking.tracking.TRACKERS", {"recording": Recording})
    monkeypatch.setattr(Recording, "told", [])
    monkeypatch.setattr(Recording, "breaks_at", None)
    return Recording


@pytest.mark.parametrize("where", ["begin", "log", "end", "scores"])
def test_a_tracker_that_breaks_costs_one_line_and_is_told_later(
    bench: Bench, base: Path, tmp_path: Path, recording: type[Recording], where: str
) -> None:
    recording.breaks_at = where
    code, out, err = run(bench, base, tmp_path, "recording")
    assert code == 0, err
    assert "a line of a tracker" not in out
    assert err.count("tracker recording broke at") == 1
    assert "No space left on device" in err
    found = records(tmp_path)
    assert trained(found)
    recording.breaks_at, recording.told = None, []
    assert run(bench, base, tmp_path, "recording")[0] == 0
    assert "scores" in recording.told
    assert set(recording.told) == {"scores"}


def test_a_tracker_changes_no_training(
    bench: Bench, base: Path, tmp_path: Path, recording: type[Recording]
) -> None:
    from transformers import trainer

    before = trainer.DEFAULT_CALLBACKS
    assert run(bench, base, tmp_path, "recording")[0] == 0
    assert {"begin", "log", "end", "scores"} <= set(recording.told)
    assert trainer.DEFAULT_CALLBACKS is before
    _, with_tracker = trained(records(tmp_path))
    bench("cache", "clear")
    method = f"simcse[base={base},max_steps=3]"
    options = ("--suite", str(tmp_path / "small.toml"), "--profile", "smoke", "--rerun", "all")
    assert bench("run", *options, "--methods", method)[0] == 0
    _, without = trained(records(tmp_path))
    assert with_tracker.training["final_loss"] == without.training["final_loss"]
    assert with_tracker.tasks == without.tasks


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tensorbord", "unknown tracker 'tensorbord'; did you mean 'tensorboard'?"),
        ("neptune", "unknown tracker 'neptune'; choose tensorboard, trackio, wandb, mlflow"),
    ],
)
def test_an_unknown_tracker_is_refused_before_all_else(
    bench: Bench, base: Path, tmp_path: Path, name: str, said: str
) -> None:
    code, out, err = run(bench, base, tmp_path, name)
    assert (code, out) == (2, "")
    assert err.strip() == f"bench: {said}"


def test_a_missing_package_is_told_with_its_command(
    bench: Bench, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.tracking.tracking.find_spec", lambda name: None)
    code, out, err = run(bench, base, tmp_path, "mlflow")
    assert (code, out) == (2, "")
    assert err.strip() == (
        "bench: tracker mlflow needs the package mlflow; pip install 'sentence-bench[track]'"
    )


def test_a_tracker_that_cannot_begin_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(self: Tracker) -> None:
        raise ConnectionError("nobody answers\nat all")

    monkeypatch.setattr(TensorBoard, "prepare", prepare)
    tracking = Tracking(["tensorboard"], tmp_path)
    with pytest.raises(UsageError, match="tracker tensorboard cannot be used: nobody answers;"):
        tracking.begin()


def test_other_processes_report_their_trainings(
    bench: Bench, base: Path, tmp_path: Path, recording: type[Recording]
) -> None:
    from bench.execution.settings import make_settings
    from bench.jobs.job import Request

    settings = make_settings(profile="smoke", output=tmp_path, report_to="recording")
    request = Request.load(json.loads(json.dumps(Request.of([], settings, None).dump())))
    assert [*request.report_to] == ["recording"]
    assert settings.tracking.folder == tmp_path / "tracking"


def test_workers_without_the_folder_are_refused_what_is_kept_there(
    tmp_path: Path, recording: type[Recording]
) -> None:
    from types import SimpleNamespace
    from typing import cast

    from bench.execution.settings import make_settings
    from bench.jobs.executor import PlannedRun
    from bench.jobs.job import Request
    from bench.jobs.schedule import run_jobs

    settings = make_settings(profile="smoke", output=tmp_path, report_to="recording")
    planned = PlannedRun([], settings, Request.of([], settings, None))
    apart = cast("Any", SimpleNamespace(shares_folders=False))
    with pytest.raises(UsageError, match="--report-to recording would keep the curves"):
        run_jobs(planned, apart)


@pytest.mark.nightly
def test_processes_report_their_trainings(bench: Bench, base: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra track")
    more = ("--executor", "processes[jobs=2]")
    code, _, err = run(bench, base, tmp_path, "tensorboard", *more)
    assert code == 0, err
    root = tmp_path / "results" / "runs" / "tracking" / "tensorboard"
    (curves,) = (root / "training").iterdir()
    assert "train/loss" in scalars(curves)
    assert {f"small/{one.name}" for one in (root / "scores" / "small").iterdir()} == {
        *records(tmp_path)
    }


@pytest.mark.nightly
def test_a_training_in_several_processes_is_reported_once(
    bench: Bench, base: Path, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra track")
    code, _, err = run(bench, base, tmp_path, "tensorboard", "--processes", "2")
    assert code == 0, err
    root = tmp_path / "results" / "runs" / "tracking" / "tensorboard"
    (events,) = (root / "training").rglob("*tfevents*")
    assert "train/loss" in scalars(events.parent)


def test_nothing_is_asked_for_and_nothing_is_made(tmp_path: Path) -> None:
    tracking = Tracking.asked_for((), tmp_path, offline=True, progress=Silent())
    tracking.begin()
    with tracking.trainings("any", {}):
        pass
    assert not [*tmp_path.iterdir()]
