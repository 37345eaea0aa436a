"""SCT with a teacher: a large model's similarities guide a small one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.core.spec import has_base, parse_method_spec, with_defaults
from bench.data.access import DataAccess
from bench.data.corpora import Texts
from bench.method import BuildContext, MethodInfo, ModelAccess, method_class, resolve
from bench.methods.sct import PUBLISHED as WITHOUT_TEACHER
from bench.methods.sct import SCT

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

# Of the authors' read-me, with the bases of Table 1.
PUBLISHED: Mapping[str, tuple[str, float, int, float, float]] = {
    size: (WITHOUT_TEACHER[size][0], *settings)
    for size, settings in {
        "tiny": (5e-4, 131_072, 0.03, 0.04),
        "mini": (1e-4, 65_536, 0.04, 0.05),
        "small": (1e-4, 131_072, 0.04, 0.05),
        "base": (1e-4, 65_536, 0.04, 0.05),
    }.items()
}


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
            student: Method that makes the student, with the ``base``, ``corpus``, ``sentences``,
                ``views`` and ``mlm`` of this one where it names none of its own, and with
                ``pooling`` and ``template`` where they are not the usual ones; empty to start
                from ``base`` itself. Its queue, projector, adapters and losses are its own.
            joint: The sum of equation 4 from ``base`` on, in place of the two stages of the
                authors' code, which start from a student that SCT has trained.
            projector: Of the student. By default there is none before the teacher's vectors, as in
                the authors' code, and with ``joint`` the paper's in SCT's own loss.
            momentum: With ``joint``, that of SCT's own references.
        """

        published: ClassVar[Mapping[str, tuple[str, float, int, float, float]]] = PUBLISHED

        size: Literal["tiny", "mini", "small", "base"] | None = None
        teacher: str = "princeton-nlp/unsup-simcse-bert-large-uncased"
        student: str = "sct"
        joint: bool = False
        queue_size: int = Field(131_072, ge=0)
        tau_ref: float = Field(0.04, gt=0)
        tau_on: float = Field(0.05, gt=0)
        lr: float = Field(1e-4, gt=0)

        def idle(self) -> Mapping[str, str]:
            """What SCT's own references and a student of its own need."""
            idle = dict(super().idle())
            if self.joint:
                idle["student"] = "with joint=true training starts from base"
                return idle
            idle["momentum"] = "it is of SCT's own references, which joint=true has"
            if self.student and has_base(self.student):
                idle["base"] = "student names its own"
            return idle

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            **SCT.profiles["local"],
            "projector": None,
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
        return with_defaults(config.student, self._lent(config.student))

    def _lent(self, student: str) -> dict[str, str]:
        """Base and text for a student, where by default it has others."""
        spec = parse_method_spec(student)
        own = resolve(method_class(spec.name), spec, self.profile).config
        wanted, usual = self.config.options(), SCT.Config().options()
        # Others than SCT have a pooling of their own, which only what was asked for replaces.
        asked = [name for name in ("pooling", "template") if wanted[name] != usual[name]]
        lent: dict[str, str] = {
            name: str(wanted[name])
            for name in ("corpus", "sentences", "views", "mlm", *asked)
            if name in wanted and getattr(own, name, wanted[name]) != wanted[name]
        }
        if {"base", "size"} & dict(spec.options).keys():
            return lent
        base = self.config.base
        size = next((size for size, (known, *_) in WITHOUT_TEACHER.items() if known == base), None)
        # A published student has the published settings of its size, where no profile has others.
        if size is not None and hasattr(own, "size") and not SCT.profiles.get(self.profile):
            return {**lent, "size": size}
        return {**lent, "base": base}

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """The student, with a linear layer and tanh where the teacher's vectors are larger.

        It gets the template and adapters of these settings.
        """
        model = ctx.models.load(self._student, pooling=self.pooling)
        self.adapt(model, ctx)
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
        loss = DistilledViewLoss(
            model,
            (first, second),
            self.view_settings(config.projector or "none"),
            seed=ctx.seed,
            joint=super().loss(model, rows, ctx) if config.joint else None,
        )
        if config.queue_start == "vectors" and config.queue_size:
            last = len(rows) - config.queue_size
            loss.fill(first[last:], second[last:])
        return loss
