"""A gate's report in every form: the same figures, and nothing that a reader of one obeys."""

from __future__ import annotations

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from bench.report.gate import FORMS, GateReport, to_github, to_json, to_junit, to_markdown
from bench.verdicts.gate import GateCheck

EVIL = "a::error::\n::add-mask::x % | <b> \x1b[31m\x00,:"
SCORE = GateCheck("mini", "sct", "STS", 0.5, 0.45, -0.05, (-0.07, -0.03), 0.0004, 0.01, True)
TIME = GateCheck("mini", "sct", "time", 0.001, 0.0011, 0.1, None, None, 0.25, False)
REPORT = GateReport([SCORE, TIME], ["the time of x is not judged"], "pull request", "main")


@pytest.mark.parametrize("form", FORMS)
def test_a_form_names_both_sides_and_the_figures(form: str) -> None:
    text = FORMS[form](REPORT)
    assert "pull request" in text
    assert "-0.05" in text if form == "json" else "-5.00" in text
    if form != "junit":
        assert "main" in text


def test_json_has_numbers() -> None:
    content = json.loads(to_json(REPORT))
    assert content["passed"] is False
    assert content["checks"][0]["ci95"] == [-0.07, -0.03]
    assert content["checks"][1]["p"] is None
    assert json.loads(to_json(replace(REPORT, checks=[TIME])))["passed"] is True


def test_junit_is_read_by_a_parser() -> None:
    evil = replace(SCORE, suite=EVIL, method=EVIL, task=EVIL)
    report = replace(REPORT, checks=[SCORE, TIME, evil], warnings=[EVIL])
    root = ElementTree.fromstring(to_junit(report))
    assert [suite.get("tests") for suite in root] == ["2", "1"]
    assert [suite.get("failures") for suite in root] == ["1", "1"]
    (failure,) = root[0].iter("failure")
    assert failure.get("message") == (
        "STS is 45.00, 50.00 in the baseline: -5.00 (-7.00 to -3.00, p = 0.0004), bound 1.00"
    )


def test_annotations_are_a_line_each_and_no_others() -> None:
    evil = replace(SCORE, suite=EVIL, method=EVIL, task=EVIL)
    report = GateReport([evil, SCORE], [EVIL], EVIL, EVIL)
    lines = to_github(report).splitlines()
    commands = [line for line in lines if line.lstrip().startswith("::")]
    assert [line.split(" ")[0] for line in commands] == [
        *("::error", "::error", "::warning", "::notice")
    ]
    title = commands[0].removeprefix("::error title=").split("::")[0]
    assert not {":", ",", "\n", "\r"} & {*title}
    assert "%25" in title


def test_annotations_are_no_more_than_are_shown() -> None:
    lines = to_github(replace(REPORT, checks=[SCORE] * 25)).splitlines()
    errors = [line for line in lines if line.startswith("::error")]
    assert len(errors) == 10
    assert errors[-1].endswith("::16 more checks failed; see the summary")


def test_markdown_shows_what_it_is_given() -> None:
    report = GateReport([replace(SCORE, method=EVIL, task=EVIL)], [EVIL], EVIL, EVIL)
    tokens = MarkdownIt("commonmark").enable("table").parse(to_markdown(report))
    assert not any(token.type.startswith("html") for token in tokens)
    assert [token.type for token in tokens].count("td_open") == 10
