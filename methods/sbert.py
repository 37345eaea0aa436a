"""Any published checkpoint that sentence-transformers or transformers can load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bench.core.errors import UsageError
from bench.data.access import DataAccess
from bench.method import BuildContext, Method, MethodConfig, MethodInfo, ModelAccess

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class SBert(Method):
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

    class Config(MethodConfig):
        """Settings of a checkpoint.

        Attributes:
            pooling: Pooling of a bare transformer, mean if None; others keep their own.
            prompt: Text put before every text, or None for the checkpoint's own prompts.
            revision: Branch, tag or commit of a hub checkpoint.
            max_seq_length: Tokens that a text is cut to, or None for the checkpoint's own.
        """

        pooling: str | None = None
        prompt: str | None = None
        revision: str | None = None
        max_seq_length: int | None = Field(default=None, ge=1)

    config: Config

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Identify the checkpoint."""
        return {"checkpoint": models.fingerprint(self._source())}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Load the checkpoint.

        Raises:
            DataError: There is none, or it is damaged.
            UsageError: It cuts no text, so that it has no length to set.
        """
        config = self.config
        model = ctx.models.load(self._source(), pooling=config.pooling)
        if config.max_seq_length is not None:
            if not isinstance(model.max_seq_length, int):
                kind = type(model[0]).__name__
                raise UsageError(f"max_seq_length has no effect on a {kind}; leave it out")
            model.max_seq_length = config.max_seq_length
        if config.prompt is not None:
            model.prompts = dict.fromkeys((*model.prompts, "text"), config.prompt)
            model.default_prompt_name = "text"
        return model

    def _source(self) -> str:
        if self.checkpoint is None:
            raise UsageError("sbert needs a checkpoint: sbert@FOLDER or sbert@org/name")
        revision = self.config.revision
        return f"{self.checkpoint}@{revision}" if revision else self.checkpoint
