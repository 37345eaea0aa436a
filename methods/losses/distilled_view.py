"""Cross-view training against a frozen teacher (SCT, arXiv 2311.03228, equations 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.losses.cross_view import DivergenceKind, RingQueue, cross_view_loss


class DistilledViewLoss(nn.Module):
    """The cross-view loss whose references and queues are vectors of a teacher.

    The student has no projector here, as in the authors' code.

    Args:
        model: Student, whose vectors have the teacher's size u.
        teacher: Vectors of the teacher for each view of all N rows, float32 (N, u) each.
        seed: Seed of the queues.
        queue_size: Rows K of each queue.
        tau_ref: Temperature of the teacher.
        tau_on: Temperature of the student.
        half: Halve the sum, as the paper does.
        kind: ``kl`` or ``ce``.
        joint: Loss of the student without a teacher that is added (equation 4), or None.

    Raises:
        ValueError: Student and teacher have vectors of different sizes.
    """

    teacher1: Tensor
    teacher2: Tensor

    def __init__(
        self,
        model: SentenceTransformer,
        teacher: tuple[Tensor, Tensor],
        *,
        seed: int,
        queue_size: int,
        tau_ref: float,
        tau_on: float,
        half: bool = False,
        kind: DivergenceKind = "kl",
        joint: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width = teacher[0].shape[1]
        if model.get_embedding_dimension() != width:
            raise ValueError(
                f"the student has {model.get_embedding_dimension()} dimensions, the teacher {width}"
            )
        self.model = model
        # Made anew from the teacher after an interruption, so no part of checkpoints.
        for name, vectors in zip(("teacher1", "teacher2"), teacher, strict=True):
            self.register_buffer(name, functional.normalize(vectors, dim=1), persistent=False)
        generator = torch.Generator().manual_seed(seed)
        self.queue1 = RingQueue(queue_size, width, generator)
        self.queue2 = RingQueue(queue_size, width, generator)
        self.joint = joint
        self._loss = partial(cross_view_loss, tau_ref=tau_ref, tau_on=tau_on, kind=kind, half=half)

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Encode both views and compute the loss.

        Args:
            features: Tokens of view 1 and view 2, (B, L) each.
            labels: Numbers of the rows (B,), which choose the teacher's vectors.
        """
        views = [dict(view) for view in features]
        z1, z2 = (self._student(view) for view in views)
        loss = self.from_vectors(z1, z2, labels.long())
        return loss if self.joint is None else loss + self.joint(views, None)

    def from_vectors(self, z1: Tensor, z2: Tensor, rows: Tensor) -> Tensor:
        """Compute the loss of unit rows (B, u), then enqueue the teacher's in training."""
        r1, r2 = self.teacher1[rows], self.teacher2[rows]
        loss = self._loss(z1, z2, r1, r2, self.queue1.rows, self.queue2.rows)
        if self.model.training:
            self.queue1.enqueue(r1)
            self.queue2.enqueue(r2)
        return loss

    def _student(self, view: dict[str, Any]) -> Tensor:
        vectors = self.model(dict(view))["sentence_embedding"]
        return functional.normalize(vectors.float(), dim=1)
