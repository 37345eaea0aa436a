"""JTCSE: two SimCSE models trained on together, whose vectors are added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from bench.core.spec import MethodSpec, has_base, on_base
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput
from bench.data.corpora import NamedCorpus, Texts
from bench.method import BuildContext, Encoder, MethodInfo, ModelAccess, TrainingLoad
from bench.training.method import CorpusConfig, CorpusMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.training.trainer import TrainSettings

# Distance of the second tower's seed from the build's.
SEED_STRIDE = 1_000
# Peak learning rates of the two distillations, TNCSE's for BERT-base.
DISTILL_LR = {"distilled": 1e-5, "uc-distilled": 1.5e-5}
# AdamW's default, which the authors' code keeps; it clips no gradients.
WEIGHT_DECAY = 0.01
_OF_DISTILLATION = ("distill_lr", "distill_sentences")
_OF_UC = ("uc", "uc_weight")
_OF_OUTPUT = ("output", *_OF_DISTILLATION, *_OF_UC)
_OF_JOINT = ("lr", "sentences", "cross_attention", "cross_layers", "interaction", "modulus")
_OF_TRAINING = (
    "corpus",
    "batch_size",
    "epochs",
    "max_steps",
    "max_seq_length",
    "dev",
    "dev_every",
    "micro_batch",
    "temperature",
    "schedule",
)


class JTCSE(CorpusMethod):
    """Contrast within and between two towers, and a term that ties lengths too."""

    info = MethodInfo(
        name="jtcse",
        title="JTCSE, two towers with tensor-modulus constraints and cross-attention",
        kind="ensemble",
        paper=(
            "JTCSE: Joint Tensor-Modulus Constraints and Cross-Attention for Unsupervised "
            "Contrastive Learning of Sentence Embeddings"
        ),
        arxiv="2505.02366",
        year=2025,
        trains=True,
        gathers=True,
    )

    class Config(CorpusConfig):
        """Settings; the defaults are the published ones for BERT-base.

        Stage 1 is that of TNCSE (arXiv 2503.12739), whose text and learning rates JTCSE keeps; for
        RoBERTa-base its second tower has 1.25e-5. Its positives are round-trip translations, by
        way of French for one tower and Russian for the other, which are not published: here the
        positive is the sentence itself, and the towers are two seeds. With such pairs in a file
        it is ``stage1=simcse[lr=1.5e-5,positives=pairs,corpus=FILE]``, and so for ``stage1_b``.
        The paper adds unlabelled sentences of SICK to its text and does not say which; here they
        are those of its training and trial pairs.

        Attributes:
            stage1: Spec of the method that makes each tower; it starts from ``base`` unless it
                names a base of its own. It should have the same pooling.
            stage1_b: Spec for the second tower; empty, as where ``stage1`` alone is given, for the
                same as the first one's.
            pooling: Pooling of the towers.
            temperature: Temperature of the softmax.
            cross_attention: Contrast what the towers' tokens find in each other.
            cross_layers: Layers that attend across, equally spaced; it divides the number of the
                base's layers. Their wiring is our choice, see ``bench.methods.parts.twin``.
            interaction: Contrast each tower's vectors with the other's.
            modulus: Add the tensor-modulus term.
            joint: Train the towers together; without it they are added as the first stage left
                them.
            schedule: Course of the learning rate: ``constant``, or ``linear`` to zero.
            output: The ``twin``; ``tower-a`` or ``tower-b`` of it alone; a single tower that is
                ``distilled`` from it, starting from tower A (the paper's D); ``uc``, the twin with
                a further checkpoint beside it (UC); or a tower ``uc-distilled`` from that (UC D).
            uc: Model that ``output=uc`` adds, an unsupervised one, whatever its tokenizer.
            uc_weight: Its weight w: vectors are (1 - w) (A + B) + w C, as they are, not normalised.
            distill_lr: Peak learning rate of the distillation, by default 1e-5 from the twin and
                1.5e-5 from ``uc``.
            distill_sentences: Number of sentences of the distillation, all by default.
        """

        base: str = "bert-base-uncased"
        stage1: str = "simcse[lr=1.5e-5,corpus=wiki1m+sick]"
        stage1_b: str = "simcse[lr=2e-5,corpus=wiki1m+sick]"
        pooling: Literal["cls", "mean"] = "cls"
        temperature: float = Field(0.05, gt=0)
        cross_attention: bool = True
        cross_layers: int = Field(6, gt=0)
        interaction: bool = True
        modulus: bool = True
        joint: bool = True
        schedule: Literal["linear", "constant"] = "constant"
        output: Literal["twin", "tower-a", "tower-b", "distilled", "uc", "uc-distilled"] = "twin"
        uc: str = "ffgcc/InfoCSE-bert-base"
        uc_weight: float = Field(0.7, gt=0, lt=1)
        corpus: str = "wiki1m+sick"
        lr: float = Field(1.3e-6, gt=0)
        max_seq_length: int = Field(64, gt=0)
        dev_every: int = Field(100, gt=0)
        distill_lr: float | None = Field(None, gt=0)
        distill_sentences: int | None = Field(None, gt=0)

        @model_validator(mode="before")
        @classmethod
        def _second_tower_as_the_first(cls, values: dict[str, Any]) -> dict[str, Any]:
            return {"stage1_b": "", **values} if "stage1" in values else values

        def idle(self) -> Mapping[str, str]:
            """What outputs, cross-attention and the joint training need."""
            idle = dict(super().idle())
            if has_base(self.stage1) and (not self.stage1_b or has_base(self.stage1_b)):
                idle["base"] = "the stages name their own"
            if not self.distils:
                needed = "it needs output=distilled or uc-distilled"
                idle |= dict.fromkeys(_OF_DISTILLATION, needed)
            if self.output not in ("uc", "uc-distilled"):
                idle |= dict.fromkeys(_OF_UC, "it needs output=uc or uc-distilled")
            if not self.cross_attention:
                idle["cross_layers"] = "it needs cross_attention=true"
            if not self.joint:
                own = _OF_JOINT if self.distils else (*_OF_JOINT, *_OF_TRAINING)
                idle |= dict.fromkeys(own, "it needs joint=true")
            return idle

        @property
        def distils(self) -> bool:
            """Whether the output is distilled."""
            return self.output in DISTILL_LR

    config: Config
    checkpoint_pooling = "cls"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm",
            "stage1": "simcse[sentences=4096,lr=3e-5]",
            "pooling": "mean",
            "cross_layers": 1,
            "schedule": "linear",
            "uc": "simcse",
            "corpus": "paraphrase",
            "sentences": 2_560,
            "lr": 1e-5,
            "max_seq_length": 32,
            "dev_every": 20,
            "distill_lr": 1e-4,
            "distill_sentences": 8_192,
        },
    }

    @property
    def pooling(self) -> str:
        """Pooling of the towers."""
        return self.config.pooling

    @property
    def _stages(self) -> tuple[str, str]:
        config = self.config
        first, second = config.stage1, config.stage1_b or config.stage1
        return on_base(first, config.base), on_base(second, config.base)

    @property
    def _twin(self) -> str:
        """Spec of the twin that another output is made of."""
        return self._other("twin", *_OF_OUTPUT)

    @property
    def _teacher(self) -> str:
        """Spec of what a tower is distilled from: the twin, or the twin with its checkpoint."""
        if self.config.output == "uc-distilled":
            return self._other("uc", "output", *_OF_DISTILLATION)
        return self._twin

    def _other(self, output: str, *without: str) -> str:
        options = self.config.model_copy(update={"output": output}).options(*without)
        if output != "twin":
            options["output"] = output
        return str(MethodSpec(self.info.name, None, tuple(sorted(_texts(options).items()))))

    @property
    def gathers(self) -> bool:
        """As the losses do; what is no sentence transformer is made in one process."""
        return self.config.output != "uc"

    @property
    def _distils(self) -> bool:
        return self.config.distils

    @property
    def _learns(self) -> bool:
        """Whether this build itself trains, not only what it is made of."""
        return self._distils or (self.config.output == "twin" and self.config.joint)

    def reads(self) -> Mapping[str, BuildInput]:
        """Those of this build's own training, if it has one."""
        if not (self._learns and self.trains):
            return {}
        return {**super().reads(), "corpus": self._corpus}

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of a training where there is one, and the models that the build is made of."""
        if not self.trains:
            return super().inputs(data, models)
        inputs = dict(super().inputs(data, models)) if self._learns else {}
        if self.config.output == "twin":
            # The seed of the second tower follows from the build's, which every fingerprint has.
            return inputs | {"stage1": [models.fingerprint(stage) for stage in self._stages]}
        if self.config.output == "uc":
            inputs["uc"] = models.fingerprint(self.config.uc)
        if self.config.output == "uc-distilled":
            inputs["teacher"] = models.fingerprint(self._teacher)
        return inputs | {"twin": models.fingerprint(self._twin)}

    @property
    def parents(self) -> tuple[str, ...]:
        """The models of the first stage, or those that another output is made of."""
        if self.checkpoint is not None:
            return ()
        match self.config.output:
            case "twin":
                return self._stages
            case "uc":
                return self._twin, self.config.uc
            case "uc-distilled":
                return self._twin, self._teacher
        return (self._twin,)

    @property
    def trainings(self) -> Mapping[str, TrainingLoad]:
        """Both towers, or the one that is distilled; nothing where none is trained here."""
        texts, encoders = (1, 1) if self.config.distils else (2, 2)
        return {
            name: replace(load, texts=texts * self.config.batch_size, encoders=encoders)
            for name, load in (super().trainings if self._learns else {}).items()
        }

    def build(self, ctx: BuildContext) -> Any:
        """Make the output of the settings, or load a checkpoint."""
        if not self.trains or self._learns:
            return super().build(ctx)
        match self.config.output:
            case "twin":
                return self.start(ctx)
            case "uc":
                return self._with_uc(ctx)
        return self._tower(ctx, 0 if self.config.output == "tower-a" else 1)

    def _with_uc(self, ctx: BuildContext) -> Encoder:
        from bench.methods.parts.twin import WeightedSum

        config = self.config
        further = ctx.models.load(config.uc, pooling=self.pooling)
        return WeightedSum(ctx.models.load(self._twin), further, config.uc_weight)

    def _tower(self, ctx: BuildContext, number: int) -> SentenceTransformer:
        from bench.methods.parts.twin import towers

        return towers(ctx.models.load(self._twin))[number]

    def start(self, ctx: BuildContext) -> SentenceTransformer:
        """Both towers of the first stage as a twin, or tower A of the trained twin."""
        if self._distils:
            return self._tower(ctx, 0)
        from bench.methods.parts.twin import join_towers

        seeds = (ctx.seed, ctx.seed + SEED_STRIDE)
        first, second = (
            ctx.models.load(stage, pooling=self.pooling, seed=seed)
            for stage, seed in zip(self._stages, seeds, strict=True)
        )
        return join_towers(first, second)

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Each sentence twice, or once to be distilled."""
        copies = 1 if self._distils else 2
        return [(sentence,) * copies for sentence in self._corpus.load(ctx.data).sentences()]

    @property
    def _corpus(self) -> NamedCorpus:
        config = self.config
        limit = config.distill_sentences if self._distils else config.sentences
        return NamedCorpus(config.corpus, limit, columns=1)

    def labels(self, rows: list[Texts], ctx: BuildContext) -> list[float] | None:
        """In distillation the number of each row, by which the loss finds the teacher's vectors."""
        return [float(number) for number in range(len(rows))] if self._distils else None

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of every training, with the authors' decay and no clipping."""
        settings = super().train_settings(rows)
        if self._distils:
            lr = self.config.distill_lr or DISTILL_LR[self.config.output]
            settings = replace(settings, lr=lr)
        return replace(
            settings,
            weight_decay=WEIGHT_DECAY,
            max_grad_norm=0.0,
            schedule=self.config.schedule,
        )

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """The joint loss of the towers, or the distance from the teacher's vectors."""
        import torch

        from bench.methods.losses.twin import TwinDistillation, TwinLoss

        config = self.config
        if self._distils:
            vectors = ctx.models.vectors(self._teacher, [row[0] for row in rows])
            teacher = torch.from_numpy(vectors).to(model.device)
            return TwinDistillation(model, teacher, config.temperature)
        return TwinLoss(
            model,
            temperature=config.temperature,
            cross_layers=config.cross_layers if config.cross_attention else 0,
            interaction=config.interaction,
            modulus=config.modulus,
            seed=ctx.seed,
        )


def _texts(options: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items()}
