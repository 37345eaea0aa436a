"""One of the processes of a training: ``bench.models.processes`` starts them."""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from bench.core.cache import Cache
from bench.core.errors import CellError, UsageError, first_line
from bench.core.files import out_of_room, write_atomic
from bench.core.libraries import quiet_libraries
from bench.core.progress import Progress, Silent
from bench.core.reports import Reporter, own_output
from bench.data.access import DataAccess
from bench.method import BuildContext, Built, Method
from bench.method.files import MethodFile
from bench.models.access import Models
from bench.models.build import keep, lacks_model, training_run
from bench.models.processes import NeedsModel, TrainingJob, dump_method, restore_method
from bench.models.runtime import Runtime
from bench.tracking.tracking import Tracking

# The others wait for what the first process does alone, such as an evaluation or an encoding.
_PATIENCE = timedelta(hours=6)


@dataclass(frozen=True)
class _OwnWorkCache(Cache):
    """The cache, with a folder for unfinished work that no other process uses."""

    folder: Path

    @property
    def work(self) -> Path:
        return self.folder


class SharedModels(Models):
    """Models for several processes at once: they train none, but ask for it."""

    def vectors(self, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts in the first process; the others then find the vectors in the store."""
        method = self._method(name)
        if method is not None:
            self._require(method)
        first = dist.get_rank() == 0
        if not first:
            dist.barrier()
        vectors = super().vectors(name, texts)
        if first:
            dist.barrier()
        return vectors

    def build(self, method: Method, *, seed: int | None = None) -> Built:
        """Load a model that is there.

        Raises:
            NeedsModel: It is not.
        """
        self.seeded(seed)._require(method)
        return super().build(method, seed=seed)

    def _require(self, method: Method) -> None:
        # Of a method that maps vectors nothing is kept but what it wraps.
        wrapped = None if method.wraps is None else self._method(method.wraps)
        if wrapped is not None:
            self._require(wrapped)
        elif method.trains:
            folder = self._runtime.cache.models / self.identity(method)
            if lacks_model(folder, self._runtime.data) is not None:
                raise NeedsModel(method, self._seed)


def main(path: Path) -> None:
    """Do a job as one of its processes.

    Raises:
        NeedsModel: A model has to be trained before.
        BenchError: The job cannot be done.
    """
    job = TrainingJob(**json.loads(path.read_bytes()))
    reports = own_output()
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        _build(job, reports)
    except NeedsModel as need:
        content = {"method": dump_method(need.method), "seed": need.seed}
        write_atomic(job.need, json.dumps(content).encode())
    except BaseException as error:
        traceback.print_exc()
        _tell(job, error)
        _leave(1)
    _leave(0)


def _build(job: TrainingJob, reports: int) -> None:
    quiet_libraries()
    device = _join(job.device)
    first = dist.get_rank() == 0
    progress: Progress = Reporter(reports) if first else Silent()
    for file in job.files:
        MethodFile.load(file).register()
    method, workdir, model = restore_method(job.method), Path(job.workdir), Path(job.model)
    cache = _OwnWorkCache(Path(job.cache), workdir / f"process-{dist.get_rank()}")
    folder = Path(job.data) if job.data else None
    data = DataAccess(folder, cache.data, cache.hashes(), offline=job.offline)
    runtime = Runtime(
        profile=job.profile,
        device=device,
        train_precision=job.precision,
        cache=cache,
        data=data,
        progress=progress,
        tracking=Tracking(job.trackers, Path(job.tracked), offline=job.offline, progress=progress),
    )
    models = SharedModels(runtime, job.seed)
    ctx = BuildContext(
        job.seed, job.profile, device, workdir, data, models, progress, job.precision
    )
    with runtime.tracking.trainings(*training_run(method, model.name, job.seed, runtime)):
        encoder = method.build(ctx)
    if first and not keep(encoder, workdir, model):
        raise UsageError(
            f"{method.info.name} is not a transformer, and only transformers train in several "
            "processes; leave out --processes"
        )
    dist.barrier()


def _join(device: str) -> str:
    """Join the other processes, and return this one's own device."""
    if device == "cpu":
        dist.init_process_group("gloo", timeout=_PATIENCE)
        return device
    rank = int(os.environ["LOCAL_RANK"])
    torch.cuda.set_device(rank)
    dist.init_process_group("nccl", timeout=_PATIENCE)
    return f"cuda:{rank}"


def _end_with_input() -> None:
    """End at once when the process that started this one has ended or wants an end."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _tell(job: TrainingJob, error: BaseException) -> None:
    """Say why the job has failed, unless another process has said so."""
    text = first_line(error) if isinstance(error, Exception) else type(error).__name__
    failure = {"type": type(error).__name__, "text": text}
    if full := out_of_room(error):
        failure = {"type": CellError.__name__, "text": full}
    content = json.dumps(failure)
    partial = job.error.with_suffix(f".{os.getpid()}")
    partial.write_text(content, encoding="utf-8")
    try:
        # A link is made only where there is no file yet, and what it names is complete.
        os.link(partial, job.error)
    except FileExistsError:
        pass
    finally:
        partial.unlink()


def _leave(code: int) -> None:
    """End without waiting for the others, of whom some may never answer."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
