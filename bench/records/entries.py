"""The schema of records."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from bench.core.compute import FULL, Backend, Compute, Precision
from bench.core.spec import LABEL_LENGTH

Interval = tuple[float, float]
# Spec, profile, limit, and setup, see ``Record.setup``.
GroupKey = tuple[str, str, int | None, str]
# What a score rests on, which says by which statistic two of them are compared: the share of items
# that are right, a mean over items, or resamples alone.
Evidence = Literal["votes", "means", "replicates"]
# A stranger's record may hold any number, of any number of digits.
Whole = Annotated[int, Field(ge=0, lt=2**63)]
Score = Annotated[float, Field(ge=-1 - 1e-9, le=1 + 1e-9)]
Seconds = Annotated[float, Field(ge=0, le=1e12)]
# What a clock can tell; below, a speed would be infinite.
_TICK = 1e-6


class RecordEntry(BaseModel):
    """Base of all entries: frozen, finite, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    # Fields that records of some time lack, whose checksum is over the fields that they have.
    kept_later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _as_written(self, fields_of: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = fields_of(self)
        absent = {name for name in self.kept_later if fields.get(name) is None}
        return {name: value for name, value in fields.items() if name not in absent}


class MethodEntry(RecordEntry):
    """The method of a cell: spec as resolved, and whether it was trained.

    ``stand_ins`` has published text that it or what it is made of did not learn from, each with
    what was in its place; ``label`` is what the user calls the method in tables, and no part of
    what it is. Both are None where there is none and in records from before they were kept.
    """

    kept_later: ClassVar[tuple[str, ...]] = ("stand_ins", "label")

    name: str
    spec: str
    title: str
    kind: str
    checkpoint: str | None
    config: dict[str, Any]
    trained: bool
    base: str | None
    stand_ins: dict[str, str] | None = None
    label: Annotated[str, Field(min_length=1, max_length=LABEL_LENGTH)] | None = None


class GroupEntry(RecordEntry):
    """Mean item value, between 0 and 1, over some items of a task."""

    value: Score
    items: Whole


class ContaminationEntry(RecordEntry):
    """Distinct texts of a test set, and how many of them were in the training text.

    ``normalised`` compares letters and digits in lower case.
    """

    texts: Whole
    exact: Whole
    normalised: Whole


class FitEntry(RecordEntry):
    """What a map of a task's vectors was fitted on.

    ``source`` is the text of a corpus, the training rows of the task, those of each fold (the
    figures are the first fold's), or all rows of the task, the scored ones too. ``rank`` is that
    of the covariance of these vectors of size ``dimension``, None where the map is not made of it.
    """

    method: str
    source: Literal["corpus", "train", "folds", "test"]
    vectors: Whole
    rank: Whole | None
    dimension: Whole


class TaskEntry(RecordEntry):
    """Scores of one task, as fractions.

    ``metric`` names the main score, ``ci95`` is a percentile bootstrap over items, where there
    are any, and ``metrics_ci95`` the same of further scores, where a task has them. ``mteb`` names
    the task of mteb that this one equals. ``phenomena`` groups the items
    by what they probe, where the rows say so. ``contamination`` is None where nothing was
    trained here; ``in_domain`` says whether the training read other rows of the same data set.
    ``fits`` says what the maps of a transform were fitted on, in their order. ``protocol`` is what
    decides the score besides the rows, see ``bench.suite.protocol``; None in records before it.
    ``evidence`` is what the score rests on, None where there are no items; records from before it
    was kept have none, see ``bench.records.evidence``. ``trainings`` has what a method that learns
    from the task's rows reported of each of its trainings there, see ``Record.training`` for all
    others; None where there is none, and in records from before it was kept.
    """

    kept_later: ClassVar[tuple[str, ...]] = ("evidence", "trainings")

    kind: str
    metric: str
    mteb: str | None
    main: float
    ci95: Interval | None
    metrics: dict[str, float]
    metrics_ci95: dict[str, Interval] = {}
    items: Whole
    data_sha256: str
    phenomena: dict[str, GroupEntry] = {}
    contamination: ContaminationEntry | None = None
    in_domain: bool = False
    fits: tuple[FitEntry, ...] = ()
    protocol: dict[str, Any] | None = None
    evidence: Evidence | None = None
    trainings: tuple[dict[str, Any], ...] | None = None


class GridEntry(RecordEntry):
    """Main scores of a model cut to its first layers and the first numbers of its vectors.

    ``average`` is over the averaged tasks of the suite.
    """

    layers: Whole
    dim: Whole
    tasks: dict[str, float]
    average: Score


class GeometryEntry(RecordEntry):
    """How the vectors of a task's texts lie, see ``bench.execution.geometry``; None: undefined.

    ``texts`` counts the texts that were drawn and ``vectors`` the different vectors among theirs,
    on which all is measured but ``alignment``, which is over ``pairs`` of texts that mean the same,
    and ``token_similarity``, over the tokens of some of the texts. ``apart`` says that no two of
    the texts are of one pair; None in records from before that and where pairs are not known.
    """

    kept_later: ClassVar[tuple[str, ...]] = (
        "apart",
        "rank",
        "singular_entropy",
        "condition_number",
        "token_similarity",
    )

    texts: Whole
    vectors: Whole
    pairs: Whole
    isoscore: Score | None = None
    mean_cosine: Score | None = None
    mean_cosine_centred: Score | None = None
    top_share: float | None = None
    partition: float | None = None
    twonn: float | None = None
    twonn_fit: float | None = None
    mle: float | None = None
    pca_dimension: Whole | None = None
    participation_ratio: float | None = None
    rank: Whole | None = None
    singular_entropy: float | None = None
    condition_number: float | None = None
    token_similarity: Score | None = None
    alignment: float | None = None
    uniformity: float | None = None
    apart: bool | None = None


class EncodingEntry(RecordEntry):
    """How much was encoded: texts in all columns, distinct ones, and those not in the store.

    Of a method that scores pairs of texts itself it is pairs that are counted.
    """

    texts: Whole
    distinct: Whole
    encoded: Whole
    tokens: Whole | None


class ComputeEntry(RecordEntry):
    """What computed the vectors, None for encoders of which that is not known, and the training.

    ``train_precision`` is what the training multiplied, None where nothing was trained. ``probes``
    is the device that fitted probes, None where that is the CPU.
    """

    kept_later: ClassVar[tuple[str, ...]] = ("probes",)

    backend: Backend | None
    precision: Precision | None
    train_precision: Precision | None
    probes: str | None = None

    @property
    def encoding(self) -> str:
        """What computed the vectors, such as ``openvino bf16``; empty for torch in fp32."""
        if self.backend is None or self.precision is None:
            return ""
        compute = Compute(self.backend, self.precision)
        return "" if compute == Compute() else str(compute)

    @property
    def setup(self) -> str:
        """The same, and what the training multiplied where that is not fp32."""
        half = self.train_precision not in (None, FULL)
        trained = f"trained in {self.train_precision}" if half else ""
        return ", ".join(filter(None, [self.encoding, trained]))


class Timings(RecordEntry):
    """Seconds of each phase; building is 0 where a cached model was loaded."""

    build: Seconds
    encode: Seconds
    score: Seconds


class PeakMemory(RecordEntry):
    """Largest resident memory of the process in each phase, in bytes."""

    build: Whole
    encode: Whole
    score: Whole


class CommitEntry(RecordEntry):
    """The commit of the folder that a run was started in.

    ``committed`` is its time; ``dirty`` says whether files that git tracks differed.
    """

    commit: Annotated[str, Field(pattern="^([0-9a-f]{40}|[0-9a-f]{64})$")]
    committed: AwareDatetime
    dirty: bool


class Record(RecordEntry):
    """One finished cell.

    ``peak_memory_bytes`` is the largest resident memory of the process while the cell was made,
    where the system can tell (Linux), else of the process so far; ``peak_memory`` is that of each
    phase, None where the system cannot tell and in records before it. ``diagnostics`` has what a
    method that learns from a pool is made of, by task, see ``bench.tasks.diagnostics``.
    ``revisions`` has the commit of each data set on the hub that was trained on, by its id.
    ``compute`` is None in records from before it was kept. ``vector_bytes`` is what a vector is
    stored in where that is known and it is not float32. ``commit`` is that of the folder that the
    run was started in, None where that is no working tree of git. ``record_sha256`` is that of all
    other fields, see ``content_sha256``; records from before it was kept have none.
    """

    model_config = ConfigDict(protected_namespaces=(), frozen=True, extra="forbid")
    kept_later: ClassVar[tuple[str, ...]] = ("compute", "peak_memory", "vector_bytes", "commit")

    schema_version: Literal[1] = 1
    suite: str
    convention: str
    method: MethodEntry
    profile: str
    seed: Whole
    limit: Whole | None
    cell_fingerprint: str
    model_fingerprint: str
    dimension: Whole | None
    vector_bytes: Whole | None = None
    parameters: Whole | None
    tasks: dict[str, TaskEntry]
    average: float
    average_ci95: Interval | None
    average_of_rounded: float
    averaged_tasks: tuple[str, ...]
    grid: tuple[GridEntry, ...] = ()
    geometry: dict[str, GeometryEntry] = {}
    diagnostics: dict[str, dict[str, Any]] = {}
    encoding: EncodingEntry
    compute: ComputeEntry | None = None
    timings: Timings
    peak_memory_bytes: Whole
    peak_memory: PeakMemory | None = None
    training: dict[str, Any] | None
    revisions: dict[str, str] = {}
    versions: dict[str, str]
    machine: dict[str, str]
    created: str
    commit: CommitEntry | None = None
    items_sha256: str
    record_sha256: str | None = None

    @property
    def group(self) -> GroupKey:
        """What seeds of one method on one suite share: spec, profile, limit and setup."""
        return self.method.spec, self.profile, self.limit, self.setup

    @property
    def setup(self) -> str:
        """What computed vectors and training, empty for torch in fp32 and where it is not known."""
        return "" if self.compute is None else self.compute.setup

    @property
    def scored_rows(self) -> tuple[str, ...]:
        """Checksum of the rows of each task."""
        return tuple(task.data_sha256 for task in self.tasks.values())

    @property
    def texts_per_second(self) -> float | None:
        """Distinct texts encoded in a second, or None where the store held some of them."""
        encoded, seconds = self.encoding.encoded, self.timings.encode
        return (
            encoded / seconds if encoded == self.encoding.distinct > 0 and seconds > _TICK else None
        )
