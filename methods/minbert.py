"""minBERT: one encoder with heads for sentiment, paraphrase and similarity.

The baselines of the 2-Tier SimCSE report, and its transfer of SimCSE encoders to the other tasks.
The full text of the report was not available: the heads, the sampling of several tasks and the
dropout schemes are a reading of our own, see ``bench.methods.losses.task_heads``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from bench.core.errors import CellError, UsageError
from bench.core.files import write_atomic
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput
from bench.data.rows import Row
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
from bench.method.contract import SUMMARY_FILE
from bench.methods.parts.task_rows import (
    PAIR,
    PARAPHRASE,
    SENTIMENT,
    SIMILARITY,
    TaskRows,
    TrainedTask,
    refuse_other_rows,
)

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.methods.losses.task_heads import CosineScore, Head
    from bench.training.trainer import TrainSettings

# That of CS224N's starter code (repository gpoesia/minbert-default-final-project).
ADAM_EPSILON = 1e-6
PREDICT_BATCH = 128
_SHOWN = 5


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
    if columns == 1 and labels == set(range(SENTIMENT.classes or 0)):
        return SENTIMENT
    if columns == len(PAIR) and all(isinstance(label, float) for label in train.labels):
        return SIMILARITY
    if columns == len(PAIR) and labels <= {0, 1}:
        return PARAPHRASE
    shown = ", ".join(sorted(map(repr, labels))[:_SHOWN])
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
            paraphrases: Rows of the paraphrase task: splits of the catalog, or a file with columns
                ``sentence1``, ``sentence2`` and ``label``, 0 or 1. By default they are a fixed
                part of CS224N's dev split; its larger training split is not in the catalog.
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
        paraphrases: str = PARAPHRASE.ref

        @field_validator("paraphrases")
        @classmethod
        def _could_be_paraphrases(cls, value: str) -> str:
            try:
                refuse_other_rows(PARAPHRASE, value)
            except UsageError as error:
                raise ValueError(str(error)) from None
            return value

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
        sets = map(self._rows, self.trained_tasks)
        return {rows.ref: rows for rows in sets}

    def _rows(self, task: TrainedTask) -> TaskRows:
        ref = self.config.paraphrases if task is PARAPHRASE else task.ref
        return TaskRows(task, ref, self.config.sentences)

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
        """Train every encoder with its heads.

        Raises:
            DataError: Rows are missing or changed, or a file has a label that is none.
            CellError: The loss became NaN or infinite, or a model collapsed.
        """
        tasks = self.trained_tasks
        groups = [tasks] if self.config.tasks == "multi" else [[task] for task in tasks]
        trained: dict[str, TaskModel] = {}
        sets: dict[str, dict[str, Any]] = {}
        for group in groups:
            models, of_group = self._train(group, ctx)
            trained |= models
            sets |= of_group
        _summarise(groups, sets, ctx)
        if self.config.sts == "cosine":
            from bench.methods.losses.task_heads import CosineScore

            trained[SIMILARITY.name] = TaskModel(self._start(ctx).eval(), CosineScore())
        return MinBertEncoder(trained)

    def _start(self, ctx: BuildContext) -> SentenceTransformer:
        pooling = self.config.pooling
        if pooling is None and method_spec(self.config.base) is None:
            return ctx.models.load(self.config.base, pooling="pooler")
        return ctx.models.load(self.config.base, pooling=pooling)

    def _train(
        self, tasks: Sequence[TrainedTask], ctx: BuildContext
    ) -> tuple[dict[str, TaskModel], dict[str, dict[str, Any]]]:
        """Train one encoder with a head for each of some tasks; also say on which rows."""
        from bench.methods.losses.task_heads import MultiTaskLoss, TaskLoss
        from bench.training.trainer import train

        model = self._start(ctx)
        if self.config.dropout == "adaptive":
            from bench.methods.parts.dropout import append_adaptive

            append_adaptive(model, ctx.seed)
        heads = {task.name: self._head(task, model, ctx.seed) for task in tasks}
        whole = [self._rows(task).load(ctx.data) for task in tasks]
        sets = _drawn(whole, ctx.seed)
        loss: torch.nn.Module = MultiTaskLoss(
            [TaskLoss(model, head) for head in heads.values()],
            [_labels(task, rows) for task, rows in zip(tasks, sets, strict=True)],
        )
        settings, count = self._train_settings(), len(sets[0])
        if self.config.dropout == "curriculum":
            from bench.methods.parts.dropout import CurriculumDropout

            loss = CurriculumDropout(model, loss, settings.total_steps(count))
        # A folder each, so that a build that was cut off goes on in the training that it was in.
        folder = _folder(tasks, ctx)
        folder.mkdir(exist_ok=True)
        numbers = [float(number) for number in range(count)]
        own = replace(ctx, workdir=folder)
        train(model, loss, _joined(tasks, sets), settings, own, labels=numbers)
        told = {
            task.name: {"from": self._rows(task).ref, "rows": len(rows), "in_an_epoch": count}
            for task, rows in zip(tasks, whole, strict=True)
        }
        return {name: TaskModel(model, head) for name, head in heads.items()}, told

    def _head(self, task: TrainedTask, model: SentenceTransformer, seed: int) -> Head:
        from bench.methods.losses.task_heads import ParaphraseHead, SentimentHead, SimilarityHead

        width = int(model.get_embedding_dimension() or 0)
        dropout = self.config.head_dropout
        if task is SENTIMENT:
            return SentimentHead(width, SENTIMENT.classes or 0, dropout=dropout, seed=seed)
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


def _folder(tasks: Sequence[TrainedTask], ctx: BuildContext) -> Path:
    return ctx.workdir / "-".join(task.name for task in tasks)


def _summarise(
    groups: Sequence[Sequence[TrainedTask]],
    sets: Mapping[str, Mapping[str, Any]],
    ctx: BuildContext,
) -> None:
    """Write ``training.json`` of the whole: what each training reported, and its rows."""
    paths = {"-".join(task.name for task in group): _folder(group, ctx) for group in groups}
    stages = {
        name: json.loads((path / SUMMARY_FILE).read_text(encoding="utf-8"))
        for name, path in paths.items()
        if (path / SUMMARY_FILE).is_file()
    }
    seconds = sum(stage["seconds"] for stage in stages.values())
    summary = {"seconds": seconds, "sets": sets, "stages": stages}
    write_atomic(ctx.workdir / SUMMARY_FILE, json.dumps(summary, indent=2).encode())


def _drawn(sets: Sequence[Sequence[Row]], seed: int) -> list[list[Row]]:
    """As many rows of every task as the first one has."""
    from bench.methods.losses.task_heads import equal_shares

    shares = equal_shares([len(rows) for rows in sets], len(sets[0]), seed)
    return [[rows[i] for i in share] for rows, share in zip(sets, shares, strict=True)]


def _labels(task: TrainedTask, rows: Sequence[Row]) -> torch.Tensor:
    import torch

    return torch.tensor([float(row[task.label]) for row in rows])


def _joined(tasks: Sequence[TrainedTask], sets: Sequence[Sequence[Row]]) -> list[tuple[str, ...]]:
    """Texts of one row of each task, for every row."""
    return [
        tuple(text for task, row in zip(tasks, rows, strict=True) for text in task.texts(row))
        for rows in zip(*sets, strict=True)
    ]
