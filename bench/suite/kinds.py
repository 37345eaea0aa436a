"""What an entry of each kind of task may say in a suite's TOML, and its columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator

from bench.core.errors import UsageError
from bench.core.outputs import MethodOutput
from bench.core.registry import did_you_mean
from bench.core.toml import TomlTable
from bench.suite.data import Data
from bench.suite.entry import Convention, RowsTaskSpec, ScoredAs
from bench.suite.retrieval import RetrievalSpec

Aggregation = Literal["all", "mean", "wmean"]
Track = Literal["frozen", "supervised"]
_SCORED_AS: Mapping[Track, ScoredAs] = {"frozen": "vectors", "supervised": "predictions"}
MTEB_PREFIX = "mteb:"
PairFeatures = Literal["u", "absdiff_product", "concat_absdiff_product"]
ProbeName = Literal["sk", "torch", "svm", "rf", "nb"]


class StsSpec(RowsTaskSpec):
    """Semantic textual similarity.

    Attributes:
        aggregation: How subsets are combined.
    """

    required: ClassVar[tuple[str, ...]] = ("sentence1", "sentence2", "score")
    beside: ClassVar[tuple[str, ...]] = ("subset", "phenomenon")
    scored_from: ClassVar[tuple[MethodOutput, ...]] = ("vectors", "pairs", "sparse")
    kind: Literal["sts"]
    aggregation: Aggregation = "all"

    @property
    def over_subsets(self) -> bool:
        """Unless all rows are scored together."""
        return self.aggregation != "all"


class _Trained(RowsTaskSpec):
    """What tasks with a trained probe have.

    Attributes:
        train: Rows to fit the probe on; without them the scored rows are split into folds.
        dev: Rows to choose its regularisation on; without them folds of the training rows.
        pool: Rows whose texts methods of the supervised track may learn from, not their labels:
            where there are any, these only tell how well such a method labels them itself.
    """

    target: ClassVar[str] = "label"

    train: Data | None = None
    dev: Data | None = None
    pool: Data | None = None

    def parts(self) -> dict[str, Data]:
        """Test rows, those to train and choose on, and the pool."""
        named = {"test": self.data, "train": self.train, "dev": self.dev, "pool": self.pool}
        return {part: data for part, data in named.items() if data is not None}

    def optional_columns(self, part: str) -> tuple[str, ...]:
        """Labels or scores of the pool."""
        return (self.target,) if part == "pool" else ()

    @model_validator(mode="after")
    def _pool_has_readers(self) -> _Trained:
        supervised = self.scored_as == "predictions" and self.train is not None
        if self.pool is not None and not supervised:
            raise ValueError("a pool is for the supervised track with rows to train on")
        return self


class ClassificationSpec(_Trained):
    """A probe on frozen vectors.

    Attributes:
        texts: Columns of text; two are a pair.
        features: What the probe sees of a pair (u, v): ``absdiff_product`` is
            [|u − v|, u·v], ``concat_absdiff_product`` is [u, v, u·v, |u − v|].
        probe: ``sk`` is scikit-learn's logistic regression, ``torch`` SentEval's own loop, and
            ``svm``, ``rf`` and ``nb`` are SentEval+'s support vector machine, random forest and
            naive Bayes, see ``bench.tasks.probes.classifiers``.
        folds: Folds where there is no dev split; on the supervised track where there are no
            training rows.
        samples_per_label: Training rows of each class in an experiment of MTEB's protocol.
        experiments: Experiments of MTEB's protocol.
        metric: Main score. ``f1`` is that of label 1, where labels are 0 and 1; ``f1_macro`` is
            the mean over all labels.
        track: ``frozen`` scores a probe on the method's vectors, ``supervised`` the method's own
            predictions, learned from the same rows.
    """

    kind: Literal["classification"]
    texts: tuple[str, ...] = ("text",)
    features: PairFeatures = "u"
    probe: ProbeName = "sk"
    folds: int = Field(10, gt=1)
    samples_per_label: int = Field(8, gt=0)
    experiments: int = Field(10, gt=0)
    metric: Literal["accuracy", "f1", "f1_macro"] = "accuracy"
    track: Track = "frozen"

    @property
    def scored_as(self) -> ScoredAs:
        """By its track."""
        return _SCORED_AS[self.track]

    def row_columns(self, part: str = "test") -> tuple[str, ...]:
        """Its columns of text, and the label."""
        return (*self.texts, "label")

    def scores_blank_texts(self, convention: Convention) -> bool:
        """Under SentEval's protocol, which encodes a full stop."""
        return convention != "mteb"

    @model_validator(mode="after")
    def _fields_agree(self) -> ClassificationSpec:
        if (len(self.texts) == 2) != (self.features != "u") or len(self.texts) > 2:
            raise ValueError("features 'u' takes one text, the others take two")
        if self.track == "supervised" and self.probe != "sk":
            raise ValueError(
                "the supervised track has one probe, 'sk', for methods that only have vectors; "
                "leave probe out"
            )
        return self


class NliSpec(_Trained):
    """Natural language inference as SentEval probes it.

    Attributes:
        features: What the probe sees of premise u and hypothesis v.
        probe: As of ``ClassificationSpec``.
        folds: Folds where there is no dev split.
        regularise: Search the regularisation; SentEval does for SICK-E, not for SNLI.
    """

    required: ClassVar[tuple[str, ...]] = ("premise", "hypothesis", "label")
    kind: Literal["nli"]
    features: PairFeatures = "concat_absdiff_product"
    probe: ProbeName = "sk"
    folds: int = Field(10, gt=1)
    regularise: bool = True

    def scores_blank_texts(self, convention: Convention) -> bool:
        """As ``ClassificationSpec``."""
        return convention != "mteb"


class PairClassificationSpec(RowsTaskSpec):
    """Pairs that mean the same or not, separated by a threshold of similarity."""

    required: ClassVar[tuple[str, ...]] = ("sentence1", "sentence2", "label")
    scored_from: ClassVar[tuple[MethodOutput, ...]] = ("vectors", "pairs", "sparse")
    kind: Literal["pair_classification"]


class RerankingSpec(RowsTaskSpec):
    """Candidates of a query, those that answer it first."""

    required: ClassVar[tuple[str, ...]] = ("query", "positive", "negative")
    scored_from: ClassVar[tuple[MethodOutput, ...]] = ("vectors", "pairs", "sparse")
    kind: Literal["reranking"]


class ClusteringSpec(RowsTaskSpec):
    """Texts whose labels k-means on their vectors is to find again."""

    required: ClassVar[tuple[str, ...]] = ("text", "label")
    kind: Literal["clustering"]


class DimensionSpec(RowsTaskSpec):
    """Sentences whose vectors fill some number of dimensions, which is no merit of theirs."""

    required: ClassVar[tuple[str, ...]] = ("text",)
    kind: Literal["dimension"]


class RelatednessSpec(_Trained):
    """SentEval's supervised relatedness: a probe on pair features that predicts the score.

    Attributes:
        classes: Scores 1 to this number, or 0 to this number where the lowest gold is below 1.
        track: ``frozen`` scores a probe on the method's vectors, ``supervised`` the method's own
            predictions, learned from the same rows.
    """

    required: ClassVar[tuple[str, ...]] = ("sentence1", "sentence2", "score")
    target: ClassVar[str] = "score"
    kind: Literal["relatedness"]
    classes: int = Field(5, gt=1)
    track: Track = "frozen"

    @property
    def scored_as(self) -> ScoredAs:
        """By its track."""
        return _SCORED_AS[self.track]

    @model_validator(mode="after")
    def _has_rows_to_train_on(self) -> RelatednessSpec:
        if self.track == "supervised" and self.train is None:
            raise ValueError("the supervised track needs rows to train on; name them as train")
        return self


class MtebSpec(TomlTable):
    """A task of mteb, loaded and scored by mteb itself.

    Attributes:
        name: Its name in mteb.
        revision: Commit of its data.
        benchmark: Benchmark of mteb that chooses its subsets and splits.
        data: The same rows in datasets.toml, used where they are here.
    """

    kind: Literal["mteb"]
    name: str
    revision: str
    benchmark: str | None = None
    data: str | None = None
    scored_as: ClassVar[ScoredAs] = "vectors"
    scored_from: ClassVar[tuple[MethodOutput, ...]] = ("vectors",)

    @property
    def mteb(self) -> str:
        """Its name in mteb."""
        return self.name

    @property
    def over_subsets(self) -> bool:
        """For mteb to say."""
        return False

    def parts(self) -> dict[str, Data]:
        """Rows for its test split, where datasets.toml has them."""
        return {"test": self.data} if self.data else {}

    def row_columns(self, part: str = "test") -> tuple[str, ...]:
        """None that are checked here."""
        return ()

    def names(self, part: str) -> Mapping[str, str]:
        """None, as columns have the names that mteb gives them."""
        return {}

    def optional_columns(self, part: str) -> tuple[str, ...]:
        """None, as mteb reads its own rows."""
        return ()

    def renamed_beside(self, part: str) -> tuple[str, ...]:
        """None, as columns have the names that mteb gives them."""
        return ()

    def scores_blank_texts(self, convention: Convention) -> bool:
        """For mteb to say."""
        return True


OwnSpec = (
    StsSpec
    | ClassificationSpec
    | NliSpec
    | PairClassificationSpec
    | RerankingSpec
    | ClusteringSpec
    | DimensionSpec
    | RelatednessSpec
    | RetrievalSpec
)
TaskSpec = Annotated[OwnSpec | MtebSpec, Field(discriminator="kind")]


_SPECS = {get_args(spec.model_fields["kind"].annotation)[0]: spec for spec in get_args(OwnSpec)}
KINDS = tuple(_SPECS)


def scored_from(kind: str) -> tuple[MethodOutput, ...]:
    """What of a method a kind can be scored from."""
    found: tuple[MethodOutput, ...] = _SPECS[kind].scored_from
    return found


def row_columns(kind: str) -> tuple[str, ...]:
    """Columns that rows of a task of a kind must have.

    Raises:
        UsageError: There is no such kind.
    """
    if kind not in _SPECS:
        hint = did_you_mean(kind, KINDS) or f"choose {', '.join(KINDS)}"
        raise UsageError(f"unknown kind {kind!r}; {hint}")
    spec = _SPECS[kind].model_validate({"name": kind, "kind": kind, "data": ""})
    columns: tuple[str, ...] = spec.row_columns()
    return columns
