"""SCT with a teacher: a large model's similarities guide a small one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.core.spec import on_base
from bench.data.access import DataAccess
from bench.data.corpora import Texts
from bench.method import BuildContext, MethodInfo, ModelAccess
from bench.methods.sct import SCT

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


class SCTDistill(SCT):
    """Each view predicts the teacher's similarity distribution of the other one."""

    info = MethodInfo(
        name="sct-distill",
        title="SCT, distilled from a teacher",
        kind="contrastive",
        paper="An Efficient Self-Supervised Cross-View Training For Sentence Embedding",
        arxiv="2311.03228",
        year=2023,
        trains=True,
    )

    class Config(SCT.Config):
        """Settings; the defaults are the published ones for BERT-Small.

        Attributes:
            teacher: Method, folder or hub id whose vectors are learnt.
            student: Method that makes the student from ``base``, unless it names a base of its
                own; empty to start from ``base`` itself.
            joint: The sum of equation 4 from ``base`` on, in place of the two stages of the
                authors' code, which start from a student that SCT has trained.
        """

        teacher: str = "princeton-nlp/unsup-simcse-bert-large-uncased"
        student: str = "sct"
        joint: bool = False
        queue_size: int = Field(131_072, ge=0)
        tau_ref: float = Field(0.04, gt=0)
        tau_on: float = Field(0.05, gt=0)
        lr: float = Field(1e-4, gt=0)

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            **SCT.profiles["local"],
            "teacher": "minilm",
            "tau_ref": 0.04,
            "tau_on": 0.05,
            "lr": 1e-3,
        },
    }

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of SCT, the teacher and the student's own training."""
        inputs = dict(super().inputs(data, models))
        if self.trains:
            inputs["teacher"] = models.fingerprint(self.config.teacher)
            inputs["student"] = models.fingerprint(self._student)
        return inputs

    @property
    def parents(self) -> tuple[str, ...]:
        """The student, and the teacher."""
        return () if self.checkpoint else (self._student, self.config.teacher)

    @property
    def _student(self) -> str:
        config = self.config
        if config.joint or not config.student:
            return config.base
        return on_base(config.student, config.base)

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The student, with a linear layer and tanh where the teacher's vectors are larger."""
        model = ctx.models.load(self._student, pooling=self.pooling)
        wanted = ctx.models.vectors(self.config.teacher, ["size"]).shape[1]
        if model.get_embedding_dimension() != wanted:
            from bench.training.heads import append_head

            append_head(model, ctx.seed, wanted)
        return model

    def labels(self, rows: list[Texts], ctx: BuildContext) -> list[float]:
        """The number of each row, by which the loss finds the teacher's vectors."""
        return [float(number) for number in range(len(rows))]

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """Cross-view divergence from the teacher, and from itself where joint."""
        import torch

        from bench.methods.losses.distilled_view import DistilledViewLoss

        config = self.config
        views = zip(*rows, strict=True)
        first, second = (
            torch.from_numpy(ctx.models.vectors(config.teacher, texts)).to(model.device)
            for texts in views
        )
        return DistilledViewLoss(
            model,
            (first, second),
            seed=ctx.seed,
            queue_size=config.queue_size,
            tau_ref=config.tau_ref,
            tau_on=config.tau_on,
            half=config.half,
            kind=config.kind,
            joint=super().loss(model, rows, ctx) if config.joint else None,
        )
