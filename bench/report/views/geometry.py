"""How the vectors of methods lie: measures of ``bench.execution.geometry``, a row a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.records.entries import Record
from bench.report.columns import DASH
from bench.report.table import row_key
from bench.report.text import Style
from bench.report.views.page import Names, by_row, grids, heading, names_of, note, shown_code

FEWER = "*"
PAIRED = "¶"
# Field of the record: name of the column, and how a value is written.
_MEASURES: Mapping[str, tuple[str, str]] = {
    "vectors": ("Vectors", "{:.0f}"),
    "isoscore": ("IsoScore", "{:.4f}"),
    "mean_cosine": ("Cos", "{:z.3f}"),
    "mean_cosine_centred": ("Cos centred", "{:z.3f}"),
    "top_share": ("1st axis", "{:.1%}"),
    "partition": ("Z min/max", "{:.3g}"),
    "twonn": ("TwoNN", "{:.1f}"),
    "twonn_fit": ("TwoNN fit", "{:.1f}"),
    "mle": ("MLE", "{:.1f}"),
    "pca_dimension": ("PCA 95%", "{:.0f}"),
    "participation_ratio": ("PR", "{:.1f}"),
    "rank": ("Rank", "{:.0f}"),
    "singular_entropy": ("SVD entropy", "{:.2f}"),
    "condition_number": ("Cond", "{:.3g}"),
    "token_similarity": ("Tokens", "{:.3f}"),
    "alignment": ("Align", "{:.3f}"),
    "uniformity": ("Unif", "{:.2f}"),
}
# Over pairs and tokens of their own, not over the texts that were drawn.
_OTHERWISE = {"alignment", "token_similarity"}
_NOTE = (
    "Means over the tasks of the suite and over seeds, of up to 2,000 distinct texts of each task, "
    "no two of one pair, and of 10,000 in tasks of kind dimension "
    "(Vectors: different vectors among theirs). Evenness: IsoScore (1 even, 0 on a line), mean "
    "cosine of pairs, as it is and of centred vectors, variance on the first principal axis, min/"
    "max of the partition function (1 even; longer vectors lower it). Intrinsic dimension: TwoNN "
    "by maximum likelihood and by its line, MLE of 20 neighbours, principal axes for 95% of the "
    "variance, participation ratio (PR). Vectors as they are: Rank (singular values that float32 "
    "tells from 0), entropy of the singular values in nats, condition number (Cond: the largest "
    "over the least of the rank). Tokens: mean cosine of the tokens of a text, of 500 texts in "
    "tasks of kind dimension, where a model has states of tokens. Align: mean squared distance of "
    "pairs that mean the same, where a task has such; Unif: logarithm of the mean of exp(-2 d²), "
    "lower is more even. "
    "IsoScore and PR fall short where there are fewer than about 5 vectors a dimension, both "
    "neighbour measures above about 10 dimensions. Avg: score of the suite × 100."
)
_FEWER_NOTE = f"{FEWER} over fewer tasks than in other rows, as it is not defined in all."
_PAIRED_NOTE = (
    f"{PAIRED} of texts of which two may be of one pair, as in records from before these were kept "
    "apart and in tasks whose pairs mteb alone knows: TwoNN then measures paraphrases, and no such "
    "figure compares with the others."
)


def render(
    suite: str, records: Sequence[Record], *, style: Style = "text", width: int | None = None
) -> str | None:
    """Render measures of methods, the best score first. See ``bench.report.views.Render``."""
    measured = measures(records)
    if measured is None:
        return None
    headers, cells, text = measured
    rows = [[shown_code(row[0], style), *row[1:]] for row in cells]
    return "\n\n".join(
        [
            heading(f"{suite} by geometry", style),
            *grids(rows, headers, style=style, width=width),
            note(text.replace("*", r"\*") if style == "markdown" else text, width),
        ]
    )


def measures(
    records: Sequence[Record], names: Names | None = None
) -> tuple[list[str], list[list[str]], str] | None:
    """Measures of methods, the best score first.

    Args:
        records: Records of one suite.
        names: What its rows are called; left out, as ``names_of`` has it.

    Returns:
        Headers, rows that begin with the name of a method, and what is to be said of them; or None
        where nothing was measured.
    """
    by_key = by_row(records)
    names = names or names_of(by_key)
    groups = [group for group in by_key.values() if any(record.geometry for record in group)]
    if not groups:
        return None
    groups.sort(key=lambda group: -_average(group))
    known = {name: {task for group in groups for task in _tasks(group, name)} for name in _MEASURES}
    shown = [name for name, tasks in known.items() if tasks]
    rows = [
        [
            names[row_key(group[0])],
            DASH if group[0].dimension is None else str(group[0].dimension),
            *(_cell(group, name, known[name]) for name in shown),
            f"{100 * _average(group):.2f}",
        ]
        for group in groups
    ]
    headers = ["Method", "Dim", *(_MEASURES[name][0] for name in shown), "Avg"]
    text = _NOTE
    for mark, note_of_it in ((FEWER, _FEWER_NOTE), (PAIRED, _PAIRED_NOTE)):
        if any(mark in cell for row in rows for cell in row[1:]):
            text += f" {note_of_it}"
    return headers, rows, text


def _average(group: Sequence[Record]) -> float:
    return float(np.mean([record.average for record in group]))


def _values(record: Record, measure: str) -> dict[str, float]:
    found = {task: getattr(entry, measure) for task, entry in record.geometry.items()}
    return {task: value for task, value in found.items() if value is not None}


def _tasks(group: Sequence[Record], measure: str) -> set[str]:
    return {task for record in group for task in _values(record, measure)}


def _cell(group: Sequence[Record], measure: str, known: set[str]) -> str:
    measured = [values for record in group if (values := _values(record, measure))]
    if not measured:
        return ""
    mean = float(np.mean([np.mean(list(values.values())) for values in measured]))
    marks = FEWER * (_tasks(group, measure) < known) + PAIRED * _is_paired(group, measure)
    return _MEASURES[measure][1].format(mean) + marks


def _is_paired(group: Sequence[Record], measure: str) -> bool:
    """Whether a measure is over texts that may be of one pair."""
    return measure not in _OTHERWISE and any(
        not entry.apart and getattr(entry, measure) is not None
        for record in group
        for entry in record.geometry.values()
    )
