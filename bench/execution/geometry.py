"""How the vectors of a task lie: evenly or not, in how many dimensions, close where they should be.

All methods are measured on the same texts of a task, which follow from its rows alone. No two of
them are of one pair, nor linked by pairs: where each has its paraphrase nearby, a measure by
nearest neighbours is one of how paraphrases differ. Figures of different tasks, or of different
numbers of texts, do not compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.data.contamination import normalise
from bench.encoding.encoder import Column
from bench.metrics.alignment import alignment, uniformity
from bench.metrics.intrinsic_dimension import (
    NEIGHBOURS,
    covariance_spectrum,
    different_neighbours,
    levina_bickel,
    participation_ratio,
    pca_dimension,
    top_share,
    twonn,
    twonn_fit,
)
from bench.metrics.isotropy import isoscore, mean_cosine, partition_isotropy
from bench.metrics.singular_values import (
    condition_number,
    numerical_rank,
    singular_entropy,
    singular_values,
    token_similarity,
)
from bench.records.entries import GeometryEntry
from bench.tasks.base import PairedTask, Task, Together, Vectors
from bench.tasks.dimension import SENTENCES, DimensionTask

TEXTS = 2000
PAIRS = 2000
# Texts whose tokens are compared, which takes another pass of the model.
TOKENS_OF = 500
_T = TypeVar("_T", float, int, NDArray[np.float64])


def measure(
    task: Task[Any], vectors: Vectors, seed: int, encoder: object = None
) -> GeometryEntry | None:
    """Measure the vectors of some distinct texts of a task, and of 2,000 positive pairs.

    At most 2,000 texts are drawn, of kind ``dimension`` all. Two that differ in case and
    punctuation, or are linked by pairs, are never both among them. Vectors of zeros, and those
    within rounding of an earlier one, are left out; what is not defined on the rest is None.

    Args:
        task: The task; positive pairs are known of some kinds only, see ``PairedTask``.
        vectors: Float32 vectors by column of its texts, each of shape (n, d).
        seed: Seed of the draw, the same for all methods.
        encoder: What made the vectors. Of kind ``dimension`` the states of the tokens of 500 texts
            are compared too, where it is a sentence transformer that has such.

    Returns:
        The measures, or None where the task has no vectors.
    """
    columns, together = task.texts(), task.together()
    if not any(column.texts for column in columns.values()):
        return None
    sampled = isinstance(task, DimensionTask)
    most = SENTENCES if sampled else TEXTS
    drawn = _drawn(columns, together or {}, most, np.random.default_rng(seed))
    every = np.concatenate([vectors[name][rows] for name, rows in drawn.rows.items()])
    different, nearest = different_neighbours(every, NEIGHBOURS)
    kept = every[different]
    pairs = _positive_pairs(task, vectors, np.random.default_rng(seed))
    measures: Mapping[str, Any] = {}
    if len(kept) > 1:
        measures = {**_isotropy(kept), **_dimensions(kept, nearest), **_spread(kept)}
    return GeometryEntry(
        texts=len(drawn.texts),
        vectors=len(kept),
        pairs=0 if pairs is None else len(pairs[0]),
        apart=True if together is not None else None,
        alignment=None if pairs is None else _defined(alignment, *pairs),
        token_similarity=_of_tokens(encoder, drawn.texts) if sampled else None,
        **measures,
    )


@dataclass(frozen=True)
class _Drawn:
    """Distinct texts, and the rows that they have in the columns, in the same order."""

    texts: Sequence[str]
    rows: Mapping[str, NDArray[np.intp]]


def _drawn(
    columns: Mapping[str, Column], together: Together, most: int, rng: np.random.Generator
) -> _Drawn:
    """Draw texts at random, each unless one that it is linked with is drawn already."""
    firsts: dict[str, int] = {}
    for place, text in enumerate(chain.from_iterable(one.texts for one in columns.values())):
        firsts.setdefault(text, place)
    linked = _linked(columns, together)
    texts, chosen = list(firsts), list[int]()
    taken = set[int | str]()
    for number in rng.permutation(len(texts)).tolist():
        if len(chosen) == most:
            break
        text = texts[number]
        own = {linked.get(text, text), normalise(text) or text}
        if taken.isdisjoint(own):
            chosen.append(number)
            taken |= own
    chosen.sort()
    places = np.array([firsts[texts[number]] for number in chosen], dtype=np.intp)
    ends = np.cumsum([len(column.texts) for column in columns.values()])
    # Texts come in the order of the columns, and so do the places of the first of each.
    own_places = np.split(places, np.searchsorted(places, ends[:-1]))
    by_column = zip(columns, own_places, (0, *ends[:-1]), strict=True)
    return _Drawn(
        [texts[number] for number in chosen],
        {name: own - start for name, own, start in by_column},
    )


def _linked(columns: Mapping[str, Column], together: Together) -> Mapping[str, int]:
    """Number the texts that groups link, those of groups that share a text alike."""
    parents: dict[int, int] = {}

    def root(group: int) -> int:
        while parents.setdefault(group, group) != group:
            parents[group] = parents[parents[group]]
            group = parents[group]
        return group

    groups: dict[str, int] = {}
    for name, (rows, numbers) in together.items():
        for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
            own = groups.setdefault(columns[name].texts[row], number)
            parents[root(number)] = root(own)
    return {text: root(group) for text, group in groups.items()}


def _sample(n: int, most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of ``most`` of n things in order, or of all where there are fewer."""
    return np.sort(rng.choice(n, most, replace=False)) if n > most else np.arange(n)


def _positive_pairs(
    task: Task[Any], vectors: Vectors, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    if not isinstance(task, PairedTask):
        return None
    sides = task.positive_pairs()
    chosen = _sample(len(next(iter(sides.values()))), PAIRS, rng)
    a, b = (vectors[name][rows[chosen]] for name, rows in sides.items())
    known = a.any(axis=1) & b.any(axis=1)
    return a[known], b[known]


def _isotropy(vectors: NDArray[np.float32]) -> Mapping[str, float | None]:
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    return {
        "isoscore": _defined(isoscore, vectors),
        "mean_cosine": _defined(mean_cosine, vectors),
        "mean_cosine_centred": _defined(mean_cosine, centred),
        "partition": _defined(partition_isotropy, vectors),
        "uniformity": _defined(uniformity, vectors),
    }


def _dimensions(vectors: NDArray[np.float32], nearest: NDArray[np.float64]) -> Mapping[str, Any]:
    two, many = nearest.shape[1] >= 2, nearest.shape[1] >= NEIGHBOURS
    spectrum = _defined(covariance_spectrum, vectors)
    return {
        "twonn": _defined(twonn, nearest) if two else None,
        "twonn_fit": _defined(twonn_fit, nearest) if two else None,
        "mle": _defined(levina_bickel, nearest) if many else None,
        "top_share": None if spectrum is None else top_share(spectrum),
        "pca_dimension": None if spectrum is None else pca_dimension(spectrum),
        "participation_ratio": None if spectrum is None else participation_ratio(spectrum),
    }


def _spread(vectors: NDArray[np.float32]) -> Mapping[str, Any]:
    sizes = singular_values(vectors)
    longest = max(vectors.shape)
    return {
        "rank": numerical_rank(sizes, longest),
        "singular_entropy": singular_entropy(sizes),
        "condition_number": condition_number(sizes, longest),
    }


def _of_tokens(encoder: object, texts: Sequence[str]) -> float | None:
    """Compare the tokens of at most 500 texts, where an encoder has states of them."""
    from bench.models.token_states import token_states

    # From all over them, as files may be sorted.
    states = token_states(encoder, texts[:: -(-len(texts) // TOKENS_OF)])
    return None if states is None else _defined(token_similarity, states)


def _defined(measure: Callable[..., _T], *arguments: Any) -> _T | None:
    try:
        value = measure(*arguments)
    except ValueError:
        return None
    return value if np.isfinite(value).all() else None
