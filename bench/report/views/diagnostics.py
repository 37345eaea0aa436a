"""What ensembles that learn from a pool are made of, a table for each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.records.entries import Record
from bench.report.text import Style
from bench.report.views.page import by_row, grids, heading, names_of, note, shown_code, shown_text

# Name of the column, where its value is, and how it is written.
_AUDIT: Sequence[tuple[str, tuple[str, ...], str]] = (
    ("Labelled", ("audit", "labelled"), "{:.0f}"),
    ("Kept", ("audit", "kept"), "{:.0f}"),
    ("Right", ("audit", "accuracy"), "{:.1%}"),
    ("Right kept", ("audit", "accuracy_kept"), "{:.1%}"),
    ("Right rejected", ("audit", "accuracy_rejected"), "{:.1%}"),
    ("Recall", ("audit", "recall"), "{:.1%}"),
    ("F1", ("audit", "f1"), "{:.3f}"),
)
_NOTE = (
    "Means over seeds. Labelled: texts of the pool with a pseudo-label, in all folds; Kept: those "
    "learnt from; Right: pseudo-labels that are the true ones, or scores within the filter's "
    "tolerance of them; Recall and F1 of the filter, by which a right label is one to keep (its "
    "precision is Right kept). Columns w: share of the ridge weights. r: largest correlation of "
    "two members' errors. Then the metric of members, combinations and baselines on the scored "
    "rows (* the one whose labels count), and of an oracle that knows the best member for each "
    "row: accuracy × 100, or the root mean squared error."
)


def render(
    suite: str, records: Sequence[Record], *, style: Style = "text", width: int | None = None
) -> str | None:
    """Render a row for each method, and the alarms below. See ``bench.report.views.Render``."""
    known = [record for record in records if record.diagnostics]
    tasks = list(dict.fromkeys(task for record in known for task in record.diagnostics))
    if not tasks:
        return None
    parts = []
    for task in tasks:
        of_task = [record for record in known if task in record.diagnostics]
        parts += [heading(f"{suite} by diagnostics: {task}", style)]
        parts += _task(task, of_task, style, width)
    text = _NOTE.replace("*", r"\*") if style == "markdown" else _NOTE
    return "\n\n".join([*parts, note(text, width)])


def _task(task: str, records: Sequence[Record], style: Style, width: int | None) -> list[str]:
    rows: list[dict[str, str]] = []
    # Ways to combine the same members share alarms.
    alarms: dict[str, list[str]] = {}
    groups = by_row(records)
    names = names_of(groups)
    for key, group in groups.items():
        name = shown_code(names[key], style)
        diagnostics = [record.diagnostics[task] for record in group]
        rows.append({"Method": name, **_row(diagnostics, style)})
        for record, of_seed in zip(group, diagnostics, strict=True):
            for alarm in of_seed.get("alarms", ()):
                raised = alarms.setdefault(shown_text(alarm, style), [])
                raised.append(f"{name}, seed {record.seed}")
    headers = list(dict.fromkeys(column for row in rows for column in row))
    cells = [[row.get(column, "") for column in headers] for row in rows]
    shown = grids(cells, headers, style=style, width=width)
    if alarms:
        bullet = "- " if style == "markdown" else "! "
        lines = [f"{bullet}{alarm}: {'; '.join(raised)}" for alarm, raised in alarms.items()]
        shown.append("\n".join(note(line, width) for line in lines))
    return shown


def _row(diagnostics: Sequence[Mapping[str, Any]], style: Style) -> dict[str, str]:
    row = {
        name: form.format(mean)
        for name, path, form in _AUDIT
        if (mean := _mean([_at(of_seed, path) for of_seed in diagnostics])) is not None
    }
    for name in _names(diagnostics, "weights", "shares"):
        share = _mean([_at(of_seed, ("weights", "shares", name)) for of_seed in diagnostics])
        row[f"w {shown_text(name, style)}"] = "" if share is None else f"{share:.0%}"
    together = _mean([_largest(of_seed) for of_seed in diagnostics])
    if together is not None:
        row["r"] = f"{together:.2f}"
    chosen = {of_seed.get("chosen") for of_seed in diagnostics}
    for name in _names(diagnostics, "scores"):
        mark = "*" if name in chosen else ""
        row[shown_text(name, style)] = _score(
            [of_seed["scores"].get(name) for of_seed in diagnostics], mark, style
        )
    row["oracle"] = _score([of_seed.get("oracle") for of_seed in diagnostics], "", style)
    return row


def _score(scores: Sequence[Mapping[str, Any] | None], mark: str, style: Style) -> str:
    mark = r"\*" if mark and style == "markdown" else mark
    known = [score for score in scores if score]
    accuracy = _mean([score.get("accuracy") for score in known])
    if accuracy is not None:
        return f"{100 * accuracy:.2f}{mark}"
    error = _mean([score.get("rmse") for score in known])
    return "" if error is None else f"{error:.3f}{mark}"


def _largest(diagnostics: Mapping[str, Any]) -> float | None:
    known = [errors["pearson"] for errors in diagnostics.get("errors", {}).values()]
    return max((value for value in known if value is not None), default=None)


def _names(diagnostics: Sequence[Mapping[str, Any]], *path: str) -> list[str]:
    return list(dict.fromkeys(name for of_seed in diagnostics for name in _at(of_seed, path) or ()))


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
