"""Plain fine-tuning: a classifier on an encoder, the baseline of 3-Phase."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from bench.method import MethodInfo
from bench.training.classifiers.method import ClassifierMethod, Stages
from bench.training.classifiers.rows import ClassifierRows
from bench.training.classifiers.settings import ClassifierConfig


class FineTuning(ClassifierMethod):
    """Trains two layers and the encoder below them on the labelled rows of each task.

    The paper's own baseline seems to start from random weights; this one starts from the base.
    """

    info = MethodInfo(
        name="ft",
        title="Fine-tuning with a classifier on top",
        kind="supervised",
        trains=True,
        example="--suite intent-supervised --methods ft",
    )

    class Config(ClassifierConfig):
        """Settings; the defaults are those of ``three-phase``.

        In profile ``local`` a training has at most 1,440 steps, as many as ``three-phase`` in all
        its phases, and ends before where 360 steps brought no lower loss on dev rows.
        """

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "pooling": "mean",
            "lr": 3e-4,
            "head_lr": 3e-3,
            "max_steps": 1_440,
            "patience": 6,
            "dev_every": 60,
            "dev_rows": 500,
            "max_seq_length": 32,
        },
        "smoke": {
            "base": "minilm-l2",
            "pooling": "mean",
            "lr": 1e-3,
            "max_steps": 10,
            "max_seq_length": 32,
            "dev_rows": 50,
        },
    }

    def encoder(self, rows: ClassifierRows, stages: Stages) -> Path:
        """The base."""
        return stages.start(lambda: self.start(stages.ctx))
