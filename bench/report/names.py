"""What rows are called, so that no two look the same, and long names are cut to a number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from bench.report.table import TableRow

# Where the name of a method ends, and its checkpoint, options or facts begin.
_TAIL = re.compile(r"[\[@ ]")

_FACTS: Sequence[Callable[[TableRow], str]] = (
    lambda row: row.spec if row.label else "",
    lambda row: (row.profile or "") if row.trained else "",
    lambda row: row.setup,
    lambda row: "" if row.limit is None else f"first {row.limit}",
    lambda row: f"revision {row.revision}" if row.revision else "",
    lambda row: "from mteb's files" if row.imported else "",
)


def row_names(rows: Sequence[TableRow]) -> dict[str, str]:
    """What each row is called, by its id: label or spec, and what tells it from those like it.

    Two rows of one name get the facts in which they differ: the spec behind a label, the profile,
    what computed them, the number of rows scored, the revision of a checkpoint; or their ids.
    """
    alike: dict[str, list[TableRow]] = {}
    for row in rows:
        alike.setdefault(row.label or row.spec, []).append(row)
    names: dict[str, str] = {}
    for name, group in alike.items():
        told = [fact for fact in _FACTS if len({fact(row) for row in group}) > 1]
        facts = {row.id: tuple(filter(None, (fact(row) for fact in told))) for row in group}
        counts = Counter(facts.values())
        for row_id, of_row in facts.items():
            known = of_row if counts[of_row] == 1 else (*of_row, row_id)
            names[row_id] = f"{name} ({', '.join(known)})" if len(group) > 1 and known else name
    return names


def explain_labels(rows: Sequence[TableRow], names: Mapping[str, str]) -> list[str]:
    """What is behind each label that stands in a table alone."""
    labelled = {row.label: row.spec for row in rows if row.label and names[row.id] == row.label}
    return [f"{label} is {spec}." for label, spec in labelled.items() if label != spec]


def shortened(names: Mapping[str, str], most: int) -> tuple[dict[str, str], list[str]]:
    """Cut what follows the name of a method where the whole is too long.

    Args:
        names: Names by row.
        most: Characters that a name may have.

    Returns:
        The names by row, and what is behind each number in them.
    """
    numbers: dict[str, int] = {}
    short = {}
    for row_id, name in names.items():
        cut = _TAIL.search(name, 1)
        if len(name) <= most or cut is None:
            short[row_id] = name
            continue
        tail = name[cut.start() :]
        number = numbers.setdefault(tail, 1 + len(numbers))
        short[row_id] = f"{name[: cut.start()]}[…{number}]"
    return short, [f"[…{number}] is {tail.strip()}" for tail, number in numbers.items()]
