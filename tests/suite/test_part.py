"""Parts of suites, and the profile of a run that names none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.jobs.job import Request
from bench.jobs.workplace import _names
from bench.suite import default_profile, load_suites, only_tasks, read_suite, split_part
from bench.suite.suite import Suite
from tests.support.suites import write_suite


def test_a_part_has_a_name_of_its_own() -> None:
    (part,) = load_suites("mini[NLI, STS]")
    assert part.name == "mini[STS,NLI]"
    assert [task.name for task in part.tasks] == ["STS", "NLI"]
    assert part.average == ("STS", "NLI")
    (whole,) = load_suites("mini")
    assert part.definition() != whole.definition()


def test_all_tasks_are_the_whole() -> None:
    names = ",".join(task.name for task in load_suites("mini")[0].tasks)
    assert load_suites(f"mini[{names}]") == load_suites("mini")
    assert only_tasks(["mini"], names.split(",")) == ["mini"]


def test_the_average_is_over_what_is_averaged_or_over_all() -> None:
    suite = load_suites("mini")[0].model_copy(update={"average": ("STS", "NLI")})
    from bench.suite.part import part_of_suite

    part = part_of_suite(suite, ["NLI", "Intent"])
    assert part is not None and part.average == ("NLI",)
    alone = part_of_suite(suite, ["Intent"])
    assert alone is not None and alone.average == ("Intent",)


def test_parts_of_several_suites_and_groups() -> None:
    assert only_tasks(["sts7", "sts5"], ["STS13", "STS12"]) == [
        "sts7[STS12,STS13]",
        "sts5[STS12,STS13]",
    ]
    assert only_tasks(["sts7[STS12,STS13]"], ["STS13"]) == ["sts7[STS13]"]
    group = {suite.name: suite for suite in load_suites("sct-paper")}
    task = next(iter(group.values())).tasks[0].name
    assert {split_part(suite.name)[0] for suite in load_suites(f"sct-paper[{task}]")} < {*group}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: load_suites("mini[Intnt]"), "mini has no task 'Intnt'; did you mean 'Intent'?"),
        (lambda: load_suites("mini[,]"), "no task of mini is named; it has STS"),
        (lambda: only_tasks(["mini", "sts7"], ["Bogus"]), "mini and sts7 has no task 'Bogus'"),
        (
            lambda: only_tasks(["mini", "sts7"], ["STS12"]),
            "mini has none of the tasks STS12; leave it out, or choose of STS",
        ),
        (lambda: only_tasks(["mini"], []), "mini has none of the tasks named"),
        (lambda: load_suites("minni[STS]"), "unknown suite 'minni'; did you mean 'mini'"),
    ],
)
def test_what_there_is_not(call: object, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        call()  # type: ignore[operator]
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mini", ("mini", "")),
        ("mini[STS]", ("mini", "[STS]")),
        ("./my.toml[a,b]", ("./my.toml", "[a,b]")),
        ("my[1].toml", ("my[1].toml", "")),
        ("mteb:[STS12,SICK-R]", ("mteb:[STS12,SICK-R]", "")),
        ("mteb:[STS12,SICK-R][STS12]", ("mteb:[STS12,SICK-R]", "[STS12]")),
        ("mteb:MTEB(eng, v2)[STS12]", ("mteb:MTEB(eng, v2)", "[STS12]")),
    ],
)
def test_what_is_the_whole(name: str, parts: tuple[str, str]) -> None:
    assert split_part(name) == parts


def test_other_machines_get_the_file_of_a_part(tmp_path: Path) -> None:
    from bench.execution.settings import make_settings

    suite = write_suite(tmp_path)
    text = suite.read_text()
    suite.write_text(text + text[text.index("[[tasks]]") :].replace('"pairs"', '"again"', 1))
    request = Request.of([f"{suite}[pairs]"], make_settings(profile="local"), None)
    assert request.suites == (f"{suite}[pairs]",)
    assert list(request.texts) == [str(suite)]
    suite.unlink()
    (name,) = _names(request)
    assert name.startswith("/") and name.endswith(".toml[pairs]")
    (loaded,) = load_suites(name)
    assert loaded.name == "small[pairs]"


def test_the_profile_is_the_suites() -> None:
    assert default_profile(["mini"]) == default_profile(["mini[STS]"]) == "smoke"
    assert default_profile(["sts7", "transfer", "mteb:[STS12]"]) == "local"
    assert default_profile([]) == "local"
    with pytest.raises(UsageError, match="mini in smoke and sts7 in local would run; choose one"):
        default_profile(["mini", "sts7"])


def test_the_default_profile_is_no_part_of_what_is_scored() -> None:
    suite = read_suite("mini")
    assert isinstance(suite, Suite)
    other = suite.model_copy(update={"profile": "local"})
    assert suite.definition() == other.definition()
