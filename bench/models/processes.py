"""Trainings in several processes: started, watched and ended from the process that wants a model.

Each process takes its share of every batch, and the gradients are averaged, so that as many
processes as one likes make the same steps as one. That holds for losses that gather the rows of
all processes, see ``Method.gathers``. Others train in one process.

The processes end with the pipe that is their standard input, so that none is left behind however
this process ends. The first one reports progress on its standard output, a JSON object a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from bench.core.compute import Precision
from bench.core.errors import BenchError, CellError, UsageError, named_error
from bench.core.files import write_atomic
from bench.core.progress import Progress
from bench.core.reports import read_report, show
from bench.method import Method
from bench.method.files import method_files
from bench.models.runtime import Runtime

WORKER = "bench.models.worker"
_LOG = "workers.log"
_SECONDS_TO_END = 20
_ENDED = re.compile(r"rank\s*:\s*(\d+).*\n\s*exitcode\s*:\s*-(\d+)")
_GO_ON = "run the same command to go on from the last checkpoint"


@dataclass(frozen=True)
class TrainingJob:
    """A training, as a file tells the processes about it.

    Attributes:
        method: What ``dump_method`` makes of the method.
        seed: Seed of the build.
        profile: Name of the profile.
        device: ``cpu`` or ``cuda``.
        precision: Numbers that the training multiplies.
        cache: Root of the cache.
        data: Data folder, or None.
        offline: Never ask the hub.
        workdir: Folder of the build.
        model: Folder that the model is kept in.
        files: Files of Python that methods were named by, see ``MethodFile.dump``.
        trackers: Names of trackers that it reports to.
        tracked: Folder for what they keep.
    """

    method: dict[str, Any]
    seed: int
    profile: str
    device: str
    precision: Precision
    cache: str
    data: str | None
    offline: bool
    workdir: str
    model: str
    files: list[dict[str, Any]]
    trackers: tuple[str, ...]
    tracked: str

    @classmethod
    def of(cls, method: Method, seed: int, runtime: Runtime, *, workdir: Path, model: Path) -> Self:
        """Write down a training.

        Args:
            method: The method that trains.
            seed: Seed of the build.
            runtime: What it trains with.
            workdir: Folder of the build.
            model: Folder that the model is kept in.
        """
        folder = runtime.data.folder
        return cls(
            method=dump_method(method),
            seed=seed,
            profile=runtime.profile,
            device=runtime.device,
            precision=runtime.train_precision,
            cache=str(runtime.cache.root.absolute()),
            data=str(folder.absolute()) if folder else None,
            offline=runtime.data.offline,
            workdir=str(workdir.absolute()),
            model=str(model.absolute()),
            files=[file.dump() for file in method_files()],
            trackers=runtime.tracking.names,
            tracked=str(runtime.tracking.folder.absolute()),
        )

    @property
    def path(self) -> Path:
        """The file of the job."""
        return Path(self.workdir) / "job.json"

    @property
    def error(self) -> Path:
        """File in which the first process that fails says why."""
        return Path(self.workdir) / "error.json"

    @property
    def need(self) -> Path:
        """File that names a model which has to be trained before."""
        return Path(self.workdir) / "need.json"


class NeedsModel(Exception):  # noqa: N818 - no error, the training is put off
    """A training in several processes needs a model that is not trained yet.

    Attributes:
        method: The method that makes it.
        seed: Its seed.
    """

    def __init__(self, method: Method, seed: int) -> None:
        super().__init__(f"{method.info.name} with seed {seed}")
        self.method = method
        self.seed = seed


def check_processes(processes: int, device: str) -> None:
    """Refuse a number of processes that cannot be.

    Raises:
        UsageError: There are none, several for a device that is not ``cpu`` or ``cuda``, or more
            than GPUs.
    """
    if processes < 1:
        raise UsageError(f"{processes} processes cannot train; ask for 1 or more")
    if processes > 1 and device not in ("cpu", "cuda"):
        raise UsageError(
            f"device {device} is for one process; with --processes {processes} it is cpu or cuda"
        )
    if processes > 1 and device == "cuda":
        # Imported late, as a run on the CPU whose cells are complete never needs it.
        import torch

        if torch.cuda.device_count() < processes:
            raise UsageError(
                f"--processes {processes} needs as many GPUs, "
                f"this machine has {torch.cuda.device_count()}"
            )


def can_share(method: Method) -> bool:
    """Whether several processes train a method as one does."""
    return method.trains and method.gathers


def dump_method(method: Method) -> dict[str, Any]:
    """Write down a method so that ``restore_method`` makes it again in another process."""
    return {
        "class": [type(method).__module__, type(method).__qualname__],
        "config": method.config.model_dump(mode="json"),
        "checkpoint": method.checkpoint,
        "profile": method.profile,
    }


def restore_method(dumped: dict[str, Any]) -> Method:
    """Make the method that ``dump_method`` has written down."""
    import importlib

    module, name = dumped["class"]
    cls = attrgetter(name)(importlib.import_module(module))
    config = cls.Config.model_validate(dumped["config"])
    method: Method = cls(config, dumped["checkpoint"], dumped["profile"])
    return method


def train_in_processes(job: TrainingJob, processes: int, progress: Progress) -> NeedsModel | None:
    """Train a model in several processes on this machine, and wait for its folder.

    Args:
        job: The training.
        processes: How many.
        progress: Where the first one reports.

    Returns:
        A model to train before this is tried again, or None where the training is done.

    Raises:
        BenchError: What a process raised, or that one was killed.
    """
    for path in (job.error, job.need):
        path.unlink(missing_ok=True)
    write_atomic(job.path, json.dumps(job.__dict__).encode())
    log = Path(job.workdir) / _LOG
    code = _run(_command(job, processes), _environment(processes), log, progress)
    if code:
        raise _failure(job, code, log)
    if not job.need.is_file():
        return None
    need = json.loads(job.need.read_bytes())
    return NeedsModel(restore_method(need["method"]), need["seed"])


def _command(job: TrainingJob, processes: int) -> list[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*launcher, f"--nproc-per-node={processes}", "--module", WORKER, str(job.path)]


def _environment(processes: int) -> dict[str, str]:
    threads = max(1, (os.cpu_count() or 1) // processes)
    # The folder that the command runs in is no place to import from.
    return {"OMP_NUM_THREADS": str(threads), **os.environ, "PYTHONSAFEPATH": "1"}


def _run(command: list[str], environment: dict[str, str], log: Path, progress: Progress) -> int:
    with (
        log.open("wb") as stream,
        subprocess.Popen(  # noqa: S603 - this interpreter and the package's own modules
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            env=environment,
            # An interruption at the terminal reaches this process alone, which ends the others.
            start_new_session=True,
        ) as launcher,
    ):
        # Should the launcher be killed, its processes would go on and hold their output open.
        threading.Thread(target=_end_after, args=(launcher,), daemon=True).start()
        try:
            _forward(launcher.stdout or (), progress)
            return launcher.wait()
        finally:
            _end(launcher)


def _end_after(launcher: subprocess.Popen[bytes]) -> None:
    launcher.wait()
    _close_input(launcher)


def _end(launcher: subprocess.Popen[bytes]) -> None:
    _close_input(launcher)
    try:
        launcher.wait(_SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        os.killpg(launcher.pid, signal.SIGKILL)


def _close_input(launcher: subprocess.Popen[bytes]) -> None:
    if launcher.stdin is not None:
        with contextlib.suppress(OSError):
            launcher.stdin.close()


def _forward(lines: Iterable[bytes], progress: Progress) -> None:
    for line in lines:
        if (report := read_report(line)) is not None:
            show(*report, progress)


def _failure(job: TrainingJob, code: int, log: Path) -> BenchError:
    text = log.read_text(encoding="utf-8", errors="replace")
    ended = [(rank, int(number)) for rank, number in _ENDED.findall(text)]
    # The launcher itself terminates the others once one has failed.
    killed = [(rank, number) for rank, number in ended if number != signal.SIGTERM]
    if not killed and job.error.is_file():
        return _raised(json.loads(job.error.read_bytes()), log)
    if not ended:
        how = signal_name(-code) if code < 0 else f"code {code}"
        return CellError(f"the processes of the training ended with {how}, see {log}; {_GO_ON}")
    rank, number = (killed or ended)[0]
    why = ", perhaps out of memory" if number == signal.SIGKILL else ""
    return CellError(
        f"process {rank} of the training was ended by {signal_name(number)}{why}; {_GO_ON}"
    )


def _raised(failure: dict[str, str], log: Path) -> BenchError:
    """The error of the user that a process has raised, or one that tells of any other."""
    return named_error(failure["type"], failure["text"]) or CellError(
        f"{failure['type']}: {failure['text']}; {_GO_ON}; details are in {log}"
    )


def signal_name(number: int) -> str:
    """Name of a signal, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
