"""SimCSE, unsupervised: the positive of a sentence is itself under another dropout mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.data.corpora import NamedCorpus, Texts
from bench.method import BuildContext, MethodInfo
from bench.training.adapted import AdaptedConfig, AdaptedMethod

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer


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
        """

        base: str = "bert-base-uncased"
        pooling: Literal["cls", "mean", "max", "lasttoken", "pooler"] = "cls"
        head: bool = True
        temperature: float = Field(0.05, gt=0)
        positives: Literal["dropout", "pairs"] = "dropout"
        corpus: str = "wiki1m"
        lr: float = Field(3e-5, gt=0)

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

    def rows(self, ctx: BuildContext) -> list[Texts]:
        """Each sentence twice, or with its paraphrase."""
        corpus = NamedCorpus(self.config.corpus, self.config.sentences).load(ctx.data)
        if self.config.positives == "pairs":
            return [*corpus.pairs()]
        return [(text, text) for text in corpus.sentences()]

    def loss(
        self, model: SentenceTransformer, rows: list[Texts], ctx: BuildContext
    ) -> torch.nn.Module:
        """In-batch negatives."""
        from bench.methods.losses.in_batch import InBatchLoss

        config = self.config
        return InBatchLoss(model, temperature=config.temperature, head=config.head, seed=ctx.seed)
