"""Layers of a decoder chosen on development pairs, as arXiv 2412.11556 chooses them.

Each first layer without an edit costs one encoding of the pairs, from which all layers are read.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import CellError
from bench.core.files import write_atomic
from bench.core.progress import Progress
from bench.core.sealed import damage, make_sealed_folder
from bench.data.rows import Row, row_digest
from bench.metrics.cosine import cosine_float64
from bench.metrics.spearman import spearman

if TYPE_CHECKING:
    from bench.methods.parts.prepending import PrependingEncoder

COLUMNS = ("sentence1", "sentence2", "score")
_FILE = "layers.json"
# Scores that differ by less are of the same order of pairs, but for rounding.
_DECIMALS = 6


@dataclass(frozen=True)
class Tried:
    """A setting, and how well it did.

    Attributes:
        stop: First layer, from 0, whose input is not edited.
        layer: Layer whose output is read.
        spearman: Correlation of the cosines with the scores of the pairs, -1 to 1; None where the
            cosines have none.
    """

    stop: int
    layer: int
    spearman: float | None


@dataclass(frozen=True)
class Search:
    """All that was tried on some pairs.

    Attributes:
        tried: Every setting.
        pairs: Number of the pairs.
        seconds: How long it took.
    """

    tried: tuple[Tried, ...]
    pairs: int
    seconds: float

    @property
    def best(self) -> Tried:
        """The setting with the highest correlation; of equal ones that which edits and reads least.

        Raises:
            CellError: No setting has a correlation.
        """
        told = [(one.spearman, one) for one in self.tried if one.spearman is not None]
        if not told:
            raise CellError(
                "token-prepending: stop and layer cannot be chosen, as no layer tells the "
                f"{self.pairs} dev pairs apart; give them as numbers"
            )
        return min(told, key=lambda one: (-round(one[0], _DECIMALS), one[1].stop, one[1].layer))[1]

    def facts(self) -> dict[str, Any]:
        """What a record says of it: the choice, and among how many settings on how many pairs."""
        return {
            **asdict(self.best),
            "settings": len(self.tried),
            "pairs": self.pairs,
            "seconds": self.seconds,
        }


def some(rows: Sequence[Row], most: int | None) -> list[Row]:
    """All rows, or some of them, the same ones for every seed and not those of one genre."""
    if most is None:
        return list(rows)
    return sorted(rows, key=lambda row: row_digest(row, COLUMNS))[:most]


def search(
    encoder: PrependingEncoder,
    grid: Mapping[int, Sequence[int]],
    rows: Sequence[Row],
    progress: Progress,
) -> Search:
    """Try settings on graded pairs.

    Args:
        encoder: The decoder, read in any way.
        grid: Layers to read by the first layer without an edit.
        rows: Pairs ``sentence1`` and ``sentence2`` with a ``score``.
        progress: Where the texts are counted.
    """
    started = time.perf_counter()
    gold = np.array([float(row["score"]) for row in rows])
    texts = [str(row[name]) for name in COLUMNS[:2] for row in rows]
    own, done, tried = encoder.reading, 0, []

    def advance(texts: int) -> None:
        nonlocal done
        done += texts
        progress.advance(done)

    progress.start("choose layers", len(grid) * len(texts) * len(own.prompts))
    for stop, layers in grid.items():
        vectors = encoder.reading_as(replace(own, stop=stop)).at_layers(texts, layers, advance)
        for layer, read in zip(layers, vectors, strict=True):
            score = spearman(cosine_float64(read[: len(rows)], read[len(rows) :]), gold)
            tried.append(Tried(stop, layer, score if math.isfinite(score) else None))
    return Search(tuple(tried), len(rows), time.perf_counter() - started)


def remembered(folder: Path, make: Callable[[], Search]) -> Search:
    """The search that is kept in a folder, or where none is whole one that is made and kept."""
    path = folder / _FILE
    if damage(folder) is None:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Search(tuple(Tried(*one) for one in kept["tried"]), kept["pairs"], kept["seconds"])
    made = make()
    tried = [[one.stop, one.layer, one.spearman] for one in made.tried]
    content = json.dumps({"tried": tried, "pairs": made.pairs, "seconds": made.seconds})
    make_sealed_folder(folder, lambda place: write_atomic(place / path.name, content.encode()))
    return made
