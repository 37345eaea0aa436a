"""Part of an encoding, where several workers share the texts of one model.

The batches of all texts are those of one worker that has them all, and each part takes every n-th
of them, so that the vectors are the same to the last bit. A text that several suites have belongs
to the first of them, as it would for one worker.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.core.compute import Compute
from bench.core.progress import Progress
from bench.encoding.encode import Space, fill, prepared, spaces_of
from bench.encoding.encoder import Columns, Encoder
from bench.encoding.store import ABSENT, text_keys

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class EncodingPart:
    """Encodes a part of the texts of one model, suite after suite.

    Args:
        number: Its number k, from 0.
        of: How many parts there are, n.
        folder: Folder of the vector store.
        progress: Where the work reports.

    Attributes:
        written: Files of vectors that it has left in the store.
    """

    def __init__(self, number: int, of: int, folder: Path, progress: Progress) -> None:
        self.written = list[Path]()
        self._share = number, of
        self._folder = folder
        self._progress = progress
        # Texts of the suites before, by space.
        self._before = defaultdict[Path, set[str]](set)

    def encode(
        self,
        encoder: Encoder | SentenceTransformer,
        columns: Columns,
        *,
        model_fingerprint: str,
        batch_size: int | None = None,
        compute: Compute | None = None,
    ) -> None:
        """Encode this part of the columns of a suite, see ``encode_columns``.

        Raises:
            CellError: Vectors of a wrong shape or with NaN or infinity.
        """
        asked = columns, model_fingerprint, self._folder, batch_size, compute
        for space in spaces_of(encoder, *asked):
            self._encode(space)
            self.written += space.store.written

    def _encode(self, space: Space) -> None:
        before = self._before[space.store.folder]
        places = space.store.find(text_keys(space.texts))
        absent = {space.texts[number] for number in np.flatnonzero(places == ABSENT)}
        # What the store lacks of an earlier suite is on its way there from another part.
        missing = absent - before
        before.update(space.texts)
        if missing:
            # About as many, as batches are of different sizes.
            self._progress.start("encode", -(-len(missing) // self._share[1]))
            batches = prepared(space.planned, space.texts, missing, self._share)
            fill(space.store, [space.planned], batches, self._progress)
