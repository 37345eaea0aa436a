"""User errors: one line, the right exit code, nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.suites import Bench, write_suite


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--methods", "simcsee"], 2, "did you mean 'simcse'"),
        (["--suite", "sts8", "--methods", "good"], 2, "unknown suite 'sts8'; did you mean"),
        (["--methods", "sct[queue=5]"], 2, "no option 'queue'; did you mean 'queue_size'"),
        (["--methods", "good[count=many]"], 2, "good[count=many]: count:"),
        (["--methods", "good[count"], 2, "missing ']'"),
        (["--profile", "huge"], 2, "unknown profile 'huge'"),
        (["--data", "nowhere"], 2, "data folder nowhere does not exist"),
        (["--suite", "none.toml"], 2, "suite file none.toml does not exist"),
        (["--suite", ","], 2, "--suite ',' names nothing"),
        (["--methods", ""], 2, "--methods '' names nothing"),
        (["--rerun", "never"], 2, "'never' is not one of"),
        (["--suite", "sts7", "--methods", "good"], 4, "pass --data FOLDER"),
        (["--methods", "sbert@nobody/nothing", "--offline"], 4, "nobody/nothing"),
        (["--methods", "minilm@nobody/nothing"], 2, "minilm has no checkpoints"),
    ],
)
def test_nothing_runs(
    bench: Bench, suite: Path, arguments: list[str], code: int, message: str
) -> None:
    given = arguments if "--suite" in arguments else ["--suite", str(suite), *arguments]
    got, out, err = bench("run", *given)
    assert (got, out) == (code, "")
    assert message in _last_line(err)
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err


def test_bad_toml_names_file_and_key(bench: Bench, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("name = \n")
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code == 2
    assert "bad.toml: not valid TOML" in err
    path.write_text('name = "x"\ntitle = "x"\nconvention = "none"\naverage = []\n')
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code == 2
    assert "key 'convention'" in err


_SUITE = 'name = "x"\ntitle = "x"\nconvention = "simcse"\naverage = ["t"]\n'
_TASK = '[[tasks]]\nname = "t"\nkind = "sts"\ndata = { file = "rows.jsonl" }\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\ufeff" + _SUITE + _TASK, "it starts with a byte-order mark; save it without one"),
        (f"folds = {'9' * 5000}\n", "Exceeds the limit"),
        (f"average = {'[' * 3000}{']' * 3000}\n", "nest too deeply"),
        (f"average = {'[' * 90}{']' * 90}\n" + _SUITE.partition("average")[0] + _TASK, "'average"),
        (
            _SUITE + _TASK + f"{'a.' * 3000}b = 1\n",
            "key 'tasks.0.sts.a': unknown; correct or remove it",
        ),
        (_SUITE + _TASK + f"{'columns.' * 3000}b = 1\n", "key 'tasks.0.sts.columns.columns'"),
        ("name = 'caf\udce9'\n", "not valid TOML, as it is not UTF-8"),
        (_SUITE.replace('["t"]', '["t", "t"]') + _TASK, "average names a task twice"),
        ('name = "x"\ntitle = "x"\nsuites = ["bad.toml"]\n', "bad.toml → bad.toml; take it out"),
        ('name = "x"\ntitle = "x"\nsuites = ["mini", "other.toml"]\n', "→ other.toml → bad.toml"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "claims"])
def test_toml_of_any_kind_is_one_line(bench: Bench, content: str, message: str, verb: str) -> None:
    Path("bad.toml").write_bytes(content.encode(errors="surrogateescape"))
    Path("other.toml").write_text('name = "o"\ntitle = "x"\nsuites = ["bad.toml"]\n')
    arguments = ("claims", "bad.toml")
    if verb == "run":
        arguments = ("run", "--suite", "bad.toml", "--methods", "good")
    code, out, err = bench(*arguments)
    assert (code, out) == (2, ""), err
    assert err.startswith("bench: ") and len(err.splitlines()) == 1
    if verb == "run" or "TOML" in message or "nest" in message:
        assert message in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--suite", f"{'s' * 5000}.toml"),
        ("run", "--methods", f"sbert@{'m' * 5000}"),
        ("run", "--methods", "good", "--output", "o" * 5000),
        ("run", "--methods", "good", "--data", "d" * 5000),
        ("claims", f"{'c' * 5000}.toml"),
        ("table", "t" * 5000),
        ("compare", "r" * 5000, "good"),
        ("gate", "g" * 5000, "--baseline", "b" * 5000),
        ("export", "e" * 5000, "--to", "x" * 5000),
        ("data", "import", f"{'i' * 5000}.csv", "--as", "sts/mine:test"),
    ],
)
def test_names_too_long_for_files_are_one_line(bench: Bench, arguments: tuple[str, ...]) -> None:
    code, _, err = bench(*arguments)
    assert code in {2, 4}, err
    assert len(err.splitlines()) == 1
    assert "bug" not in err


@pytest.mark.parametrize(
    ("columns", "code", "message"),
    [
        ('{ scroe = "rating" }', 2, "columns has 'scroe', which the kind does not read; it reads"),
        ('{ subset = "none" }', 4, "row 1 has no column 'none'"),
        ('{ subset = "group" }', 0, ""),
    ],
)
def test_columns_are_those_that_the_kind_reads(
    bench: Bench, columns: str, code: int, message: str
) -> None:
    rows = [
        {"sentence1": f"a{i}", "sentence2": f"b{i * 7 % 5}", "score": i * i % 6}
        | {"subset": f"s{i % 2}", "group": f"g{i % 3}"}
        for i in range(30)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = []
    for name, given in (("own", columns), ("other", "{}")):
        Path(f"{name}.toml").write_text(
            f'name = "{name}"\ntitle = "x"\nconvention = "simcse"\naverage = ["t"]\n[[tasks]]\n'
            'name = "t"\nkind = "sts"\naggregation = "mean"\ndata = { file = "rows.jsonl" }\n'
            f"columns = {given}\n"
        )
        made.append(bench("run", "--suite", f"{name}.toml", "--methods", "random"))
    assert made[0][0] == code
    assert message in made[0][2]
    if not code:
        assert made[0][1].splitlines()[4].split()[1] != made[1][1].splitlines()[4].split()[1]


def test_wrong_checksum(bench: Bench, tmp_path: Path) -> None:
    path = write_suite(tmp_path, sha256="0" * 64)
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code in {3, 4}
    assert "checksum" in err


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("nan", "NaN or infinity for the text"),
        ("shape", "expected ("),
        ("crash", "RuntimeError: the dog ate it"),
        ("diskfull", "No space left"),
    ],
)
def test_one_broken_method_leaves_the_others(
    bench: Bench, suite: Path, tmp_path: Path, method: str, message: str
) -> None:
    code, out, err = bench("run", "--suite", suite, "--methods", f"good,{method},good2")
    assert code == 3
    assert "good" in out and "good2" in out and method not in out
    assert message in _last_line(err)
    assert "Traceback" not in err
    assert len(list(tmp_path.glob("results/runs/small/*.failed"))) == 1


def test_empty_text(bench: Bench, tmp_path: Path) -> None:
    path = write_suite(tmp_path, empty=True)
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code == 4
    assert "row 4: sentence2 is an empty text" in err


@pytest.mark.parametrize("limit", [(), ("--limit", "9")])
@pytest.mark.parametrize(
    ("kind", "where", "change", "message"),
    [
        ("sts", 'columns = { sentence2 = "other" }', {"other": " "}, "row 31: other is an"),
        ("clustering", "", {"text": "\t"}, "row 31: text is an"),
        ("reranking", "", {"query": ""}, "row 31: query is an"),
        ("reranking", "", {"positive": ["a", " "]}, "row 31: text 2 of positive is an"),
        ("reranking", "", {"negative": ["", "b"]}, "row 31: text 1 of negative is an"),
        ("pair_classification", 'columns = { label = "flag" }', {"flag": 1}, None),
        (
            "sts",
            'columns = { score = "points" }',
            {"points": "high"},
            "row 31: points is not a num",
        ),
        ("classification", "folds = 3", {"text": " "}, None),
    ],
)
def test_row_and_column_of_a_cell_are_those_of_the_file(
    bench: Bench,
    limit: tuple[str, ...],
    kind: str,
    where: str,
    change: dict[str, Any],
    message: str | None,
) -> None:
    rows = [
        {
            **{
                name: f"{name} {i}" for name in ("text", "sentence1", "sentence2", "query", "other")
            },
            **{"positive": [f"p{i}"], "negative": [f"n{i}"], "label": i % 2, "flag": i % 2},
            **{"score": i % 5, "points": i % 5},
        }
        for i in range(40)
    ]
    rows[30] |= change
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("own.toml").write_text(
        'name = "own"\ntitle = "x"\nconvention = "senteval"\naverage = ["t"]\n[[tasks]]\n'
        f'name = "t"\nkind = "{kind}"\ndata = {{ file = "rows.jsonl" }}\n{where}\n'
    )
    code, _, err = bench("run", "--suite", "own.toml", "--methods", "good", *limit)
    if message is None:
        assert (code, err.count("is an empty text")) == (0, 0), err
    else:
        assert code == 4
        assert f"rows.jsonl: {message}" in err


def test_interrupt_keeps_what_is_finished(bench: Bench, suite: Path, tmp_path: Path) -> None:
    code, _, err = bench("run", "--suite", suite, "--methods", "good,interrupt")
    assert code == 130
    assert "interrupted" in _last_line(err)
    assert len(list(tmp_path.glob("results/runs/small/good-*seed0.json"))) == 1


def test_unwritable_output(bench: Bench, suite: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = bench("run", "--suite", suite, "--methods", "good", "--output", "file/x")
    assert code == 2
    assert "cannot be written" in err


def test_table_without_records(bench: Bench) -> None:
    code, _, err = bench("table")
    assert code == 4
    assert "bench run" in err


def test_without_a_verb_the_help_is_shown(bench: Bench) -> None:
    code, out, err = bench()
    assert (code, out) == (2, "")
    assert "\nCommands:\n" in err


def test_a_cache_that_is_a_file(
    bench: Bench, suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "file"))
    code, _, err = bench("run", "--suite", suite, "--methods", "good")
    assert code == 2
    assert "is not a folder; set BENCH_CACHE to one" in err


def test_a_suite_named_twice_is_run_once(bench: Bench, suite: Path, tmp_path: Path) -> None:
    code, out, err = bench("run", "--suite", f"{suite},{suite}", "--methods", "good")
    assert code == 0, err
    assert out.count("good") == 1
    (tmp_path / "other").mkdir()
    other = write_suite(tmp_path / "other")
    code, _, err = bench("run", "--suite", f"{suite},{other}", "--methods", "good")
    assert code == 2
    # Run one after the other they would replace each other's records.
    assert f"two suites are called small: {suite} and {other}; rename one" in err


@pytest.mark.parametrize(
    ("kind", "columns", "row", "message"),
    [
        ("sts", "sentence1\tsentence2\tscore", "a\tb\thigh", "row 2: score is not a number"),
        ("sts", "sentence1\tsentence2\tscore", "a\tb\tnan", "row 2: score is not a number"),
        ("clustering", "text\tlabel", "a\t", "row 2: label is missing"),
        ("reranking", "query\tpositive\tnegative", "a\tb\tc", "row 1: positive is not a list"),
    ],
)
def test_values_of_own_rows(
    bench: Bench, tmp_path: Path, kind: str, columns: str, row: str, message: str
) -> None:
    fine = {"sts": "a\tb\t1", "clustering": "a\tx", "reranking": "a\tb\tc"}[kind]
    (tmp_path / "rows.tsv").write_text(f"{columns}\n{fine}\n{row}\n")
    path = tmp_path / "own.toml"
    path.write_text(
        'name = "own"\ntitle = "x"\nconvention = "senteval"\naverage = ["t"]\n[[tasks]]\n'
        f'name = "t"\nkind = "{kind}"\ndata = {{ file = "rows.tsv" }}\n'
    )
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code == 4
    assert message in err
    assert "rows.tsv" in err


# transformers hands its warnings on to others only where CI is set.
@pytest.mark.parametrize("ci", ["", pytest.param("1", marks=pytest.mark.nightly)])
def test_what_libraries_warn_of_is_one_line(suite: Path, tmp_path: Path, ci: str) -> None:
    # In a process of its own, where no test runner listens to warnings.
    # Behind all else on the path: what is installed answers, not the checkout.
    start = (
        f"import runpy, sys; sys.path.append({str(Path(__file__).parents[2])!r}); "
        "runpy.run_module('tests.support.stub_methods', run_name='__main__')"
    )
    command = [sys.executable, "-c", start, "run", "--suite", suite]
    environment = {
        **os.environ,
        "BENCH_CACHE": str(tmp_path / "cache"),
        "PYTHONWARNINGS": "always",
        "CI": ci,
    }
    for method, code in (("good", 0), ("warning", 0), ("warning,crash", 3)):
        done = subprocess.run(
            [*command, "--methods", method, "--output", tmp_path / method],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd=tmp_path,
        )
        assert done.returncode == code, done.stderr
        told = [line for line in done.stderr.splitlines() if line.startswith("bench: libraries")]
        assert len(told) == ("warning" in method)
        assert "Warning: " not in done.stderr
        assert "otherwise" not in done.stderr
        assert "\x1b" not in done.stderr
        for text in ("a model of old", "the first line the second", "divide by zero"):
            assert done.stderr.count(text) == len(told)
            assert all(text in line for line in told)
