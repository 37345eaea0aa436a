"""Which scores of trained rows differ significantly from those of their untrained base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.core.errors import UsageError
from bench.records.files import StoredRecord
from bench.report.table import base_of, group_rows, row_id
from bench.verdicts.difference import LEVEL, compare
from bench.verdicts.side import Side

# By the id of a row and by task: 1 above the base, -1 below it; other scores have no entry.
Significance = Mapping[str, Mapping[str, int]]


def against_bases(suite: str, stored: Sequence[StoredRecord]) -> Significance:
    """Compare each trained row with its untrained base, as ``compare`` does.

    Args:
        suite: Name of the suite.
        stored: Its records.

    Returns:
        The scores that differ at 5%, Holm over the tasks; rows that cannot be compared with a base
        have none.

    Raises:
        DataError: Records do not fit one table, or items are not those of theirs.
    """
    groups = group_rows(suite, stored)
    differing: dict[str, dict[str, int]] = {}
    for group in groups.values():
        first = group[0][1]
        base = base_of(first, groups)
        if base is None or base[0][1].method.trained:
            continue
        try:
            lines = compare(Side(group), Side(base)).lines
        except UsageError:
            # Other rows or another protocol, with which the table marks one of them.
            continue
        differing[row_id(suite, first)] = {
            line.task: 1 if line.difference.delta > 0 else -1
            for line in lines
            if line.p_holm < LEVEL and line.difference.delta
        }
    return differing
