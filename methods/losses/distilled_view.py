"""Cross-view training against a frozen teacher (SCT, arXiv 2311.03228, equations 3 and 4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.losses.cross_view import CrossViewSettings, ViewsLoss


class DistilledViewLoss(ViewsLoss):
    """The cross-view loss whose references and queues are vectors of a teacher.

    Args:
        model: Student, whose vectors have the teacher's size u.
        teacher: Vectors of the teacher for each view of all N rows, float32 (N, u) each.
        settings: Settings; in the authors' code the student has no projector here.
        seed: Seed of projector and queues.
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
        settings: CrossViewSettings,
        *,
        seed: int,
        joint: nn.Module | None = None,
    ) -> None:
        width = teacher[0].shape[1]
        if model.get_embedding_dimension() != width:
            raise ValueError(
                f"the student has {model.get_embedding_dimension()} dimensions, the teacher {width}"
            )
        super().__init__(model, settings, seed)
        # Made anew from the teacher after an interruption, so no part of checkpoints.
        for name, vectors in zip(("teacher1", "teacher2"), teacher, strict=True):
            self.register_buffer(name, functional.normalize(vectors, dim=1), persistent=False)
        self.joint = joint

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Encode both views and compute the loss.

        Args:
            features: Tokens of view 1 and view 2, (B, L) each.
            labels: Numbers of the rows (B,), which choose the teacher's vectors.
        """
        views = [dict(view) for view in features]
        z1, z2 = (self.online(view) for view in views)
        rows = labels.long()
        loss = self.compare(z1, z2, self.teacher1[rows], self.teacher2[rows])
        return loss if self.joint is None else loss + self.joint(views, None)
