"""Suites of one task of any kind, on rows that have the columns of all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.support.suites import WORDS, Bench

# Values as TOML; None drops the field.
Fields = Mapping[str, str | None]
FILE, OTHER = '{ file = "rows.jsonl" }', '{ file = "other.jsonl" }'
# Fields that a task of a kind needs besides; a kind that is not here needs none.
TASKS: dict[str, Fields] = {
    "sts": {},
    "classification": {"folds": "3"},
    "nli": {"folds": "3"},
    "pair_classification": {"columns": '{ label = "flag" }'},
    "reranking": {},
    "retrieval": {},
    "clustering": {},
    "dimension": {},
    "relatedness": {"train": OTHER, "dev": OTHER},
}


def write_rows(name: str, first: int) -> None:
    """Write forty rows that have the columns of every kind."""
    lines = []
    for i in range(first, first + 40):
        one, other = f"{WORDS[i % 10]} {WORDS[i * 3 % 7]} {i}", f"{WORDS[i * 7 % 10]} for {i}"
        row = {
            **dict.fromkeys(["text", "sentence1", "premise", "query"], one),
            **dict.fromkeys(["other", "sentence2", "hypothesis"], other),
            "positive": [f"{one} {other}"],
            "negative": [WORDS[i % 4], f"no {other}"],
            "label": f"label {i * i % 3 % 2}",
            "flag": i * 5 % 4 % 2,
            "score": float(i * i % 6),
            "subset": f"part {i % 2}",
        }
        lines.append(json.dumps(row))
    Path(name).write_text("\n".join(lines) + "\n")


def run(bench: Bench, folder: str, kind: str, *changes: Fields) -> None:
    """Score a method on a suite of one task, in the folder ``other`` two."""
    fields: dict[str, str | None] = {"name": '"T"', "kind": f'"{kind}"', "data": FILE}
    fields["convention"] = '"senteval"'
    for change in (TASKS.get(kind, {}), *changes):
        fields |= change
    convention = fields.pop("convention")
    lines = [f"{name} = {value}" for name, value in fields.items() if value is not None]
    Path("suite.toml").write_text(
        f'name = "suite"\ntitle = "x"\nconvention = {convention}\n'
        f"average = [{fields['name']}]\n[[tasks]]\n" + "\n".join(lines) + "\n"
    )
    methods = "good" if folder == "one" else "good,good2"
    code, _, err = bench("run", "--suite", "suite.toml", "--methods", methods, "--output", folder)
    assert code == 0, err
