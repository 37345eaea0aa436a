"""What methods have in common that load a published checkpoint as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bench.core.errors import UsageError
from bench.data.access import DataAccess
from bench.method import Method, MethodConfig, ModelAccess


class CheckpointConfig(MethodConfig):
    """Settings of a checkpoint.

    Attributes:
        revision: Branch, tag or commit of a hub checkpoint.
    """

    revision: str | None = None


class CheckpointMethod(Method):
    """A method that is the checkpoint it names, a folder or a hub id, and trains nothing."""

    Config: ClassVar[type[MethodConfig]] = CheckpointConfig
    config: CheckpointConfig

    @property
    def source(self) -> str:
        """The checkpoint with its revision, as ``ctx.models`` loads it.

        Raises:
            UsageError: None is named.
        """
        name = self.info.name
        if self.checkpoint is None:
            raise UsageError(f"{name} needs a checkpoint: {name}@FOLDER or {name}@org/name")
        revision = self.config.revision
        return f"{self.checkpoint}@{revision}" if revision else self.checkpoint

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Identify the checkpoint.

        Raises:
            UsageError: None is named.
            DataError: It is not here, and cannot be fetched.
        """
        return {"checkpoint": models.fingerprint(self.source)}
