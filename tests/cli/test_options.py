"""Options that are given several times: lists add up, and nothing is lost in silence."""

from __future__ import annotations

import csv
import importlib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

from bench.cli.main import _VERBS
from bench.cli.options import Verb
from tests.support.suites import Bench

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "results/baselines/mini"
SAMPLES: Mapping[type, str] = {click.IntRange: "2", click.FloatRange: "2"}


def verbs() -> Iterator[tuple[str, click.Command]]:
    """All commands, those of groups too."""
    for name in _VERBS:
        command = importlib.import_module(f"bench.cli.{name}").command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())
        else:
            yield name, command


def options() -> Iterator[tuple[str, click.Option]]:
    for verb, command in verbs():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield verb, parameter


def one(option: click.Option) -> list[str]:
    """A value of an option as words."""
    if isinstance(option.type, click.Choice):
        return [str(option.type.choices[0])]
    return [SAMPLES.get(type(option.type), "x")] * option.nargs


def single(option: click.Option) -> bool:
    return not option.multiple and not option.is_bool_flag


def test_every_command_counts_what_it_is_given() -> None:
    assert [name for name, command in verbs() if not isinstance(command, Verb)] == []


@pytest.mark.parametrize(
    ("verb", "option"),
    [
        pytest.param(verb, option, id=f"{verb} {option.opts[0]}")
        for verb, option in options()
        if single(option)
    ],
)
def test_a_value_that_would_be_lost_is_refused(
    bench: Bench, verb: str, option: click.Option
) -> None:
    name = max(option.opts, key=len)
    words = [] if option.is_flag else one(option)
    short = min(option.opts, key=len)
    code, out, err = bench(*verb.split(), name, *words, short, *words)
    assert (code, out) == (2, "")
    assert err == f"bench: {name} is given more than once: give one value\n"


def test_lists_are_all_options_that_name_several() -> None:
    several = {"--suite", "--methods", "--fail-on", "--paper", "--answer", "--columns", "--base"}
    lost = [
        (verb, option.opts[0])
        for verb, option in options()
        if several & {*option.opts} and not option.multiple
    ]
    assert lost == []


def test_options_that_exclude_each_other(bench: Bench) -> None:
    for verb in ("table", "claims"):
        code, out, err = bench(verb, "--write", "--check")
        assert (code, out) == (2, "")
        assert err == "bench: --write and --check exclude each other: give one of them\n"


def test_methods_and_suites_of_a_run_add_up(bench: Bench) -> None:
    code, out, _ = bench(
        *("run", "--dry-run", "-s", "mini", "-m", "random", "--methods", "tfidf,good"),
        *("--suite", "geometry,mini", "--profile", "smoke", "-m", "random"),
    )
    assert code == 0
    asked = {tuple(line.split()[:2]) for line in out.splitlines() if "  seed 0" in line}
    methods = ("random", "tfidf", "good")
    assert asked == {(suite, method) for suite in ("mini", "geometry") for method in methods}


def test_what_a_table_shows_adds_up(bench: Bench) -> None:
    command = ("table", RECORDS, "-m", "random", "-m", "tfidf,minilm", "--format", "csv")
    _, out, _ = bench(*command)
    rows = [*csv.DictReader(io.StringIO(out))]
    assert sorted(row["spec"] for row in rows) == ["minilm", "random", "tfidf"]
    columns = ("table", RECORDS, "--columns", "Avg", "--columns", "STS", "-m", "random")
    assert bench(*columns)[1].splitlines()[2].split() == ["Method", "Avg", "STS"]


def test_suites_of_records_add_up_and_a_missing_one_is_named(bench: Bench) -> None:
    baselines = RECORDS.parent
    code, out, err = bench("table", baselines, "-s", "mini", "-s", "sts5,sts7-mteb")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines() if "convention" in line] == [
        "mini",
        "sts5",
    ]
    assert err == "bench: no records of suite sts7-mteb\n"
    assert bench("table", baselines, "-s", "none")[0] == 4


def test_bounds_add_up_and_no_task_has_two(bench: Bench) -> None:
    bounds = ("--fail-on", "avg:1", "--fail-on", "STS:2,NLI:3")
    code, out, _ = bench("gate", RECORDS, "--baseline", RECORDS, *bounds, "--format", "json")
    assert code == 0
    assert all(f'"task": "{task}"' in out for task in ("Avg", "STS", "NLI"))
    code, _, err = bench("gate", RECORDS, "--baseline", RECORDS, *bounds, "--fail-on", "avg:2")
    assert (code, "avg has two bounds" in err) == (2, True)


def test_claims_of_several_filters(bench: Bench) -> None:
    def names(*arguments: str) -> set[str]:
        out = bench("claims", *arguments)[1]
        return {line for line in out.splitlines() if re.match(r"[a-z0-9-]+: ", line)}

    both = names("--paper", "sct", "--paper", "simcse")
    assert names("--paper", "sct") < both
    assert names("--paper", "simcse") < both


def test_two_names_of_one_column(bench: Bench, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("a,b,c\nx,y,1\n")
    code, _, err = bench(
        *("data", "import", table, "--as", "my/set:test", "--kind", "sts", "--to", tmp_path),
        *("--column", "sentence1=a", "--column", "sentence1=b"),
    )
    assert (code, "--column sentence1 is given twice: a and b" in err) == (2, True)
