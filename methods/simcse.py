"""SimCSE, unsupervised: the positive of a sentence is itself under another dropout mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from bench.data.access import DataAccess
from bench.data.corpora import Texts, load_corpus
from bench.method import BuildContext, Method, MethodConfig, MethodInfo, ModelAccess
from bench.training.inputs import dev_rows, training_inputs

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class SimCSE(Method):
    """Contrastive learning with dropout, or paraphrases, as the positive."""

    info = MethodInfo(
        name="simcse",
        title="SimCSE, unsupervised",
        kind="contrastive",
        paper="SimCSE: Simple Contrastive Learning of Sentence Embeddings",
        arxiv="2104.08821",
        year=2021,
        trains=True,
        sources=(
            "bench.data.corpora",
            "bench.methods.losses.in_batch",
            "bench.models",
            "bench.training.trainer",
        ),
    )

    class Config(MethodConfig):
        """Settings; the defaults are the paper's for BERT-base.

        Attributes:
            base: Method, folder or hub id that training starts from.
            pooling: Pooling in training and at inference.
            head: Linear and tanh after pooling, in training only.
            temperature: Temperature of the softmax.
            positives: ``dropout``, or the corpus's ``pairs``.
            corpus: Training text, see ``bench.data.corpora``.
            sentences: Number of rows of the corpus, all by default.
            lr: Peak learning rate.
            batch_size: Sentences in a batch.
            epochs: Passes over the corpus.
            max_steps: Upper bound of the steps, or -1.
            max_seq_length: Tokens of a sentence in training.
            dev: Evaluate on STS-B dev during training and keep the best checkpoint.
            dev_every: Steps between these evaluations.
        """

        base: str = "bert-base-uncased"
        pooling: Literal["cls", "mean", "max", "lasttoken"] = "cls"
        head: bool = True
        temperature: float = Field(0.05, gt=0)
        positives: Literal["dropout", "pairs"] = "dropout"
        corpus: str = "wiki1m"
        sentences: int | None = Field(None, gt=0)
        lr: float = Field(3e-5, gt=0)
        batch_size: int = Field(64, gt=1)
        epochs: float = Field(1, gt=0)
        max_steps: int = Field(-1, ge=-1)
        max_seq_length: int = Field(32, gt=0)
        dev: bool = True
        dev_every: int = Field(250, gt=0)

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "local": {
            "base": "minilm-l2",
            "pooling": "mean",
            "head": False,
            "corpus": "paraphrase",
            "sentences": 10_000,
            "lr": 1e-4,
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

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Base or checkpoint, and what is trained on."""
        found = super().inputs(data, models)
        if not self.trains:
            return found
        return {**found, **training_inputs(self.config.corpus, self._dev_every, data)}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train, or load a checkpoint with [CLS] pooling where it names none."""
        if self.checkpoint is not None:
            return ctx.models.load(self.checkpoint, pooling="cls")
        from bench.methods.losses.in_batch import InBatchLoss

        from bench.training.trainer import TrainSettings, train

        config = self.config
        corpus = load_corpus(config.corpus, ctx.data, config.sentences)
        dropout = config.positives == "dropout"
        rows: list[Texts] = (
            [(text, text) for text in corpus.sentences()] if dropout else [*corpus.pairs()]
        )
        model = ctx.models.load(config.base, pooling=config.pooling)
        loss = InBatchLoss(
            model,
            temperature=config.temperature,
            head=config.head,
            seed=ctx.seed,
        )
        settings = TrainSettings(
            lr=config.lr,
            epochs=config.epochs,
            batch_size=config.batch_size,
            max_seq_length=config.max_seq_length,
            max_steps=config.max_steps,
            dev_every=self._dev_every,
        )
        return train(model, loss, rows, settings, ctx, dev_rows(self._dev_every, ctx.data))

    @property
    def _dev_every(self) -> int:
        return self.config.dev_every if self.config.dev else 0
