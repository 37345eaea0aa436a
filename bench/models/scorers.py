"""Checkpoints of sentence-transformers that give something else than one vector a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import DataError, UsageError
from bench.core.libraries import quiet_libraries
from bench.core.progress import Progress
from bench.models.checkpoint_files import (
    is_classifier,
    is_masked_lm,
    model_type,
    refuse_damaged,
)
from bench.models.checkpoints import with_model
from bench.models.loading import (
    refuse_random,
    refuse_without_vocabulary,
    reports,
    told_by_name,
)

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SparseEncoder


def load_cross_encoder(folder: Path, device: str, progress: Progress) -> CrossEncoder:
    """Load a cross-encoder that gives one number a pair.

    Args:
        folder: Where it is: saved by sentence-transformers, or a classifier of transformers.
        device: Torch device.
        progress: Shows what of the folder is left out.

    Raises:
        DataError: There is no model, it is damaged or pickled, or no cross-encoder; weights or the
            tokenizer are missing.
        UsageError: It gives several numbers a pair.
    """
    from sentence_transformers import CrossEncoder

    refuse_damaged(with_model(folder))
    if not is_classifier(folder):
        raise DataError(
            f"{folder} is no cross-encoder, so that its head would be random; write "
            f"sbert@{folder} for its vectors"
        )
    model: CrossEncoder = _loaded(CrossEncoder, folder, device, progress)
    if model.num_labels != 1:
        raise UsageError(
            f"{folder} gives {model.num_labels} numbers a pair, as classifiers of entailment do; "
            "a score is one"
        )
    return model


def load_sparse_encoder(folder: Path, device: str, progress: Progress) -> SparseEncoder:
    """Load a sparse encoder.

    Args:
        folder: Where it is: saved by sentence-transformers, or a masked language model, which is
            read as SPLADE.
        device: Torch device.
        progress: Shows what of the folder is left out.

    Raises:
        DataError: There is no model, it is damaged or pickled, or no sparse encoder; weights or the
            tokenizer are missing.
    """
    from sentence_transformers import SparseEncoder

    refuse_damaged(with_model(folder))
    saved = (folder / "modules.json").is_file()
    if model_type(folder) != "SparseEncoder" if saved else not is_masked_lm(folder):
        raise DataError(
            f"{folder} is no sparse encoder, so that what makes it one would be random; write "
            f"sbert@{folder} for its vectors"
        )
    if not saved:
        progress.note(f"  {folder} is a masked language model, read as SPLADE by max pooling")
    model: SparseEncoder = _loaded(SparseEncoder, folder, device, progress)
    return model


def _loaded(kind: Any, folder: Path, device: str, progress: Progress) -> Any:
    from sentence_transformers.sentence_transformer.modules import Transformer

    quiet_libraries()
    with told_by_name(folder), reports() as load_reports:
        model = kind(str(folder), device=device, trust_remote_code=False, local_files_only=True)
    refuse_random(folder, load_reports, progress)
    inner = [module for module in model.modules() if isinstance(module, Transformer)]
    refuse_without_vocabulary(folder, inner)
    return model.eval()
