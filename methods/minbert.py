"""minBERT: one encoder with heads for sentiment, paraphrase and similarity.

The baselines of the 2-Tier SimCSE report, and its transfer of SimCSE encoders to the other tasks.
The full text of the report was not available: the heads, the sampling of several tasks and the
dropout schemes are a reading of our own, see ``bench.methods.losses.task_heads``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.core.errors import CellError, UsageError
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput, TrainingSet
from bench.data.catalog import dataset_of
from bench.data.rows import Row, row_digest
from bench.method import (
    Answer,
    BuildContext,
    LabelledTexts,
    Method,
    MethodConfig,
    MethodInfo,
    ModelAccess,
    Question,
    TrainingLoad,
    method_spec,
)

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.methods.losses.task_heads import CosineScore, Head
    from bench.training.trainer import TrainSettings

# That of CS224N's starter code (repository gpoesia/minbert-default-final-project).
ADAM_EPSILON = 1e-6
CLASSES = 5
PREDICT_BATCH = 128


@dataclass(frozen=True)
class TrainedTask:
    """One of the three tasks.

    Attributes:
        name: Its name.
        ref: Rows to train on, those of suite ``minbert``.
        columns: Columns of text.
        label: Column of the label.
    """

    name: str
    ref: str
    columns: tuple[str, ...]
    label: str

    def texts(self, row: Row) -> tuple[str, ...]:
        """Texts of a row."""
        return tuple(str(row[column]) for column in self.columns)


@dataclass(frozen=True)
class TaskRows(TrainingSet):
    """Rows of a task.

    Attributes:
        task: The task.
        limit: Number of rows, the same ones for every seed, or None for all.
    """

    task: TrainedTask
    limit: int | None = None

    def load(self, data: DataAccess) -> list[Row]:
        """Read the rows.

        Raises:
            DataError: They are missing, or differ from the catalog.
        """
        rows = data.rows(self.task.ref)
        # Not those at the start of the file, which may hold one genre only.
        return sorted(rows, key=self._digest)[: self.limit] if self.limit else rows

    def _digest(self, row: Row) -> str:
        return row_digest(row, (*self.task.columns, self.task.label))

    def fingerprint(self, data: DataAccess) -> str:
        """Checksum of all rows."""
        return data.sha256(self.task.ref)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The one data set that they are of."""
        return (dataset_of(self.task.ref),)

    def texts(self, data: DataAccess) -> Iterator[str]:
        """Texts of the rows."""
        for row in self.load(data):
            yield from self.task.texts(row)


PAIR = ("sentence1", "sentence2")
SENTIMENT = TrainedTask("sentiment", "classification/sst5:train", ("text",), "label")
PARAPHRASE = TrainedTask("paraphrase", "paraphrase/quora:dev#train", PAIR, "label")
SIMILARITY = TrainedTask("similarity", "sts/stsb:train", PAIR, "score")


@dataclass(frozen=True)
class TaskModel:
    """An encoder with the head of a task, on one device."""

    model: SentenceTransformer
    head: Head | CosineScore

    def outputs(self, texts: Sequence[tuple[str, ...]]) -> NDArray[np.float32]:
        """Outputs of the head for n rows of texts, (n,) or (n, classes)."""
        import torch

        vectors = [
            self.model.encode(
                list(column),
                batch_size=PREDICT_BATCH,
                convert_to_tensor=True,
                show_progress_bar=False,
            )
            for column in zip(*texts, strict=True)
        ]
        with torch.inference_mode():
            outputs: NDArray[np.float32] = self.head.eval()(*vectors).cpu().numpy()
        return outputs


class MinBertEncoder:
    """Encoders and heads of the three tasks.

    Args:
        trained: Those of each task by its name.
    """

    def __init__(self, trained: Mapping[str, TaskModel]) -> None:
        self._trained = trained

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode texts with the encoder that scores similarity, to float32 of shape (n, d)."""
        model = self._trained[SIMILARITY.name].model
        vectors = model.encode(list(texts), batch_size=PREDICT_BATCH, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    def answer(self, question: Question) -> Answer:
        """Answer with the heads trained in the build; the rows only tell which task it is.

        Raises:
            CellError: They are of none of the three tasks.
        """
        task = recognise(question.train)
        outputs = self._trained[task.name].outputs(question.texts)
        if task is SENTIMENT:
            return Answer([int(label) for label in outputs.argmax(axis=1)])
        if task is PARAPHRASE:
            return Answer([int(logit > 0) for logit in outputs])
        return Answer([float(score) for score in outputs])


def recognise(train: LabelledTexts) -> TrainedTask:
    """Tell the task by the form of its rows.

    Raises:
        CellError: It is none of the three.
    """
    columns, labels = len(train.texts[0]), set(train.labels)
    if columns == 1 and labels == set(range(CLASSES)):
        return SENTIMENT
    if columns == len(PAIR) and all(isinstance(label, float) for label in train.labels):
        return SIMILARITY
    if columns == len(PAIR) and labels <= {0, 1}:
        return PARAPHRASE
    shown = ", ".join(sorted(map(repr, labels))[:CLASSES])
    raise CellError(
        f"minbert has no head for labels {shown} of {columns} text{'s' * (columns > 1)}; its heads "
        "are trained on SST5, Quora and STS-B, so it predicts in suite minbert only"
    )


class MinBert(Method):
    """Fine-tunes an encoder for each of the three tasks, or one for all of them."""

    info = MethodInfo(
        name="minbert",
        title="minBERT, fine-tuned for sentiment, paraphrase and similarity",
        kind="supervised",
        paper="2-Tier SimCSE: Elevating BERT for Robust Sentence Embeddings",
        arxiv="2501.13758",
        year=2025,
        trains=True,
    )

    class Config(MethodConfig):
        """Settings; the defaults are those of CS224N's starter code, the report's are not known.

        Attributes:
            base: Method, folder or hub id that every training starts from.
            pooling: Pooling that the base is rebuilt with. None leaves a method its own, with a
                head that it has trained, and gives a bare transformer its pooler.
            tasks: ``single`` trains an encoder for each task, ``multi`` one for all.
            sts: ``head`` trains on the scores of STS-B, ``cosine`` takes the cosines of the base.
            dropout: ``standard`` is what the base has; ``curriculum`` raises it from 0 in each
                training; ``adaptive`` adds a gate with weights of its own behind the pooling.
            head_dropout: Drop probability before the linear layers of the heads.
            lr: Peak learning rate; it falls linearly to zero, where the starter code keeps it as
                it is.
            batch_size: Rows of each task in a batch.
            epochs: Passes over the rows; with ``multi`` over those of the first task, and equally
                many of each other one.
            max_steps: Upper bound of the steps of a training, or -1.
            max_seq_length: Tokens of a text in training.
            sentences: Most rows of a task, or None for all.
        """

        base: str = "bert-base-uncased"
        pooling: Literal["cls", "mean", "max", "lasttoken", "pooler"] | None = None
        tasks: Literal["single", "multi"] = "single"
        sts: Literal["head", "cosine"] = "head"
        dropout: Literal["standard", "curriculum", "adaptive"] = "standard"
        head_dropout: float = Field(0.3, ge=0, lt=1)
        lr: float = Field(1e-5, gt=0)
        batch_size: int = Field(8, gt=1)
        epochs: float = Field(10, gt=0)
        max_steps: int = Field(-1, ge=-1)
        max_seq_length: int = Field(64, gt=0)
        sentences: int | None = Field(None, gt=0)

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "lr": 1e-3,
            "batch_size": 64,
            "epochs": 1,
            "max_seq_length": 40,
            "sentences": 4_096,
        },
        "smoke": {
            "base": "minilm-l2",
            "lr": 3e-4,
            "batch_size": 32,
            "max_steps": 5,
        },
    }

    @property
    def trained_tasks(self) -> list[TrainedTask]:
        """Tasks that the build learns."""
        return [SENTIMENT, PARAPHRASE, *([SIMILARITY] if self.config.sts == "head" else [])]

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """Texts of a row of each task, or of one task where these are trained apart."""
        texts = [len(task.columns) for task in self.trained_tasks]
        per_row = sum(texts) if self.config.tasks == "multi" else max(texts)
        load = TrainingLoad(per_row * self.config.batch_size, self.config.max_seq_length)
        return {self.config.base: load}

    def reads(self) -> Mapping[str, BuildInput]:
        """The rows of the tasks that are trained."""
        return {task.ref: self._rows(task) for task in self.trained_tasks}

    def _rows(self, task: TrainedTask) -> TaskRows:
        return TaskRows(task, self.config.sentences)

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """The base, and what is read.

        Raises:
            UsageError: There is a checkpoint, which could not hold the heads.
        """
        if self.checkpoint is not None:
            raise UsageError(
                f"minbert@{self.checkpoint}: minbert has no checkpoints; to start from an encoder, "
                f"write minbert[base={self.checkpoint}]"
            )
        return super().inputs(data, models)

    def build(self, ctx: BuildContext) -> MinBertEncoder:
        """Train every encoder with its heads."""
        tasks = self.trained_tasks
        groups = [tasks] if self.config.tasks == "multi" else [[task] for task in tasks]
        trained: dict[str, TaskModel] = {}
        for group in groups:
            trained |= self._train(group, ctx)
        if self.config.sts == "cosine":
            from bench.methods.losses.task_heads import CosineScore

            trained[SIMILARITY.name] = TaskModel(self._start(ctx).eval(), CosineScore())
        return MinBertEncoder(trained)

    def _start(self, ctx: BuildContext) -> SentenceTransformer:
        pooling = self.config.pooling
        if pooling is None and method_spec(self.config.base) is None:
            return ctx.models.load(self.config.base, pooling="pooler")
        return ctx.models.load(self.config.base, pooling=pooling)

    def _train(self, tasks: Sequence[TrainedTask], ctx: BuildContext) -> dict[str, TaskModel]:
        """Train one encoder with a head for each of some tasks."""
        from bench.methods.losses.task_heads import MultiTaskLoss, TaskLoss
        from bench.training.trainer import train

        model = self._start(ctx)
        if self.config.dropout == "adaptive":
            from bench.methods.parts.dropout import append_adaptive

            append_adaptive(model, ctx.seed)
        heads = {task.name: self._head(task, model, ctx.seed) for task in tasks}
        sets = self._drawn(tasks, ctx)
        loss: torch.nn.Module = MultiTaskLoss(
            [TaskLoss(model, head) for head in heads.values()],
            [_labels(task, rows) for task, rows in zip(tasks, sets, strict=True)],
        )
        settings, count = self._train_settings(), len(sets[0])
        if self.config.dropout == "curriculum":
            from bench.methods.parts.dropout import CurriculumDropout

            loss = CurriculumDropout(model, loss, settings.total_steps(count))
        # A folder each, so that a build that was cut off goes on in the training that it was in.
        folder = ctx.workdir / "-".join(heads)
        folder.mkdir(exist_ok=True)
        numbers = [float(number) for number in range(count)]
        own = replace(ctx, workdir=folder)
        train(model, loss, _joined(tasks, sets), settings, own, labels=numbers)
        return {name: TaskModel(model, head) for name, head in heads.items()}

    def _drawn(self, tasks: Sequence[TrainedTask], ctx: BuildContext) -> list[list[Row]]:
        """As many rows of every task as the first one has."""
        from bench.methods.losses.task_heads import equal_shares

        sets = [self._rows(task).load(ctx.data) for task in tasks]
        shares = equal_shares([len(rows) for rows in sets], len(sets[0]), ctx.seed)
        return [[rows[i] for i in share] for rows, share in zip(sets, shares, strict=True)]

    def _head(self, task: TrainedTask, model: SentenceTransformer, seed: int) -> Head:
        from bench.methods.losses.task_heads import ParaphraseHead, SentimentHead, SimilarityHead

        width = int(model.get_embedding_dimension() or 0)
        dropout = self.config.head_dropout
        if task is SENTIMENT:
            return SentimentHead(width, CLASSES, dropout=dropout, seed=seed)
        if task is PARAPHRASE:
            return ParaphraseHead(width, dropout=dropout, seed=seed)
        return SimilarityHead()

    def _train_settings(self) -> TrainSettings:
        from bench.training.trainer import TrainSettings

        config = self.config
        return TrainSettings(
            lr=config.lr,
            epochs=config.epochs,
            batch_size=config.batch_size,
            max_seq_length=config.max_seq_length,
            max_steps=config.max_steps,
            adam_epsilon=ADAM_EPSILON,
        )


def _labels(task: TrainedTask, rows: Sequence[Row]) -> torch.Tensor:
    import torch

    return torch.tensor([float(row[task.label]) for row in rows])


def _joined(tasks: Sequence[TrainedTask], sets: Sequence[Sequence[Row]]) -> list[tuple[str, ...]]:
    """Texts of one row of each task, for every row."""
    return [
        tuple(text for task, row in zip(tasks, rows, strict=True) for text in task.texts(row))
        for rows in zip(*sets, strict=True)
    ]
