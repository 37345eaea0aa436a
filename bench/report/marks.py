"""Marks beside the name of a row and beside a score, and what a table says of them."""

from __future__ import annotations

from collections.abc import Collection

from bench.report.table import Table, TableRow

BELOW_BASE = "▼"
IMPORTED = "†"
CONTAMINATED = "‡"
IN_DOMAIN = "°"
PARTIAL = "*"
OTHER_ROWS = "≠"
OTHER_PROTOCOL = "≢"


def row_marks(row: TableRow) -> str:
    """Marks of a row, each after a blank."""
    marks = {
        BELOW_BASE: row.below_base,
        IMPORTED: row.imported,
        PARTIAL: row.limit,
        OTHER_ROWS: row.other_rows,
        OTHER_PROTOCOL: row.other_protocol,
    }
    return "".join(f" {mark}" for mark, holds in marks.items() if holds)


def score_marks(row: TableRow, task: str) -> str:
    """Marks of a row's score on a task, without a blank."""
    return CONTAMINATED * (task in row.contaminated) + IN_DOMAIN * (task in row.in_domain)


def explain_marks(table: Table, tasks: Collection[str]) -> list[str]:
    """A sentence for each mark that stands in a table.

    Args:
        table: The table.
        tasks: Tasks whose scores it shows.
    """
    sentences = []
    if any(row.below_base for row in table.rows):
        sentences.append(f"{BELOW_BASE} below its untrained base.")
    shares = [
        share for row in table.rows for task, share in row.contaminated.items() if task in tasks
    ]
    if shares:
        sentences.append(
            f"{CONTAMINATED} training text holds up to {100 * max(shares):.1f}% of the test texts."
        )
    if any(task in tasks for row in table.rows for task in row.in_domain):
        sentences.append(f"{IN_DOMAIN} trained on other rows of the same data set.")
    if any(row.imported for row in table.rows):
        sentences.append(f"{IMPORTED} from result files of mteb, not measured here.")
    if limits := sorted({row.limit for row in table.rows if row.limit is not None}):
        some = ", ".join(map(str, limits))
        sentences.append(f"{PARTIAL} partial: only {some} rows of each task.")
    if any(row.other_rows for row in table.rows):
        sentences.append(f"{OTHER_ROWS} scored on other rows than most here; run all again.")
    if any(row.other_protocol for row in table.rows):
        sentences.append(_protocols(table))
    return sentences


def _protocols(table: Table) -> str:
    facts = {f"{task}: {fact}" for row in table.rows for task, fact in row.other_protocol.items()}
    return (
        f"{OTHER_PROTOCOL} scored by another protocol than most here "
        f"({'; '.join(sorted(facts))}); run all again on the same suite."
    )
