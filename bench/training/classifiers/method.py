"""Methods that train a classifier on the labelled rows of each task.

Such a method is built twice over. Without rows it becomes a predictor, which trains nothing until a
task asks it; then the same method with the task's rows is built as any method that trains: kept
under a fingerprint of settings, base, rows, seed and code, and resumed where it was cut off.
"""

from __future__ import annotations

import json
import shutil
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import UsageError
from bench.core.files import write_atomic
from bench.core.sealed import damage, make_sealed_folder
from bench.data.access import DataAccess
from bench.method import (
    Answer,
    BuildContext,
    LabelsOnly,
    Method,
    ModelAccess,
    Question,
    TrainingLoad,
)
from bench.method.contract import SUMMARY_FILE
from bench.training.classifiers.rows import ClassifierRows, make_rows, single_texts
from bench.training.classifiers.saved import (
    SavedClassifier,
    make_classifier,
    read_labels,
    write_labels,
)
from bench.training.classifiers.settings import ClassifierConfig

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


@dataclass(frozen=True)
class Stages:
    """Trainings of a model one after the other, each from the saved weights of the one before.

    A stage that is done is not done again where the whole is resumed.

    Attributes:
        ctx: Seed, device, folder and progress of the whole.
    """

    ctx: BuildContext

    def folder(self, name: str) -> Path:
        """Where the model of a stage is kept until the whole is done."""
        return self.ctx.workdir / "stages" / name

    def start(self, make: Callable[[], SentenceTransformer]) -> Path:
        """Save the model to start from."""
        folder = self.folder("start")
        if damage(folder) is not None:
            _save(make(), folder)
        return folder

    def run(
        self, name: str, before: Path, learn: Callable[[SentenceTransformer, BuildContext], object]
    ) -> Path:
        """Train a model in place and save it.

        Args:
            name: Name of the stage.
            before: Folder of the model to train.
            learn: Trains it, in a folder of its own, where it may leave ``training.json``.
        """
        from bench.models.checkpoints import load_folder

        folder = self.folder(name)
        if damage(folder) is not None:
            work = self.ctx.workdir / f"{name}-work"
            work.mkdir(exist_ok=True)
            self.ctx.progress.note(f"  stage {name}")
            model = load_folder(before, self.ctx.device)
            learn(model, replace(self.ctx, workdir=work))
            _save(model, folder, work / SUMMARY_FILE)
        return folder

    def summarise(self, names: Sequence[str]) -> None:
        """Write ``training.json`` of the whole: what each stage reported."""
        stages = {}
        for name in names:
            path = self.folder(name) / SUMMARY_FILE
            if path.is_file():
                stages[name] = json.loads(path.read_text(encoding="utf-8"))
        write_atomic(
            self.ctx.workdir / SUMMARY_FILE, json.dumps({"stages": stages}, indent=2).encode()
        )


class ClassifierMethod(Method):
    """A method that trains a classifier on the rows of each task.

    Attributes:
        rows: Rows that the build trains on; None for the predictor that a task will ask.
    """

    config: ClassifierConfig
    rows: ClassifierRows | None = None

    def on(self, rows: ClassifierRows) -> ClassifierMethod:
        """The same method, to be trained on some rows."""
        method = copy(self)
        method.rows = rows
        return method

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """The rows of a batch."""
        config = self.config
        if not self.trains:
            return {}
        return {config.base: TrainingLoad(config.batch_size, config.max_seq_length)}

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """The base or checkpoint, and the rows."""
        inputs = dict(super().inputs(data, models))
        if self.rows is not None:
            inputs["rows"] = self.rows.fingerprint()
        return inputs

    def build(self, ctx: BuildContext) -> LabelsOnly | SentenceTransformer:
        """Train on the rows; without rows make what predicts.

        Raises:
            DataError: A checkpoint holds no classifier.
        """
        if self.rows is not None:
            return self._train(self.rows, ctx)
        if self.checkpoint is None:
            return TaskClassifiers(self, ctx)
        # Labels first: what else the name may stand for has none.
        read_labels(Path(self.checkpoint))
        model = ctx.models.load(self.checkpoint)
        classifier = make_classifier(model, Path(self.checkpoint))
        return SavedClassifier(self.info.name, classifier)

    def learnable(self, question: Question) -> ClassifierRows:
        """What of a question the training reads.

        Raises:
            CellError: Rows hold two texts, or the labels are scores, or all the same.
        """
        dev_rows = self.config.dev_rows
        return make_rows(question.train, question.dev, seed=question.seed, dev_rows=dev_rows)

    @abstractmethod
    def encoder(self, rows: ClassifierRows, stages: Stages) -> Path:
        """Train what comes before the classifier, if anything; the folder of the encoder."""

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """Model that the first training starts from.

        Raises:
            UsageError: The base is not a transformer.
        """
        model = ctx.models.load(self.config.base, pooling=self.config.pooling)
        if getattr(model[0], "auto_model", None) is None:
            raise UsageError(f"base {self.config.base!r} is not a transformer; name another one")
        # Training puts no prompt before a text, and labelling would.
        model.prompts, model.default_prompt_name = {}, None
        return model

    def _train(self, rows: ClassifierRows, ctx: BuildContext) -> SentenceTransformer:
        from bench.models.checkpoints import load_folder
        from bench.training.classifiers.trainer import train_classifier

        stages, config = Stages(ctx), self.config
        before = self.encoder(rows, stages)
        last = stages.run(
            "ft", before, lambda model, own: train_classifier(model, rows, config, own)
        )
        stages.summarise([path.name for path in sorted((ctx.workdir / "stages").iterdir())])
        write_labels(ctx.extra, rows.labels)
        return load_folder(last, ctx.device)


class TaskClassifiers(LabelsOnly):
    """Trains a classifier for each task that asks, or finds the one that was trained before.

    Args:
        method: The method, without rows.
        ctx: What it was built with.
    """

    def __init__(self, method: ClassifierMethod, ctx: BuildContext) -> None:
        super().__init__(method.info.name)
        self._method = method
        self._models = ctx.models
        self._progress = ctx.progress

    def answer(self, question: Question) -> Answer:
        """Label rows by a classifier trained on the training rows and stopped by the dev rows.

        Labels that no training row has are never given. Without dev rows a fifth of the
        training rows stands in, which nothing else learns from.

        Raises:
            CellError: Rows hold two texts, or the labels are scores, or all the same.
        """
        texts = single_texts(question.texts)
        rows = self._method.learnable(question)
        built = self._models.build(self._method.on(rows), seed=question.seed)
        folder, model = built.folder, built.encoder
        from sentence_transformers import SentenceTransformer

        if folder is None or not isinstance(model, SentenceTransformer):
            raise TypeError(f"{self.name} trained no sentence transformer")
        self._progress.note(f"  classifier of {len(rows.labels)} labels: {folder}")
        given = make_classifier(model, folder).probabilities(texts)
        trainings = () if built.training is None else (built.training,)
        return replace(Answer.most_probable(given), trainings=trainings)


def _save(model: SentenceTransformer, folder: Path, summary: Path | None = None) -> None:
    def fill(place: Path) -> None:
        model.save_pretrained(str(place), create_model_card=False)
        if summary is not None and summary.is_file():
            shutil.copy(summary, place / SUMMARY_FILE)

    make_sealed_folder(folder, fill)
