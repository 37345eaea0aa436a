"""Our methods as models of mteb."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mteb.models.model_meta import ModelMeta
from numpy.typing import NDArray

from bench.api import build_method
from bench.encoding.encoder import Column
from bench.execution.settings import Settings
from bench.execution.vectors import encode
from bench.method import Built
from bench.tasks.mteb import FunctionEncoder


class MethodEncoder(FunctionEncoder):
    """A built method as a model of mteb; each distinct text is encoded once for all tasks.

    Attributes:
        texts: Texts that mteb asked for.
        encoded: Texts of these that were encoded, all others having come from the store.
    """

    def __init__(self, spec: str, built: Built, settings: Settings) -> None:
        super().__init__(self._planned)
        self._built, self._settings = built, settings
        self.texts = self.encoded = 0
        self.mteb_model_meta = ModelMeta.create_empty(
            overwrites={"name": f"sentence-bench/{spec}", "revision": built.fingerprint}
        )

    def _planned(self, texts: Sequence[str], role: str | None) -> NDArray[np.float32]:
        encoded = encode(self._built, {("mteb", "text"): Column(texts, role)}, self._settings)
        self.texts += encoded.texts
        self.encoded += encoded.encoded
        return encoded.vectors["mteb", "text"]


def as_mteb_encoder(method: str, **options: Any) -> MethodEncoder:
    """Make a method a model for ``mteb.evaluate``, training it first if it trains.

    Args:
        method: Method spec, e.g. ``sct`` or ``simcse[lr=1e-4]``.
        options: Those of ``bench.api.build_method``: ``seed``, ``profile``, ``device``, ``data``
            and ``offline``.

    Raises:
        UsageError: Unknown method or bad options.
        DataError: Data or a checkpoint is missing or changed.
    """
    return MethodEncoder(method, *build_method(method, **options))
