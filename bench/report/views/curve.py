"""Scores against the size of vectors: models, and the same cut by several reductions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import UsageError
from bench.core.spec import MethodSpec, parse_method_spec
from bench.records.entries import GroupKey, Record
from bench.report.columns import DASH
from bench.report.text import Style
from bench.report.views.page import by_row, grids, heading, label, note, shown_code, shown_text

ScoresByKind = Mapping[str, float]
_SIZES = ("dim", "fraction")
_WRAPPED = "of"
_NOTE = (
    "Mean score × 100 of the tasks of each kind, of the averaged tasks, mean over seeds, and in "
    "brackets the share of what the whole vectors score."
)


@dataclass(frozen=True)
class Curves:
    """Scores of one model, whole and cut to several sizes.

    Attributes:
        name: What the model is called.
        width: Size of its whole vectors, or None where it was not run itself.
        whole: Its scores by kind of task, fractions; empty where it was not run.
        cuts: Scores by kind, by size and reduction: ``truncate``, ``pca-dims``, ….
        kinds: Kinds of task, in the order of the suite.
    """

    name: str
    width: int | None
    whole: ScoresByKind
    cuts: Mapping[str, Mapping[int, ScoresByKind]]
    kinds: tuple[str, ...]

    @property
    def sizes(self) -> list[int]:
        """All sizes, the largest first."""
        found = {size for by_size in self.cuts.values() for size in by_size}
        return sorted(found | ({self.width} if self.width else set()), reverse=True)

    def score(self, reduction: str, size: int, kind: str) -> float | None:
        """Score of a cut, of the whole vectors at their own size, or None where it was not run."""
        if size == self.width:
            return self.whole.get(kind)
        return self.cuts[reduction].get(size, {}).get(kind)

    def share(self, reduction: str, size: int, kind: str) -> float | None:
        """The same as a share of the score of the whole vectors, None where that is not above 0."""
        score, whole = self.score(reduction, size, kind), self.whole.get(kind, 0)
        return None if score is None or whole <= 0 else score / whole


def find_curves(records: Sequence[Record]) -> list[Curves]:
    """Find the models of a suite that were cut, in the order of their records.

    A cut is a transform with a size; what else it is set to names the reduction.

    Args:
        records: Records of one suite.
    """
    groups = by_row(records)
    whole = {group[0].group: group for group in groups.values()}
    cuts: dict[GroupKey, list[list[Record]]] = {}
    for group in groups.values():
        wrapped = _wrapped(group[0])
        if wrapped is not None:
            cuts.setdefault((wrapped, *group[0].group[1:]), []).append(group)
    return [_curves(key[0], cut_groups, whole.get(key, [])) for key, cut_groups in cuts.items()]


def _wrapped(record: Record) -> str | None:
    """Spec of the model that a record is a cut of, as records name it; None for others."""
    config, wrapped = record.method.config, record.method.config.get(_WRAPPED)
    sized = any(config.get(name) is not None for name in _SIZES)
    if record.method.kind != "transform" or not sized or record.dimension is None or not wrapped:
        return None
    try:
        return str(parse_method_spec(str(wrapped)))
    except UsageError:
        return str(wrapped)


def _reduction(record: Record) -> str:
    spec = parse_method_spec(record.method.spec)
    options = tuple((key, value) for key, value in spec.options if key not in (*_SIZES, _WRAPPED))
    return str(MethodSpec(spec.name, None, options))


def _curves(name: str, groups: Sequence[Sequence[Record]], whole: Sequence[Record]) -> Curves:
    cuts: dict[str, dict[int, list[Record]]] = {}
    for group in groups:
        sizes = cuts.setdefault(_reduction(group[0]), {})
        sizes.setdefault(group[0].dimension or 0, []).extend(group)
    first = groups[0][0]
    return Curves(
        name=label(first, name),
        width=whole[0].dimension if whole else None,
        whole=_scores(whole),
        cuts={
            reduction: {size: _scores(of_size) for size, of_size in sizes.items()}
            for reduction, sizes in cuts.items()
        },
        kinds=tuple(dict.fromkeys(first.tasks[task].kind for task in first.averaged_tasks)),
    )


def _scores(records: Sequence[Record]) -> ScoresByKind:
    by_kind: dict[str, list[float]] = {}
    for record in records:
        for name in record.averaged_tasks:
            task = record.tasks[name]
            by_kind.setdefault(task.kind, []).append(task.main)
    return {kind: float(np.mean(values)) for kind, values in by_kind.items()}


def render(
    suite: str, records: Sequence[Record], *, style: Style = "text", width: int | None = None
) -> str | None:
    """Render a table for each model that was cut. See ``bench.report.views.Render``."""
    curves = find_curves(records)
    if not curves:
        return None
    parts = [heading(f"{suite} by size of the vectors", style)]
    for model_curves in curves:
        parts += [_caption(model_curves, style), *_tables(model_curves, style, width)]
    return "\n\n".join([*parts, note(_NOTE, width)])


def _caption(curves: Curves, style: Style) -> str:
    name = shown_code(curves.name, style)
    whole = f"{curves.width} dimensions" if curves.width else "whole vectors not run"
    return f"{name}, {whole}"


def _tables(curves: Curves, style: Style, width: int | None) -> list[str]:
    whole = _grids(curves, curves.kinds, style, width)
    if len(whole) == 1:
        return whole
    return [grid for kind in curves.kinds for grid in _grids(curves, [kind], style, width)]


def _grids(curves: Curves, kinds: Sequence[str], style: Style, width: int | None) -> list[str]:
    columns = [(kind, reduction) for kind in kinds for reduction in curves.cuts]
    rows = [
        [
            str(size),
            f"{size / curves.width:.1%}" if curves.width else DASH,
            *(_cell(curves, reduction, size, kind) for kind, reduction in columns),
        ]
        for size in curves.sizes
    ]
    headers = [shown_text(f"{kind} {reduction}", style) for kind, reduction in columns]
    return grids(rows, ["Dim", "Share", *headers], style=style, width=width, kept=2, left=0)


def _cell(curves: Curves, reduction: str, size: int, kind: str) -> str:
    score, share = curves.score(reduction, size, kind), curves.share(reduction, size, kind)
    if score is None:
        return ""
    return f"{100 * score:.2f}" + ("" if share is None else f" ({share:.1%})")
