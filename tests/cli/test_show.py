"""``bench show``: all that has a name says what it is, what may be set, and what it reads."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from bench.core import registry
from bench.core.descriptions import DescribedTable, Description
from bench.core.registry import METHODS, SUITES
from bench.core.spec import parse_method_spec, split_list
from bench.data.catalog import catalog
from bench.data.description import describe_data
from bench.execution.plan import outline
from bench.method import PROFILES, method_class
from bench.method.description import describe_method
from bench.report.descriptions import as_markdown, as_text
from bench.suite import load_suites
from bench.suite.description import describe_suite
from bench.verdicts.description import claims_by_name, describe_claim
from tests.support.suites import Bench, write_suite


def descriptions() -> Iterator[Description]:
    yield from map(describe_method, registry.names(METHODS))
    yield from map(describe_suite, registry.names(SUITES))
    yield from map(describe_data, catalog())
    yield from map(describe_claim, claims_by_name())


ALL = [*descriptions()]


def test_all_that_has_a_name_is_described() -> None:
    kinds = {one.kind: [other.name for other in ALL if other.kind == one.kind] for one in ALL}
    assert set(kinds) == {"method", "suite", "data", "claim"}
    assert len(ALL) > 100
    for one in ALL:
        assert one.title.strip()
        assert one.examples
        for table in one.tables:
            assert table.rows
            assert {len(row) for row in table.rows} == {len(table.headers)}


@pytest.mark.parametrize("name", registry.names(METHODS))
def test_every_option_says_what_it_is(name: str) -> None:
    (options,) = [one for one in describe_method(name).tables if one.title == "Options"] or [None]
    fields = method_class(name).Config.model_fields
    if options is None:
        assert not fields
        return
    assert [row[0] for row in options.rows] == [*fields]
    for row in options.rows:
        facts = dict(zip(options.headers, row, strict=True))
        assert facts["What it is"] not in ("", "–"), f"{name}: {row[0]} is in no docstring"
        assert facts["Type"] not in ("any", "object")


def table(description: Description, title: str) -> DescribedTable:
    (found,) = [one for one in description.tables if one.title.startswith(title)]
    return found


def test_defaults_are_those_of_the_profiles() -> None:
    rows = {row[0]: row for row in table(describe_method("simcse"), "Options").rows}
    by_profile = {
        profile: method_class("simcse").Config.model_validate(
            method_class("simcse").profiles.get(profile, {})
        )
        for profile in PROFILES
    }
    for option in ("lr", "batch_size", "base"):
        default = rows[option][2]
        for profile, config in by_profile.items():
            value = str(getattr(config, option))
            parts = [part for part in default.split("; ") if profile in part] or [default]
            assert parts[0].startswith(value)


def test_types_are_in_words() -> None:
    types = {row[0]: row[1] for row in table(describe_method("matryoshka"), "Options").rows}
    assert types["dims"] == "list of whole number > 0"
    assert types["dev"] == "true, false"
    assert types["lr"] == "number > 0"
    assert types["base"] == "text"
    types = {row[0]: row[1] for row in table(describe_method("minbert"), "Options").rows}
    assert types["tasks"] == "single, multi"
    assert types["head_dropout"] == "number ≥ 0, < 1"


def test_what_a_method_reads_is_told_by_profile() -> None:
    rows = {row[:2]: row[2] for row in table(describe_method("sct"), "What it reads").rows}
    assert rows["method", "minilm-l2"] == "smoke, local"
    assert rows["folder or model of the hub", "nreimers/BERT-Small-L-4_H-512_A-8"] == "paper"
    assert rows["data (corpus)", "back-translated"] == "paper"
    absent = {one: which for (what, which), one in rows.items() if what == "not there"}
    assert set(absent) == {"smoke", "local"}
    assert absent["local"].startswith("two back-translations of each sentence")


@pytest.mark.parametrize("one", ALL, ids=lambda one: f"{one.kind} {one.name}")
def test_examples_are_commands_that_exist(one: Description) -> None:
    for example in one.examples:
        program, verb, *options = shlex.split(example)
        assert program == "bench"
        if verb != "run":
            assert (verb, *options[:1]) in {("data", "fetch"), ("data", "verify"), ("claims",)}
            continue
        given = dict(zip(options[::2], options[1::2], strict=True))
        if given["--methods"].startswith("sparse@"):
            # The suite has kinds besides those that it runs on.
            continue
        suites = [suite for name in given["--suite"].split(",") for suite in load_suites(name)]
        specs = [parse_method_spec(text) for text in split_list(given["--methods"])]
        assert outline(suites, specs, given.get("--profile", "local"))


def test_a_name_of_several_kinds_shows_all(bench: Bench) -> None:
    code, out, err = bench("show", "minbert")
    assert (code, err) == (0, "")
    assert "minbert (method)" in out
    assert "minbert (suite)" in out
    code, out, _ = bench("show", "minbert", "--kind", "suite")
    assert code == 0
    assert "minbert (method)" not in out
    assert out.startswith("minbert (suite)\n")


def test_a_suite_of_ones_own_is_described(bench: Bench, tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    code, out, _ = bench("show", suite)
    assert code == 0
    assert f"bench run --suite {suite} --methods minilm" in out
    code, _, err = bench("show", "./missing.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert "missing.toml" in err


def test_a_spec_shows_its_method(bench: Bench) -> None:
    for spec in ("truncate[dim=96,of=minilm]", "sbert@./folder", "org/name"):
        code, out, _ = bench("show", spec)
        assert code == 0
        assert out.startswith("truncate (method)" if "dim" in spec else "sbert (method)")
    code, _, err = bench("show", "mteb:[STS12]")
    assert (code, err.count("\n")) == (2, 1)
    assert "mteb.get_task(NAME).metadata" in err


def test_several_names_follow_each_other(bench: Bench) -> None:
    code, out, _ = bench("show", "sts/sts12", "sct-above-simcse", "random")
    assert code == 0
    heads = [line for line in out.splitlines() if line.endswith(("(data)", "(claim)", "(method)"))]
    assert heads == ["sts/sts12 (data)", "sct-above-simcse (claim)", "random (method)"]
    assert "3,108" in out
    assert "+3.43 points" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("show", "minbrt"),
            "unknown method, suite, data set or claim 'minbrt'; did you mean 'min",
        ),
        (("show", "sct", "--kind", "suite"), "unknown suite 'sct'; did you mean 'sts7' or"),
        (("show", "sts12"), "did you mean 'sts/sts12'"),
        (("show", "qqqqqq"), "see 'bench list' and 'bench claims'"),
        (("tabel",), "unknown command 'tabel'; did you mean 'table'?"),
        (("shwo",), "did you mean 'show' or"),
        (("qqqqqq",), "unknown command 'qqqqqq'; 'bench --help' shows them all"),
    ],
)
def test_near_names_are_suggested(bench: Bench, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = bench(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_lines_fit_the_terminal_but_for_long_words() -> None:
    for one in ALL:
        for width in (60, 100):
            for line in as_text(one, width).splitlines():
                words = max(map(len, line.split()), default=0)
                assert len(line) <= width or words > width / 3 or line.startswith("  bench")


def test_pages_are_of_the_same_description(bench: Bench) -> None:
    code, out, _ = bench("show", "api", "simcse", "--format", "markdown")
    assert code == 0
    tokens = MarkdownIt().enable("table").parse(out)
    heads = [tokens[i + 1].content for i, one in enumerate(tokens) if one.type == "heading_open"]
    assert [head for head in heads if head in ("api", "simcse")] == ["api", "simcse"]
    for one in ALL:
        page = as_markdown(one)
        cells = sum(len(table.rows) for table in one.tables)
        html = MarkdownIt().enable("table").render(page)
        assert html.count("<tbody>") == len(one.tables)
        assert html.count("<tr>") == cells + len(one.tables)
        assert "``" not in page.replace("```", "")


def test_a_broken_method_says_why(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("broken", "no_such_module:Broken", METHODS)
    monkeypatch.setitem(registry._entries(METHODS), "broken", [entry])
    code, _, err = bench("show", "broken")
    assert code == 2
    assert "cannot be loaded: No module named 'no_such_module'" in err


def test_it_is_told_without_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from bench.cli.main import main; code = main(['show', 'minbert', 'sts7']); "
        "assert code == 0; assert 'torch' not in sys.modules; assert 'mteb' not in sys.modules"
    )
    # The folder that a program of -c runs in would be looked into first.
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
