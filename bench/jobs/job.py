"""Jobs: the cells of one model, as data that any process on any machine can work from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from bench.core.compute import Backend, Precision
from bench.execution.cells import Cell
from bench.execution.settings import Rerun, Settings
from bench.method.files import method_files
from bench.suite import split_part

# Where paths of files of vectors begin, below the cache.
VECTORS = "vectors/"


@dataclass(frozen=True)
class CellKey:
    """What names a cell in a run, and the identity that its record is to have.

    Attributes:
        suite: Name of the suite.
        spec: The method's spec.
        seed: Its seed.
        fingerprint: ``Cell.fingerprint`` as the machine that started the run has it.
    """

    suite: str
    spec: str
    seed: int
    fingerprint: str

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """The key of a cell."""
        return cls(cell.suite.name, str(cell.spec), cell.seed, cell.fingerprint)


@dataclass(frozen=True)
class ModelKey:
    """A model that is trained under a name.

    Attributes:
        spec: Spec of the method that trains it.
        seed: Seed of the build.
        identity: Its fingerprint, the name of its folder in the cache.
    """

    spec: str
    seed: int
    identity: str


@dataclass(frozen=True)
class Job:
    """All cells of one model, or a model alone that other jobs start from.

    Attributes:
        identity: Fingerprint of the model that it builds, which names the job too.
        title: What people see: spec and seed.
        cells: Its cells, in the order of the run.
        trains: The model, where it is trained under a name and is not in the cache.
        needs: Models that have to be in the cache before, theirs before them.
        after: Jobs that make those of them that are not there, or encode parts of its texts.
        part: Number k, from 0, and n, of a job that encodes the k-th of n parts of the texts of
            its cells and no more; None for all others.
    """

    identity: str
    title: str
    cells: tuple[CellKey, ...]
    trains: ModelKey | None = None
    needs: tuple[ModelKey, ...] = ()
    after: frozenset[str] = frozenset()
    part: tuple[int, int] | None = None

    def dump(self) -> dict[str, Any]:
        """The job as JSON has it; ``load`` makes it again."""
        return {**asdict(self), "after": sorted(self.after)}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Self:
        """Make a job of what ``dump`` has written down."""
        trains = dumped["trains"]
        return cls(
            identity=dumped["identity"],
            title=dumped["title"],
            cells=tuple(CellKey(**cell) for cell in dumped["cells"]),
            trains=None if trains is None else ModelKey(**trains),
            needs=tuple(ModelKey(**model) for model in dumped["needs"]),
            after=frozenset(dumped["after"]),
            part=None if dumped["part"] is None else tuple(dumped["part"]),
        )


@dataclass(frozen=True)
class Request:
    """What the jobs of a run share, as data.

    Attributes:
        suites: Names of the suites, or absolute paths of their files.
        texts: Content of those files, for machines that do not have them.
        profile: Name of the profile.
        device: Torch device, or ``auto`` for what the machine of a job has.
        backend: What runs transformers.
        precision: What they compute in, or None.
        train_precision: What trainings multiply.
        probes: Device that fits probes, which decides the identity of cells.
        rerun: Which cells were to run; for all, files are read again.
        limit: Rows of each task, or None.
        batch_size: Most texts in a batch, or None.
        offline: Never use the network.
        mirror: Address in place of the hosts of public files, or None.
        data: Data folder of the machine that started the run, or None.
        cache: Its cache.
        output: Its folder of records.
        commit: Commit of the folder that the run was started in, as records have it, or None.
        files: Files of Python that methods were named by, see ``MethodFile.dump``.
        report_to: Names of trackers that trainings report to.
    """

    suites: tuple[str, ...]
    texts: dict[str, str]
    profile: str
    device: str
    backend: Backend
    precision: Precision | None
    train_precision: Precision
    probes: str
    rerun: Rerun
    limit: int | None
    batch_size: int | None
    offline: bool
    mirror: str | None
    data: str | None
    cache: str
    output: str
    commit: dict[str, Any] | None
    files: list[dict[str, Any]]
    report_to: tuple[str, ...]

    @classmethod
    def of(cls, suites: Sequence[str], settings: Settings, device: str | None) -> Self:
        """Write down what a run shares.

        Args:
            suites: Names of its suites, or paths of their files.
            settings: Its settings.
            device: Device that was asked for, or None for what each machine has.
        """
        data, commit = settings.data, settings.commit
        heads = [split_part(name) for name in suites]
        paths = {head: Path(head).absolute() for head, _ in heads if Path(head).is_file()}
        return cls(
            suites=tuple(f"{paths.get(head, head)}{part}" for head, part in heads),
            texts={str(path): path.read_text(encoding="utf-8") for path in paths.values()},
            profile=settings.profile,
            device=device or "auto",
            backend=settings.backend,
            precision=settings.precision,
            train_precision=settings.train_precision,
            probes=settings.probe_device,
            rerun=settings.rerun,
            limit=settings.limit,
            batch_size=settings.batch_size,
            offline=data.offline,
            mirror=data.mirror,
            data=None if data.folder is None else str(data.folder.absolute()),
            cache=str(settings.cache.root.absolute()),
            output=str(settings.output.absolute()),
            commit=None if commit is None else commit.model_dump(mode="json"),
            files=[file.dump() for file in method_files()],
            report_to=settings.tracking.names,
        )

    def dump(self) -> dict[str, Any]:
        """The request as JSON has it."""
        return asdict(self)

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> Self:
        """Make a request of what ``dump`` has written down."""
        return cls(**{**dumped, "suites": tuple(dumped["suites"])})


@dataclass(frozen=True)
class Done:
    """What a job leaves.

    Attributes:
        failures: Why cells are absent, each what ``Failure`` is made of, with the cell's position.
        files: Content of records by their path below the output folder, where the machine that
            started the run does not share the folder.
        models: Trained models as archives, by identity, likewise.
        vectors: Files of vectors by their path below the cache, likewise.
    """

    failures: tuple[tuple[int, dict[str, Any]], ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    models: dict[str, bytes] = field(default_factory=dict)
    vectors: dict[str, bytes] = field(default_factory=dict)
