"""Whatever a text holds, a Markdown reader finds that text and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bench.report.markdown import code, escape, one_line

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
        kinds = contents(escape(one))
        assert {kind for kind, _ in kinds} <= {"text"}
        assert "".join(content for _, content in kinds) == one_line(one).strip(" ")


@given(TEXTS)
@pytest.mark.parametrize("nasty", NASTY)
def test_code_is_one_code_span(nasty: str, text: str) -> None:
    for one in (nasty, text, nasty + text):
        assert contents(code(one)) == [("code_inline", one_line(one) or " ")]


@given(TEXTS)
@example("a\nb\r\nc\x00\x1b[1m\u2028\u202ed")
def test_one_line_keeps_all_that_is_printed(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert len(shown) == len(text)
    assert all(new in (old, " ") for old, new in zip(text, shown, strict=True))


def test_harmless_text_stays_as_it_is() -> None:
    assert escape("BERT-Small, 72.56 (+3.43): A − B") == "BERT-Small, 72.56 (+3.43): A − B"
    assert code("sct[queue_size=0]") == "`sct[queue_size=0]`"
    assert code("a|b`c") == "``a\\|b`c``"
