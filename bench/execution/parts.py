"""Encodings of one model that several workers share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.core.errors import CellError
from bench.encoding.part import EncodingPart
from bench.execution.cells import Cell, encoding_model
from bench.execution.settings import Settings
from bench.execution.vectors import text_columns


def may_share(cell: Cell) -> bool:
    """Whether several workers can share what the model of a cell encodes.

    Only where its vectors are kept in the store, and take more than the loading of the model.
    """
    _, method = encoding_model(cell)
    if method is None or method.info.output != "vectors":
        return False
    return method.cached and "torch" in method.info.requires


def encode_part(cells: Sequence[Cell], share: tuple[int, int], settings: Settings) -> list[Path]:
    """Encode part of the texts of cells of one model, into the store of the run.

    Args:
        cells: The cells, in the order of the run.
        share: Number k of the part, from 0, and how many there are.
        settings: Settings of the run.

    Returns:
        Files of the store that were written.

    Raises:
        BenchError: The model cannot be built, or gives no vectors.
    """
    _, method = encoding_model(cells[0])
    if method is None:
        raise CellError(f"{cells[0]}: its encoding cannot be shared")
    built = settings.models.build(method, seed=cells[0].seed)
    converted = settings.conversions.get(built.encoder, built.fingerprint)
    part = EncodingPart(*share, settings.cache.vectors, settings.progress)
    for cell in cells:
        part.encode(
            converted.encoder,
            text_columns(cell.loaded.tasks(), cell.column),
            model_fingerprint=built.fingerprint,
            batch_size=settings.batch_size,
            compute=converted.compute,
        )
    return part.written
