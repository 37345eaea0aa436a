"""What a terminal is told by names and rows from elsewhere: to show them, and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.suites import Bench

CLI = Path(__file__).parents[2] / "bench/cli"
# Turns red, clears the screen by C1, turns writing round, ends a line of Unicode, is a formula.
EVIL = "=1+1 \x1b[31m \x9b2J \u202e \u2028 \x7f [bold]"


@pytest.fixture
def evil(bench: Bench, tmp_path: Path) -> Bench:
    """Records of two methods on a suite of evil names and rows."""
    rows = [
        {"sentence1": f"{EVIL} {i * i % 7}", "sentence2": f"{EVIL} {'x' * (i % 5)}", "score": i % 6}
        for i in range(30)
    ]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = json.dumps(EVIL)
    Path("evil.toml").write_text(
        f'name = {name}\ntitle = {name}\nconvention = "simcse"\naverage = [{name}]\n'
        f'[[tasks]]\nname = {name}\nkind = "sts"\ndata = {{ file = "rows.jsonl" }}\n'
    )
    for folder in ("old", "new"):
        run = ("run", "--suite", "evil.toml", "--output", folder)
        code, out, err = bench(*run, "--methods", "good,good2" if folder == "new" else "good")
        assert code == 0, err
        _assert_harmless(out, err)
    return bench


def _assert_harmless(*texts: str) -> None:
    for text in texts:
        assert [line for line in text.split("\n") if not line.isprintable()] == []


VERBS = [
    *(("table", "new", "--format", name) for name in ("text", "markdown", "latex", "csv", "json")),
    *(("table", "new", "--view", name) for name in ("geometry", "phenomena", "grid", "curve")),
    ("table", "new", "--view", "geometry", "--format", "markdown"),
    ("table", EVIL),
    ("table", "new", "--suite", EVIL),
    ("compare", "good", "good2", "--runs", "new", "--suite", "evil.toml", "--items", "5"),
    ("compare", "good", "good2", "--runs", "new", "--items", "5"),
    ("compare", EVIL, "good", "--runs", "new"),
    ("gate", "new", "--baseline", "old", "--suite", EVIL),
    ("gate", "new", "--baseline", "old"),
    ("gate", "new", "--baseline", EVIL),
    ("export", "new", "--to", EVIL),
    ("run", "--suite", "evil.toml", "--methods", f"good[flag={EVIL}]", "--dry-run"),
    ("run", "--suite", "evil.toml", "--methods", f"sbert@{EVIL}"),
    ("run", "--suite", EVIL),
    ("run", "--methods", EVIL),
    ("list", "suites", "evil.toml"),
    ("list", EVIL),
    ("claims", EVIL),
    ("data", "fetch", EVIL),
    ("data", "import", "rows.jsonl", "--as", EVIL),
    ("data", "import", "rows.jsonl", "--as", "sts/mine:test", "--to", f"{EVIL} to"),
    ("check", EVIL),
    (EVIL,),
]


@pytest.mark.parametrize("arguments", VERBS, ids=lambda one: " ".join(one[:4]).split("=")[0])
def test_no_verb_hands_on_what_a_terminal_obeys(evil: Bench, arguments: tuple[str, ...]) -> None:
    code, out, err = evil(*arguments)
    assert code in {0, 1, 2, 4}, err
    _assert_harmless(out, err)


def test_tables_for_programs_hold_the_names_as_they_are(evil: Bench) -> None:
    (table,) = json.loads(evil("table", "new", "--format", "json")[1])
    assert table["suite"] == EVIL
    assert list(table["rows"][0]["scores"]) == [EVIL]
    lines = evil("table", "new", "--format", "csv")[1].splitlines()
    assert all(line.startswith("'=1+1") for line in lines[1:])


def test_all_that_is_written_goes_through_one_function() -> None:
    for path in CLI.glob("*.py"):
        writes = re.findall(r"click\.(?:echo|secho)\(|\bprint\(", path.read_text())
        assert len(writes) == {"terminal.py": 1, "progress.py": 1}.get(path.name, 0), path
