"""Tables of committed records on terminals of three widths, and what is bold in them."""

from __future__ import annotations

import re

import pytest

from bench.records.files import find_records
from bench.report.on_terminal import render_on_terminal
from bench.report.table import load_tables
from tests.report.golden.pages import BASELINES, ESCAPES, PAGES, page, place

LINES = 24


@pytest.mark.parametrize(("suite", "width"), PAGES)
def test_a_page_is_that_of_the_file(suite: str, width: int) -> None:
    shown = page(suite, width)
    assert shown == place(suite, width).read_text(encoding="utf-8"), (
        "python -m tests.report.golden writes these files"
    )
    assert max(map(len, shown.splitlines())) <= width


def test_how_much_a_small_terminal_holds() -> None:
    for suite, screens, grids in (("mini", 1, 1), ("intent-supervised", 1, 2), ("sts7", 3, 2)):
        lines = place(suite, 80).read_text(encoding="utf-8").splitlines()
        assert len(lines) <= screens * LINES
        assert sum(line.startswith("───") for line in lines) == grids


def test_best_scores_are_bold_and_second_best_underlined() -> None:
    (table,) = load_tables(find_records([BASELINES / "mini"]))
    shown = render_on_terminal(table, width=80)
    assert "\x1b[1;32m64.50\x1b[0m" in shown
    assert "\x1b[4m38.33\x1b[0m" in shown
    plain = render_on_terminal(table, width=80, colours=False)
    assert "\x1b[1m64.50\x1b[0m" in plain
    colours = re.findall("\x1b\\[(?:[0-9]*;)?3[0-9]m", plain)
    assert colours == []
    assert ESCAPES.sub("", plain) == ESCAPES.sub("", shown)
