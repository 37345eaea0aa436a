"""The trackers: how each is told of a training and of scores, and where it keeps them."""

from __future__ import annotations

import logging
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bench.core.errors import UsageError

if TYPE_CHECKING:
    from transformers import TrainerCallback

PROJECT = "sentence-bench"
Facts = Mapping[str, str | int | float | bool | None]
# Other characters in the name of a metric are refused.
_REFUSED = re.compile(r"[^0-9A-Za-z_\-. :/]")


@dataclass(frozen=True)
class TrackedRun:
    """A training, or the scores of a cell, as trackers have it.

    Attributes:
        kind: Which of them.
        name: What it is called.
        facts: What else is said of it.
    """

    kind: Literal["training", "scores"]
    name: str
    facts: Facts


class Tracker(ABC):
    """A tracker. What it raises is for whoever calls it to bear.

    Args:
        folder: Folder for what it keeps, unless its own variables name another place.
        offline: Whether the network may not be used.

    Attributes:
        name: What users call it.
        package: What it needs.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    _project_variable: ClassVar[str] = ""

    def __init__(self, folder: Path, offline: bool) -> None:
        self._folder = folder.absolute()
        self._offline = offline

    @property
    def project(self) -> str:
        """What its runs belong to."""
        return os.environ.get(self._project_variable) or PROJECT

    @property
    @abstractmethod
    def where(self) -> str:
        """Where it keeps what it is told, and how that is looked at."""

    @property
    def local(self) -> bool:
        """Whether it keeps that on the machine that tells it."""
        return True

    def prepare(self) -> None:  # noqa: B027 - most have nothing to make
        """Make ready what processes would make at the same time."""

    @abstractmethod
    def begin_training(self, run: TrackedRun) -> TrainerCallback:
        """Begin the run of a training, and say what reports it."""

    @abstractmethod
    def end_training(self, *, broken: bool) -> None:
        """End it.

        Args:
            broken: Whether the training broke off.
        """

    @abstractmethod
    def scores(self, run: TrackedRun, scores: Mapping[str, float]) -> None:
        """Take the scores of a cell, as a run of their own."""


def _callback(name: str, *arguments: Any) -> TrainerCallback:
    """The callback that transformers has for a tracker."""
    from transformers import integrations

    # transformers does not annotate it.
    library: Any = integrations
    (kind,) = library.get_reporting_integration_callbacks([name])
    callback: TrainerCallback = kind(*arguments)
    return callback


class TensorBoard(Tracker):
    """TensorBoard: a folder a run."""

    name, package = "tensorboard", "tensorboard"

    @property
    def where(self) -> str:
        """Where it keeps what it is told, and how that is looked at."""
        return f"tensorboard --logdir {self._root}"

    @property
    def _root(self) -> Path:
        named = os.environ.get("TENSORBOARD_LOGGING_DIR")
        return Path(named).expanduser() if named else self._folder / self.name

    def begin_training(self, run: TrackedRun) -> TrainerCallback:
        """Begin the run of a training, and say what reports it."""
        return _callback(self.name, self._writer(run))

    def end_training(self, *, broken: bool) -> None:
        """End it: the callback has, and what was written before is whole."""

    def scores(self, run: TrackedRun, scores: Mapping[str, float]) -> None:
        """Take the scores of a cell; the text beside them has all digits, curves have 32 bits."""
        writer = self._writer(run)
        try:
            for name, value in scores.items():
                writer.add_scalar(name, value)
            lines = [f"| {name} | {value!r} |" for name, value in scores.items()]
            writer.add_text("scores", "\n".join(["| score | value |", "| --- | --- |", *lines]))
            # A full disk is heard of here.
            writer.flush()
        finally:
            writer.close()

    def _writer(self, run: TrackedRun) -> Any:
        from torch.utils import tensorboard

        # torch does not annotate it.
        library: Any = tensorboard
        writer = library.SummaryWriter(str(self._root / run.kind / run.name))
        lines = [f"| {name} | {value} |" for name, value in run.facts.items()]
        writer.add_text("run", "\n".join(["| fact | value |", "| --- | --- |", *lines]))
        return writer


class Trackio(Tracker):
    """Trackio, which keeps all projects of a user in one folder and shows them from there."""

    name, package = "trackio", "trackio"
    _project_variable = "TRACKIO_PROJECT"

    @property
    def where(self) -> str:
        """Where it keeps what it is told, and how that is looked at."""
        return f"trackio show --project {self.project}"

    @property
    def local(self) -> bool:
        """Whether it keeps that on the machine that tells it, in place of a Space."""
        return not os.environ.get("TRACKIO_SPACE_ID")

    def begin_training(self, run: TrackedRun) -> TrainerCallback:
        """Begin the run of a training, and say what reports it: the callback begins it itself."""
        return _callback(self.name)

    def end_training(self, *, broken: bool) -> None:
        """End it."""
        import trackio

        with suppress(RuntimeError):
            # There is no run where the callback has ended it.
            trackio.finish()

    def scores(self, run: TrackedRun, scores: Mapping[str, float]) -> None:
        """Take the scores of a cell, as a run of their own."""
        import trackio

        trackio.init(self.project, name=run.name, config=dict(run.facts), resume="allow")
        trackio.log(dict(scores), step=0)
        trackio.finish()


class WeightsAndBiases(Tracker):
    """Weights & Biases."""

    name, package = "wandb", "wandb"
    _project_variable = "WANDB_PROJECT"

    @property
    def where(self) -> str:
        """Where it keeps what it is told, and how that is looked at."""
        if self._mode == "offline":
            return f"wandb sync {self._root / 'wandb'}/offline-run-*"
        return f"project {self.project} of your account"

    @property
    def local(self) -> bool:
        """Whether it keeps that on the machine that tells it, until it is synchronised."""
        return self._mode == "offline"

    @property
    def _root(self) -> Path:
        named = os.environ.get("WANDB_DIR")
        return Path(named).absolute() if named else self._folder

    @property
    def _mode(self) -> str:
        return os.environ.get("WANDB_MODE") or ("offline" if self._offline else "online")

    def prepare(self) -> None:
        """Look for the key, which the package would ask for in the middle of a run.

        Raises:
            UsageError: There is none.
        """
        import wandb

        if self._mode == "online" and not wandb.api.api_key:
            raise UsageError(
                "wandb has no key; 'wandb login' asks for one, or set WANDB_API_KEY, or "
                "WANDB_MODE=offline to keep runs here"
            )

    def begin_training(self, run: TrackedRun) -> TrainerCallback:
        """Begin the run of a training, and say what reports it."""
        self._begin(run)
        return _callback(self.name)

    def end_training(self, *, broken: bool) -> None:
        """End it."""
        import wandb

        wandb.finish(exit_code=int(broken))

    def scores(self, run: TrackedRun, scores: Mapping[str, float]) -> None:
        """Take the scores of a cell, as a run of their own."""
        import wandb

        self._begin(run).log(dict(scores))
        wandb.finish()

    def _begin(self, run: TrackedRun) -> Any:
        import wandb

        self._root.mkdir(parents=True, exist_ok=True)
        return wandb.init(
            project=self.project,
            name=run.name,
            job_type=run.kind,
            config=dict(run.facts),
            dir=str(self._root),
            mode=self._mode,
            # Else it writes to the terminal, and keeps all that is written there.
            settings=wandb.Settings(silent=True, console="off"),
        )


class MLflow(Tracker):
    """MLflow."""

    name, package = "mlflow", "mlflow"
    _project_variable = "MLFLOW_EXPERIMENT_NAME"

    @property
    def where(self) -> str:
        """Where it keeps what it is told, and how that is looked at."""
        return f"mlflow ui --backend-store-uri {self._uri}"

    @property
    def local(self) -> bool:
        """Whether it keeps that on the machine that tells it."""
        return self._uri.startswith(("sqlite:", "file:", "/", "."))

    @property
    def _uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self._folder / 'mlflow.db'}"

    def prepare(self) -> None:
        """Make the database and the experiment."""
        import mlflow

        for logger in ("mlflow", "alembic"):
            # They tell of every table that they make.
            logging.getLogger(logger).setLevel(logging.WARNING)
        self._folder.mkdir(parents=True, exist_ok=True)
        named = os.environ.get("MLFLOW_TRACKING_URI")
        mlflow.set_tracking_uri(self._uri)
        if named is None:
            # The package keeps it there, where the next run would take it for the user's own.
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        mlflow.set_experiment(self.project)

    def begin_training(self, run: TrackedRun) -> TrainerCallback:
        """Begin the run of a training, and say what reports it."""
        self._begin(run)
        return _callback(self.name)

    def end_training(self, *, broken: bool) -> None:
        """End it."""
        import mlflow

        if mlflow.active_run() is not None:
            mlflow.flush_async_logging()
            mlflow.end_run("FAILED" if broken else "FINISHED")

    def scores(self, run: TrackedRun, scores: Mapping[str, float]) -> None:
        """Take the scores of a cell, as a run of their own."""
        import mlflow

        self._begin(run)
        mlflow.log_metrics({_REFUSED.sub("_", name): value for name, value in scores.items()})
        mlflow.end_run()

    def _begin(self, run: TrackedRun) -> None:
        import mlflow

        self.prepare()
        tags = {"kind": run.kind, **{name: str(value) for name, value in run.facts.items()}}
        mlflow.start_run(run_name=run.name, tags=tags)


TRACKERS: Mapping[str, type[Tracker]] = {
    one.name: one for one in (TensorBoard, Trackio, WeightsAndBiases, MLflow)
}
