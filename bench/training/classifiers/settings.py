"""Settings of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from bench.method import MethodConfig


class ClassifierConfig(MethodConfig):
    """Settings of a classifier and of its last training.

    Attributes:
        base: Method, folder or hub id that training starts from.
        pooling: Pooling that a method is rebuilt with and a bare transformer gets; a saved
            sentence transformer keeps its own.
        lr: Peak learning rate of the classifier; it falls linearly to zero.
        head_lr: That of the two new layers alone, None for the same. In a few hundred steps new
            layers learn little at a rate that an encoder stands.
        epochs: Most passes over the training rows.
        max_steps: Most steps, or -1.
        patience: Evaluations on the dev rows without a new lowest loss before the training ends, or
            0 for the paper's rule alone, see ``bench.training.classifiers.trainer.has_to_stop``.
        dev_every: Steps between these evaluations; None for an epoch, or a fifth of the steps
            where that is less.
        batch_size: Rows in a batch.
        max_seq_length: Tokens that a text is cut to, in training and when it is labelled.
        freeze: Train the head alone.
        activation: Between the two layers of the head.
        dev_rows: Most rows to stop by, or None for all.
    """

    base: str = "roberta-base"
    pooling: Literal["cls", "mean", "max"] = "cls"
    lr: float = Field(1e-5, gt=0)
    head_lr: float | None = Field(None, gt=0)
    epochs: int = Field(70, gt=0)
    max_steps: int = Field(-1, ge=-1)
    patience: int = Field(0, ge=0)
    dev_every: int | None = Field(None, gt=0)
    batch_size: int = Field(32, gt=1)
    max_seq_length: int = Field(128, gt=2)
    freeze: bool = False
    activation: Literal["relu", "none"] = "relu"
    dev_rows: int | None = Field(None, gt=1)

    def idle(self) -> Mapping[str, str]:
        """What the rate of an encoder needs: one that is trained."""
        if self.freeze and self.head_lr is not None:
            return {"lr": "head_lr is the rate of all that freeze=true leaves to train"}
        return {}
