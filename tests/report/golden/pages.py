"""Pages of tables as a terminal shows them, without what makes them bold and coloured."""

from __future__ import annotations

import re
from pathlib import Path

from bench.records.files import find_records
from bench.report.on_terminal import render_on_terminal
from bench.report.selection import TableSelection, select_rows
from bench.report.table import load_tables

BASELINES = Path(__file__).parents[3] / "results/baselines"
SUITES = {"mini": None, "sts7": 20, "intent-supervised": None}
PAGES = [(suite, width) for suite in SUITES for width in (80, 120, 200)]
ESCAPES = re.compile("\x1b\\[[0-9;]*m")


def place(suite: str, width: int) -> Path:
    """File of a page."""
    return Path(__file__).parent / f"{suite}-{width}.txt"


def page(suite: str, width: int) -> str:
    """The table of a suite, of sts7 its best 20 rows, at a width."""
    (table,) = load_tables(find_records([BASELINES / suite]))
    selection = TableSelection(top=SUITES[suite])
    text = render_on_terminal(select_rows(table, selection), width=width, selection=selection)
    return ESCAPES.sub("", text) + "\n"
