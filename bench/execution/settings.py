"""What a run shares over all its cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, get_args

from bench.core.cache import Cache, writable_root
from bench.core.compute import FULL, Backend, Precision
from bench.core.errors import UsageError
from bench.core.progress import Progress, Silent
from bench.core.registry import did_you_mean
from bench.core.spec import split_list
from bench.data.access import DataAccess, find_folder, find_mirror, is_offline
from bench.execution.commits import commit_of
from bench.method import PROFILES
from bench.models.access import Models
from bench.models.devices import ComputeOptions, choose_compute
from bench.models.processes import check_processes
from bench.models.runtime import Runtime
from bench.records.entries import CommitEntry
from bench.records.files import DEFAULT_OUTPUT
from bench.tracking.tracking import Tracking

if TYPE_CHECKING:
    from bench.encoding.compute import Conversions


Rerun = Literal["missing", "failed", "all"]


class RunOptions(ComputeOptions, total=False):
    """Options of a run that it hands on as they are.

    Attributes:
        report_to: Trackers that curves and scores are reported to: ``tensorboard``, ``trackio``,
            ``wandb`` or ``mlflow``, several with commas or as a list.
    """

    report_to: str | Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class Settings(Runtime):
    """What a run shares over all its cells, besides what models are built and encode with.

    Attributes:
        output: Folder of the records.
        rerun: ``missing`` runs cells without a record, ``failed`` only those whose last attempt
            failed, ``all`` everything.
        limit: Rows of each task, or None for all; marks the records as partial.
        batch_size: Most texts in a batch, or None for those of the device's kind.
        backend: Library that runs transformers.
        precision: Numbers that they compute with, or None for what their weights are.
        probes: Device that fits probes, or None for what ``device`` allows.
        place: Where the cells run and what runs beside them, for their records; empty where this
            process alone runs them.
        started_at: With a place, the commit of the folder that the run was started in.
    """

    output: Path
    rerun: Rerun = "missing"
    limit: int | None = None
    batch_size: int | None = None
    backend: Backend = "torch"
    precision: Precision | None = None
    probes: str | None = None
    place: Mapping[str, str] = field(default_factory=dict)
    started_at: CommitEntry | None = None

    def options(self) -> dict[str, str | int | None]:
        """Options of ``bench run`` that make the same settings on any machine.

        Device, data and network are the machine's, and ``rerun`` is said of one run alone.
        """
        asked: dict[str, tuple[str | int | None, str | int | None]] = {
            "output": (self.output.as_posix(), DEFAULT_OUTPUT.as_posix()),
            "limit": (self.limit, None),
            "backend": (self.backend, "torch"),
            "precision": (self.precision, None),
            "train-precision": (self.train_precision, FULL),
            "batch-size": (self.batch_size, None),
            "processes": (self.processes, 1),
        }
        given = {name: value for name, (value, usual) in asked.items() if value != usual}
        return {"profile": self.profile, **given}

    @property
    def probe_device(self) -> str:
        """The device where that is one of CUDA, as the GPUs of Apple have no float64."""
        if self.probes is not None:
            return self.probes
        return self.device if self.device.startswith("cuda") else "cpu"

    @cached_property
    def commit(self) -> CommitEntry | None:
        """The commit of the folder that the run was started in, as this was first asked for."""
        return self.started_at if self.place else commit_of(Path.cwd())

    @cached_property
    def models(self) -> Models:
        """The models of the run, with seed 0 for bases that are trained."""
        return Models(self)

    @cached_property
    def conversions(self) -> Conversions:
        """Encoders as the run wants them to compute."""
        # Imported late, as it brings torch, which a run of complete cells never needs.
        from bench.encoding.compute import Conversions

        folder, progress = self.cache.exports, self.progress
        return Conversions(self.backend, self.precision, folder, progress, self.devices)


def _refuse_unknown(options: Mapping[str, object]) -> None:
    """Refuse names that nothing reads: a misspelt limit would score all rows without a word.

    Raises:
        UsageError: There is no option of a name.
    """
    known = [*signature(make_settings).parameters, *ComputeOptions.__annotations__]
    known.remove("computing")
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(sorted(known))}"
            raise UsageError(f"unknown option {name!r}; {hint}")


def _refuse_below(given: Mapping[str, tuple[int | None, int]]) -> None:
    for name, (number, least) in given.items():
        if number is not None and number < least:
            raise UsageError(f"{name} {number}: give {least} or more")


def make_settings(
    *,
    profile: str,
    output: str | Path = DEFAULT_OUTPUT,
    data: str | Path | None = None,
    offline: bool = False,
    mirror: str | None = None,
    rerun: Rerun = "missing",
    limit: int | None = None,
    batch_size: int | None = None,
    processes: int = 1,
    report_to: str | Sequence[str] | None = None,
    progress: Progress | None = None,
    **computing: Unpack[ComputeOptions],
) -> Settings:
    """Fill in what the caller left open from the environment.

    Raises:
        UsageError: Unknown profile or option, a number that is too small, a data folder that does
            not exist, a mirror that is no address, a cache that cannot be written, processes that
            the device does not allow, a tracker that is unknown or not installed, and what
            ``choose_compute`` raises.
    """
    if profile not in PROFILES:
        raise UsageError(f"unknown profile {profile!r}; choose {', '.join(PROFILES)}")
    if rerun not in get_args(Rerun):
        raise UsageError(f"unknown rerun {rerun!r}; choose {', '.join(get_args(Rerun))}")
    _refuse_unknown(computing)
    _refuse_below({"limit": (limit, 2), "batch_size": (batch_size, 1), "processes": (processes, 1)})
    progress = progress or Silent()
    chosen = choose_compute(computing, progress.note)
    check_processes(processes, chosen.device)
    trackers = split_list(report_to) if isinstance(report_to, str) else report_to or ()
    offline = is_offline(offline)
    tracking = Tracking.asked_for(trackers, Path(output), offline=offline, progress=progress)
    cache = Cache(writable_root())
    access = DataAccess(
        find_folder(data),
        cache.data,
        cache.hashes(trusted=rerun != "all", note=progress.note),
        offline=offline,
        mirror=find_mirror(mirror),
        progress=progress,
    )
    return Settings(
        profile=profile,
        device=chosen.device,
        backend=chosen.backend,
        precision=chosen.precision,
        train_precision=chosen.train_precision,
        output=Path(output),
        cache=cache,
        data=access,
        progress=progress,
        rerun=rerun,
        limit=limit,
        batch_size=batch_size,
        processes=processes,
        tracking=tracking,
    )
