"""Whatever a text holds, a reader of each output finds that text and nothing else."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bench.core.escape import (
    csv_cell,
    json_text,
    markdown,
    markdown_code,
    one_line,
    plain,
    toml_text,
)

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# Mostly what Markdown reads as something else.
ACTIVE = st.text(st.sampled_from(list("\\`*_[]()<>|~&#!-+=:;.\n\r\t\0\x1b\u2028\u202e ab1")))
TEXTS = ACTIVE | st.text()
NASTY = [
    "a\\|b",
    "\\",
    "`",
    "``a`",
    " a ",
    "|",
    "&lt;",
    "<b>x</b>",
    "<!-- x",
    "[x](y)",
    "<http://x.y>",
    "~~a~~",
    "# a",
]


def cells(text: str) -> list[Token]:
    """Inline tokens of the body of a table whose only row holds the text between two others."""
    tokens = READER.parse(f"| a | b | c |\n|---|---|---|\n| x | {text} | y |\n")
    return [token for token in tokens if token.type == "inline"][3:]


def contents(text: str) -> list[tuple[str, str]]:
    """Type and content of all that the middle cell holds."""
    found = cells(text)
    assert [token.content for token in (found[0], found[2])] == ["x", "y"]
    assert len(found) == 3
    return [(token.type, token.content) for token in found[1].children or []]


@given(TEXTS)
@pytest.mark.parametrize("nasty", NASTY)
def test_an_escaped_text_is_text_alone(nasty: str, text: str) -> None:
    for one in (nasty, text, nasty + text):
        kinds = contents(markdown(one))
        assert {kind for kind, _ in kinds} <= {"text"}
        assert "".join(content for _, content in kinds) == one_line(one).strip(" ")


@given(TEXTS)
@pytest.mark.parametrize("nasty", NASTY)
def test_code_is_one_code_span(nasty: str, text: str) -> None:
    for one in (nasty, text, nasty + text):
        assert contents(markdown_code(one)) == [("code_inline", one_line(one) or " ")]


@given(TEXTS)
@example("a\nb\r\nc\x00\x1b[1m\u2028\u202ed")
def test_one_line_keeps_all_that_is_printed(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    assert all(new in (old, " ") for old, new in zip(text, shown, strict=True))


def test_harmless_text_stays_as_it_is() -> None:
    assert markdown("BERT-Small, 72.56 (+3.43): A − B") == "BERT-Small, 72.56 (+3.43): A − B"
    assert markdown_code("sct[queue_size=0]") == "`sct[queue_size=0]`"
    assert markdown_code("a|b`c") == "``a\\|b`c``"


@given(st.text())
@example("\x1b[31m\x9b2J\u202e\x7f\u2028\U000e0001")
def test_a_terminal_gets_what_it_can_print(text: str) -> None:
    shown = plain(text)
    assert shown.isprintable()
    assert all(char in shown for char in text if char.isprintable())
    assert plain(shown) == shown


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


@given(VALUES, st.sampled_from([None, 1]))
@example("\x1b[31m\x9b2J\u202e\x7f\u2028\U000e0001", 1)
def test_json_is_read_unchanged_and_can_be_printed(value: object, indent: int | None) -> None:
    text = json_text(value, indent=indent)
    assert json.loads(text) == value
    assert all(line.isprintable() for line in text.split("\n"))


@given(st.text())
@example('\x1b[31m\x9b2J\u202e\x7f\u2028\U000e0001\\"')
def test_toml_is_read_unchanged_and_can_be_printed(text: str) -> None:
    shown = toml_text(text)
    assert tomllib.loads(f"a = {shown}") == {"a": text}
    assert shown.isprintable()


@given(st.text(st.sampled_from(list("=+-@1A(\t\r\n\0\x1b\u202e ,\"'"))) | st.text())
@example("=1+1")
@example("\t=1+1")
@example(" @SUM(A1)")
def test_a_cell_of_csv_is_no_formula(text: str) -> None:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerow([csv_cell(text), 1])
    ((cell, one),) = csv.reader(io.StringIO(stream.getvalue()))
    assert not re.match(r"\s*[=+@-]", cell)
    assert cell.isprintable()
    assert (cell.removeprefix("'").removeprefix("'"), one) in {
        (plain(text).removeprefix("'").removeprefix("'"), "1")
    }


@pytest.mark.parametrize("value", [-1, -0.5, None, True, 1e-9])
def test_numbers_stay_numbers_in_csv(value: object) -> None:
    assert csv_cell(value) is value
