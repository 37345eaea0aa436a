"""Any published checkpoint that sentence-transformers or transformers can load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from bench.core.errors import UsageError
from bench.method import BuildContext, MethodInfo
from bench.methods.parts.checkpoint import CheckpointConfig, CheckpointMethod
from bench.methods.parts.role_prompts import RolePrompts, chosen_prompt

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class SBert(CheckpointMethod):
    """A checkpoint, as it is."""

    info = MethodInfo(
        name="sbert",
        title="Any sentence-transformers or transformers checkpoint",
        kind="supervised",
        paper="Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
        arxiv="1908.10084",
        year=2019,
        loads_checkpoints=True,
    )

    class Config(RolePrompts, CheckpointConfig):
        """Settings of a checkpoint.

        Attributes:
            pooling: Pooling of a bare transformer, mean if None; others keep their own.
            max_seq_length: Tokens that a text is cut to, or None for the checkpoint's own.
        """

        pooling: str | None = None
        max_seq_length: int | None = Field(default=None, ge=1)

    config: Config

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Load the checkpoint.

        Raises:
            DataError: There is none, or it is damaged.
            UsageError: It cuts no text, so that it has no length to set.
        """
        config = self.config
        model = ctx.models.load(self.source, pooling=config.pooling)
        if config.max_seq_length is not None:
            if not isinstance(model.max_seq_length, int):
                kind = type(model[0]).__name__
                raise UsageError(f"max_seq_length has no effect on a {kind}; leave it out")
            model.max_seq_length = config.max_seq_length
        _set_prompts(model, config)
        return model

    def prompt(self, role: str | None, of_suite: str | None) -> str | None:
        """The suite's, unless the settings have one for the role, which the model has then."""
        return of_suite if chosen_prompt(self.config, role) is None else None


def _set_prompts(model: SentenceTransformer, config: SBert.Config) -> None:
    """Give a model the prompts of the settings in place of its own."""
    if config.prompt is not None:
        model.prompts = dict.fromkeys((*model.prompts, "text"), config.prompt)
        model.default_prompt_name = "text"
    by_role: Mapping[str, str | None] = {
        "query": config.query_prompt,
        "document": config.document_prompt,
    }
    for role, prompt in by_role.items():
        if prompt is not None:
            model.prompts = {**model.prompts, role: prompt}
