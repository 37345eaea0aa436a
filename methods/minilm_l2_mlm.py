"""minilm-l2 continued with masked language modelling: a raw start, with a head, for training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from bench.core.errors import UsageError
from bench.data.corpora import NamedCorpus
from bench.method import BuildContext, Method, MethodConfig, MethodInfo

if TYPE_CHECKING:
    from pathlib import Path

    from sentence_transformers import SentenceTransformer

_SEED_STRIDE = 1_000_003
_NOT_MASKED = -100


class MiniLML2Mlm(Method):
    """minilm-l2 with a masked language model's head; its folder ``mlm`` holds both."""

    info = MethodInfo(
        name="minilm-l2-mlm",
        title="First two layers of all-MiniLM-L6-v2, continued with masked language modelling",
        kind="static",
        trains=True,
    )

    class Config(MethodConfig):
        """Settings of the masked language modelling.

        Attributes:
            base: Model that goes on learning; a BERT.
            corpus: Text it learns from.
            sentences: Most sentences of it, or None for all.
            max_steps: Batches.
            lr: Peak learning rate; it falls linearly to zero.
            batch_size: Sentences in a batch.
            max_seq_length: Tokens that a sentence is cut to.
            mask: Share of the tokens to guess.
        """

        base: str = "minilm-l2"
        corpus: str = "mix"
        sentences: int | None = Field(default=None, ge=1)
        max_steps: int = Field(default=200, ge=1)
        lr: float = Field(default=5e-4, gt=0)
        batch_size: int = Field(default=64, ge=1)
        max_seq_length: int = Field(default=64, ge=3)
        mask: float = Field(default=0.15, gt=0, lt=1)

    config: Config
    profiles: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "smoke": {"corpus": "pydoc", "max_steps": 40, "batch_size": 16},
    }

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Train the base with a fresh head, or load a checkpoint."""
        if self.checkpoint is not None:
            return ctx.models.load(self.checkpoint)
        import transformers

        from bench.training.language import LanguageSettings, train_language_model
        from bench.training.trainer import seed_everything

        config = self.config
        seed_everything(ctx.seed)
        model = ctx.models.load(config.base, pooling="mean")
        transformer: Any = model[0]
        bert = transformer.auto_model
        if not isinstance(bert, transformers.BertModel):
            raise UsageError(f"minilm-l2-mlm: base {config.base!r} is not a BERT")
        mlm = transformers.BertForMaskedLM(bert.config)
        # The head has no use for the pooler, the one part that only the base has.
        mlm.bert.load_state_dict(bert.state_dict(), strict=False)
        train_language_model(
            mlm,
            self._rows(model.tokenizer, ctx),
            _SeededMasking(model.tokenizer, config.mask, ctx.seed),
            LanguageSettings(config.max_steps, config.batch_size, config.lr),
            ctx,
            "train masked language model",
            trainer_class=_trainer_class(),
        )
        bert.load_state_dict(mlm.bert.state_dict(), strict=False)
        _save(mlm, model.tokenizer, ctx.extra / "mlm")
        return model.eval()

    def _rows(self, tokenizer: Any, ctx: BuildContext) -> list[dict[str, Any]]:
        config = self.config
        needed = config.max_steps * config.batch_size
        limit = min(config.sentences or needed, needed)
        sentences = NamedCorpus(config.corpus, limit).load(ctx.data).sentences()
        encoded = tokenizer(
            sentences,
            truncation=True,
            max_length=config.max_seq_length,
            return_special_tokens_mask=True,
        )
        return [
            {
                "row": row,
                "input_ids": encoded["input_ids"][row],
                "special_tokens_mask": encoded["special_tokens_mask"][row],
            }
            for row in range(len(sentences))
        ]


class _SeededMasking:
    """Masks a batch by its first row and the seed alone, so that resuming masks the same tokens."""

    def __init__(self, tokenizer: Any, share: float, seed: int) -> None:
        self._tokenizer = tokenizer
        self._share = share
        self._seed = seed

    def __call__(self, rows: list[dict[str, Any]]) -> Any:
        from transformers import DataCollatorForLanguageModeling

        collate = DataCollatorForLanguageModeling(
            self._tokenizer,
            mlm_probability=self._share,
            seed=self._seed * _SEED_STRIDE + rows[0]["row"],
        )
        return collate([{key: row[key] for key in row if key != "row"} for row in rows])


def _trainer_class() -> Any:
    from torch.nn.functional import cross_entropy
    from transformers import Trainer

    class MaskedOnly(Trainer):
        """Asks the head for the masked tokens only; for all of them it outweighs two layers."""

        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            labels = inputs.pop("labels")
            masked = labels != _NOT_MASKED
            # The library does so with the model as a whole, which is not called here.
            with self.accelerator.autocast():
                hidden = model.bert(**inputs).last_hidden_state[masked]
                logits = model.cls(hidden)
            return cross_entropy(logits.float(), labels[masked])

    return MaskedOnly


def _save(mlm: Any, tokenizer: Any, folder: Path) -> None:
    mlm.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
