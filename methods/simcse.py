"""SimCSE, unsupervised: the positive of a sentence is itself under another dropout mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.data.corpora import NamedCorpus, Texts
from bench.method import BuildContext, MethodInfo
from bench.training.adapted import AdaptedConfig, AdaptedMethod, PoolingName

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import TrainerCallback


class SimCSE(AdaptedMethod):
    """Contrastive learning with dropout, or paraphrases, as the positive."""

    info = MethodInfo(
        name="simcse",
        title="SimCSE, unsupervised",
        kind="contrastive",
        paper="SimCSE: Simple Contrastive Learning of Sentence Embeddings",
        arxiv="2104.08821",
        year=2021,
        trains=True,
        gathers=True,
    )

    class Config(AdaptedConfig):
        """Settings; the defaults are the paper's for BERT-base.

        Attributes:
            head: Linear and tanh after pooling, in training only.
            temperature: Temperature of the softmax.
            positives: ``dropout``, or the corpus's ``pairs``.
            dropout: Drop probability of all dropout in the base, and in adapters, while it is
                trained (table 3); their own by default.
            fixed_mask: Ablation: both views of a sentence get the same dropout mask.
            mlm_weight: Weight of masked language modelling beside the loss (the paper: 0.1), for
                a base with a head for it, which is trained along.
        """

        base: str = "bert-base-uncased"
        pooling: PoolingName = "cls"
        head: bool = True
        temperature: float = Field(0.05, gt=0)
        positives: Literal["dropout", "pairs"] = "dropout"
        dropout: float | None = Field(None, ge=0, lt=1)
        fixed_mask: bool = False
        mlm_weight: float = Field(0.0, ge=0)
        corpus: str = "wiki1m"
        lr: float = Field(3e-5, gt=0)

        def idle(self) -> Mapping[str, str]:
            """What a mask needs, and parts of a batch."""
            idle = dict(super().idle())
            if self.mlm_weight:
                idle["micro_batch"] = "masked tokens are encoded at once, so it needs mlm_weight=0"
            if self.positives != "dropout":
                idle["fixed_mask"] = "it needs positives=dropout"
            elif self.dropout == 0:
                idle["fixed_mask"] = "it needs a dropout above 0"
            return idle

    config: Config
    checkpoint_pooling = "cls"
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "pooling": "mean",
            "head": False,
            "corpus": "paraphrase",
            "sentences": 8_192,
            "lr": 5e-4,
            "dev_every": 64,
        },
        "smoke": {
            "base": "minilm-l2",
            "pooling": "mean",
            "head": False,
            "corpus": "pydoc",
            "max_steps": 30,
            "batch_size": 32,
            "dev": False,
        },
    }

    @property
    def gathers(self) -> bool:
        """Whether the loss is of the rows of all processes; masked tokens are each one's own."""
        return super().gathers and not self.config.mlm_weight

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Each sentence twice, or with its paraphrase."""
        corpus = NamedCorpus(self.config.corpus, self.config.sentences).load(ctx.data)
        if self.config.positives == "pairs":
            return [*corpus.pairs()]
        return [(text, text) for text in corpus.sentences()]

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """In-batch negatives, and masked tokens beside them.

        Raises:
            UsageError: The base has no dropout to make positives by, and none is set, or no head
                for masked tokens.
        """
        from bench.methods.losses.in_batch import InBatchLoss
        from bench.methods.parts.dropout import require_dropout

        config = self.config
        if config.positives == "dropout" and config.dropout is None:
            require_dropout(model, "name a dropout, or dropout=0 to train so all the same")
        loss = InBatchLoss(
            model,
            temperature=config.temperature,
            head=config.head,
            seed=ctx.seed,
            fixed_mask=config.fixed_mask,
        )
        if not config.mlm_weight:
            return loss
        from bench.methods.losses.masked_tokens import MaskedTokens

        masked_lm, _ = ctx.models.masked_lm(config.base)
        return MaskedTokens(model, loss, masked_lm, config.mlm_weight)

    def callbacks(self, model: SentenceTransformer, ctx: BuildContext) -> list[TrainerCallback]:
        """What sets the dropout for the training."""
        if self.config.dropout is None:
            return []
        from bench.methods.parts.dropout_rates import TrainingDropout

        return [TrainingDropout(model, self.config.dropout)]
