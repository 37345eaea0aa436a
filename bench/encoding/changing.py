"""Encoders that may change behind their name, whose old and new vectors are never mixed.

What answers at an address today need not be what answered there yesterday, though its identity is
the same. Such an encoder brings the vector of a text of its own, made when it was built; the store
keeps the one of the first time, and what differs from that is another model.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.encoding.store import ABSENT, VectorStore, text_keys

# No text of a suite: those have no such character.
_KEY = "\x00probe"
# Servers compute in half precision, and with others' texts in a batch.
LEAST_COSINE = 0.999


@runtime_checkable
class Changing(Protocol):
    """An encoder that may change behind its name.

    Attributes:
        name: What it is called in messages.
        probe: Vector (d,) of a text that is always the same, as it is now.
    """

    name: str
    probe: NDArray[np.float32]


def refuse_changed(encoder: object, store: VectorStore) -> None:
    """Refuse to add vectors to those of another model, where an encoder may have changed.

    Raises:
        CellError: Its probe has another vector than when the store was begun.
    """
    if not isinstance(encoder, Changing):
        return
    places = store.find(text_keys([_KEY]))
    if places[0] == ABSENT:
        store.put([_KEY], encoder.probe[None])
        return
    refuse_other(encoder.name, store.take(places)[0], encoder.probe)


def refuse_other(name: str, kept: NDArray[np.float32], probe: NDArray[np.float32]) -> None:
    """Refuse the vectors of a model that gives a text another vector than the model before.

    Args:
        name: What the encoder is called.
        kept: Vector (d,) of the text before.
        probe: Its vector now.

    Raises:
        CellError: They differ by more than rounding.
    """
    if len(kept) != len(probe):
        said = f"has {len(probe)} dimensions, and had {len(kept)}"
    else:
        cosine = _cosine(kept, probe)
        if cosine >= LEAST_COSINE:
            return
        said = f"gives a text another vector than before (cosine {cosine:.3f})"
    raise CellError(
        f"{name} {said}, so that another model answers now; set revision to any new name "
        "for it, or clear the vectors of the old one with 'bench cache clear'"
    )


def _cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    product = float(np.linalg.norm(a.astype(np.float64)) * np.linalg.norm(b.astype(np.float64)))
    return float(a.astype(np.float64) @ b) / product if product else float(np.array_equal(a, b))
