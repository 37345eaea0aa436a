"""JTCSE: two SimCSE models trained on together, whose vectors are added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.core.spec import has_base, on_base
from bench.data.access import DataAccess
from bench.data.build_inputs import BuildInput
from bench.data.corpora import NamedCorpus, Texts
from bench.method import BuildContext, MethodInfo, ModelAccess
from bench.training.method import CorpusConfig, CorpusMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from bench.training.trainer import TrainSettings

# Distance of the second tower's seed from the build's.
SEED_STRIDE = 1_000
# AdamW's default, which the authors' code keeps; it clips no gradients.
WEIGHT_DECAY = 0.01
_OF_OUTPUT = ("output", "distill_lr", "distill_sentences")
_OF_JOINT = ("lr", "sentences", "cross_attention", "interaction", "modulus")
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

        The paper's towers learn from two round-trip translations each; here they are two seeds of
        the first stage. Its learning rate is constant, here it falls linearly to zero.

        Attributes:
            stage1: Spec of the method that makes each tower; it starts from ``base`` unless it
                names a base of its own. It should have the same pooling.
            stage1_b: Spec for the second tower; empty for the same as the first one's.
            pooling: Pooling of the towers.
            temperature: Temperature of the softmax.
            cross_attention: Contrast what the towers' tokens find in each other.
            interaction: Contrast each tower's vectors with the other's.
            modulus: Add the tensor-modulus term.
            joint: Train the towers together; without it they are added as the first stage left
                them.
            output: The ``twin``; ``tower-a`` or ``tower-b`` of it alone; or a single tower that is
                ``distilled`` from it, starting from tower A.
            distill_lr: Peak learning rate of the distillation.
            distill_sentences: Number of sentences of the distillation, all by default.
        """

        base: str = "bert-base-uncased"
        stage1: str = "simcse"
        stage1_b: str = ""
        pooling: Literal["cls", "mean"] = "cls"
        temperature: float = Field(0.05, gt=0)
        cross_attention: bool = True
        interaction: bool = True
        modulus: bool = True
        joint: bool = True
        output: Literal["twin", "tower-a", "tower-b", "distilled"] = "twin"
        corpus: str = "wiki1m"
        lr: float = Field(1.3e-6, gt=0)
        max_seq_length: int = Field(64, gt=0)
        dev_every: int = Field(100, gt=0)
        distill_lr: float = Field(1e-5, gt=0)
        distill_sentences: int | None = Field(None, gt=0)

        def idle(self) -> Mapping[str, str]:
            """What the distillation and the joint training need."""
            idle = dict(super().idle())
            if has_base(self.stage1) and (not self.stage1_b or has_base(self.stage1_b)):
                idle["base"] = "the stages name their own"
            if self.output != "distilled":
                distillation = ("distill_lr", "distill_sentences")
                idle |= dict.fromkeys(distillation, "it needs output=distilled")
            if not self.joint:
                own = _OF_JOINT if self.output == "distilled" else (*_OF_JOINT, *_OF_TRAINING)
                idle |= dict.fromkeys(own, "it needs joint=true")
            return idle

    config: Config
    checkpoint_pooling = "cls"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm",
            "stage1": "simcse[sentences=4096,lr=3e-5]",
            "pooling": "mean",
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
        options = self.config.model_copy(update={"output": "twin"}).options(*_OF_OUTPUT)
        return f"{self.info.name}[{','.join(f'{name}={value}' for name, value in options.items())}]"

    @property
    def _distils(self) -> bool:
        return self.config.output == "distilled"

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
        if self.config.output != "twin":
            return inputs | {"twin": models.fingerprint(self._twin)}
        # The seed of the second tower follows from the build's, which every fingerprint has.
        return inputs | {"stage1": [models.fingerprint(stage) for stage in self._stages]}

    @property
    def parents(self) -> tuple[str, ...]:
        """The models of the first stage, or the twin that another output is made of."""
        if self.checkpoint is not None:
            return ()
        return self._stages if self.config.output == "twin" else (self._twin,)

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Make the output of the settings, or load a checkpoint."""
        if not self.trains or self._learns:
            return super().build(ctx)
        if self.config.output == "twin":
            return self.start(ctx)
        return self._tower(ctx, 0 if self.config.output == "tower-a" else 1)

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
        """In distillation the number of each row, by which the loss finds the twin's vectors."""
        return [float(number) for number in range(len(rows))] if self._distils else None

    def train_settings(self, rows: int) -> TrainSettings:
        """Those of every training, with the authors' decay and no clipping."""
        settings = super().train_settings(rows)
        lr = self.config.distill_lr if self._distils else settings.lr
        return replace(settings, lr=lr, weight_decay=WEIGHT_DECAY, max_grad_norm=0.0)

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """The joint loss of the towers, or the distance from the twin's vectors."""
        import torch

        from bench.methods.losses.twin import TwinDistillation, TwinLoss

        config = self.config
        if self._distils:
            vectors = ctx.models.vectors(self._twin, [row[0] for row in rows])
            teacher = torch.from_numpy(vectors).to(model.device)
            return TwinDistillation(model, teacher, config.temperature)
        return TwinLoss(
            model,
            temperature=config.temperature,
            cross_attention=config.cross_attention,
            interaction=config.interaction,
            modulus=config.modulus,
            seed=ctx.seed,
        )
