"""A small decoder trained from nothing on local text, where no published one is available."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from bench.data.corpora import NamedCorpus
from bench.method import BuildContext, Method, MethodConfig, MethodInfo

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# One sentence in so many is held out.
_HELD_OUT = 50
_WEIGHT_DECAY = 0.01


class DecoderMini(Method):
    """A Llama of a few million weights; as an encoder, the mean of its last states."""

    info = MethodInfo(
        name="decoder-mini",
        title="A small decoder, trained from nothing to predict local text",
        kind="static",
        trains=True,
    )

    class Config(MethodConfig):
        """Settings of the model and of its training.

        Attributes:
            corpus: Text it learns from; every fiftieth sentence is held out.
            sentences: Most sentences of it, or None for all.
            vocabulary: Most tokens of its tokenizer.
            layers: Number of layers.
            hidden: Width of its states.
            heads: Heads of the attention.
            max_seq_length: Tokens of a row, into which sentences are joined, and of a text later.
            max_steps: Batches.
            batch_size: Rows in a batch.
            lr: Peak learning rate; it rises over a twentieth of the steps and falls linearly to
                zero.
        """

        corpus: str = "mix"
        sentences: int | None = Field(80_000, ge=2)
        vocabulary: int = Field(4096, ge=260)
        layers: int = Field(6, ge=1)
        hidden: int = Field(192, ge=8)
        heads: int = Field(4, ge=1)
        max_seq_length: int = Field(128, ge=8)
        max_steps: int = Field(900, ge=1)
        batch_size: int = Field(16, ge=1)
        lr: float = Field(2e-3, gt=0)

        @model_validator(mode="after")
        def _heads_are_even(self) -> DecoderMini.Config:
            if self.hidden % (2 * self.heads):
                raise ValueError(f"hidden must be a multiple of twice the heads, {2 * self.heads}")
            return self

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"corpus": "pydoc", "hidden": 64, "max_steps": 60},
    }

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train, or load a checkpoint.

        Raises:
            DataError: There is too little text.
        """
        if self.checkpoint is not None:
            return ctx.models.load(self.checkpoint)
        from bench.core.libraries import quiet_libraries
        from bench.methods.parts import causal
        from bench.models.checkpoints import load_folder
        from bench.training.trainer import seed_everything

        quiet_libraries()
        config = self.config
        sentences = NamedCorpus(config.corpus, config.sentences).load(ctx.data).sentences()
        held_out = sentences[::_HELD_OUT]
        learnt = [text for row, text in enumerate(sentences) if row % _HELD_OUT]
        length = config.max_seq_length
        tokenizer = causal.train_tokenizer(learnt, config.vocabulary, length)
        rows = causal.full_rows(causal.join_ids(learnt, tokenizer), length)
        seed_everything(ctx.seed)
        lm = causal.make_llama(
            tokenizer,
            layers=config.layers,
            hidden=config.hidden,
            heads=config.heads,
            positions=length,
        )
        self._train(lm, rows, causal.join_ids(held_out, tokenizer), len(held_out), ctx)
        folder = ctx.workdir / "decoder"
        lm.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return load_folder(folder, ctx.device, "mean")

    def _train(
        self, lm: Any, rows: list[list[int]], held_out: list[int], sentences: int, ctx: BuildContext
    ) -> None:
        import transformers

        from bench.methods.parts.causal import perplexity
        from bench.training.language import LanguageSettings, train_language_model

        config = self.config
        train_language_model(
            lm,
            [{"input_ids": row, "labels": row} for row in rows],
            transformers.default_data_collator,
            LanguageSettings(config.max_steps, config.batch_size, config.lr, _WEIGHT_DECAY),
            ctx,
            "train decoder",
            evaluate=lambda: {
                "held_out_perplexity": perplexity(lm, held_out, config.max_seq_length),
                "held_out_sentences": sentences,
            },
        )
