"""``bench claims``: what the terminal and the file say, and what it runs."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from bench.cli.main import main
from bench.core import registry
from bench.execution.runner import Outcome
from bench.method import MethodConfig, MethodInfo
from bench.records.files import find_records
from tests.support.claims import RUNS, STEP, write, write_seeds, write_toml
from tests.support.stub_methods import Stub
from tests.support.suites import Bench

pytestmark = pytest.mark.usefixtures("suite")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)


def test_the_terminal_gets_a_block_for_each_claim(bench: Bench) -> None:
    write_seeds("sct", 2 * STEP)
    write_seeds("simcse", STEP)
    path = write_toml(
        published="-1.5", published_on='"BERT"', margin="-0.25", claim='"Red \\u001b[31m."'
    )
    code, out, err = bench("claims", path, "--records", RUNS)
    assert (code, err) == (0, "")
    assert out.partition("\n\n")[0].splitlines() == [
        "new-above-old: holds",
        "  Red  [31m.",
        "  A          sct",
        "  B          simcse",
        "  suite      small.toml",
        "  published  -1.50 (BERT)",
        "  margin     -0.25",
        "  measured   +3.12 [+3.12 to +3.12]",
        "  seeds      3",
        "  trained    profile local from minilm-l2",
        "  source     A Paper (arXiv 2401.00001), Table 1",
    ]


def test_the_terminal_gets_no_long_line(bench: Bench) -> None:
    path = write_toml(claim=f'"{"word " * 40}"', source=f'"{"x" * 300}"')
    for arguments in ((), (path,)):
        code, out, _ = bench("claims", *arguments)
        assert code == 0
        assert max(map(len, out.splitlines())) <= 80
        assert "cannot be tested here" in out


def test_outside_the_repository_answers_come_with_the_package(bench: Bench) -> None:
    code, out, err = bench("claims", "--paper", "sct", "--answer", "holds")
    assert code == 0
    assert "these answers came with sentence-bench" in err
    assert "sct-above-simcse: holds\n" in out
    assert "  measured   +6.80 [+5.87 to +7.72]\n  seeds      3\n" in out
    assert out.rstrip().endswith("1 claim: holds 1.")
    # A claim of that name which says something else has no answer.
    path = write_toml(name='"sct-above-simcse"')
    code, out, _ = bench("claims", path)
    assert (code, "sct-above-simcse: cannot be tested here" in out) == (0, True)
    assert "the answers that came with the package have none" in " ".join(out.split())


def test_filters_and_a_summary(bench: Bench) -> None:
    def names(*options: str) -> set[str]:
        code, out, err = bench("claims", *options)
        assert code == 0, err
        told = answers(out)
        count, _, counts = out.rstrip().split("\n\n")[-1].partition(": ")
        assert count in {f"{len(told)} claims", "1 claim"}
        assert sum(int(number) for number in re.findall(r"\d+", counts)) == len(told)
        return {*told}

    everything = names()
    of_paper = names("--paper", "simcse,sct")
    assert "sct-above-simcse" in of_paper < everything
    parts = [
        names("--answer", one)
        for one in ("holds", "does not hold", "undecided", "cannot be tested")
    ]
    assert set.union(*parts) == everything
    assert sum(map(len, parts)) == len(everything)
    assert "sct-above-simcse" in names("--methods", "sct", "--suite", "sts7")
    for wrong in (("--answer", "maybe"), ("--paper", "none"), ("--check", "--paper", "sct")):
        assert bench("claims", *wrong)[0] == 2


def test_write_and_check(bench: Bench) -> None:
    code, _, err = bench("claims", "--check")
    assert code == 1
    assert err == "bench: results/claims.md is stale; run 'bench claims --write'\n"
    assert bench("claims", "--write") == (0, "results/claims.md\n", "")
    written = Path("results/claims.md").read_bytes()
    assert bench("claims", "--check") == (0, "", "")
    assert bench("claims", "--write")[0] == 0
    assert Path("results/claims.md").read_bytes() == written
    assert b"`bench claims --write`" in written
    for folder in (Path("results/baselines"), RUNS):
        write_seeds("sct", folder=folder, suite="sts7")
        write_seeds("simcse", folder=folder, suite="sts7")
    assert bench("claims", "--check")[0] == 1
    assert bench("claims", "--write")[0] == 0
    assert b"| +0.00 " in Path("results/claims.md").read_bytes()
    Path("results/claims.md").write_bytes(written + b"edited")
    assert bench("claims", "--check")[0] == 1


def test_the_file_names_its_own_command(bench: Bench) -> None:
    path = write_toml()
    RUNS.mkdir(parents=True)
    options = (path, "--records", RUNS, "--to", "mine.md")
    code, _, err = bench("claims", *options, "--check")
    command = "bench claims paper.toml --records results/runs --to mine.md --write"
    assert (code, err) == (1, f"bench: mine.md is stale; run '{command}'\n")
    assert bench("claims", *options, "--write")[0] == 0
    assert f"`{command}`" in Path("mine.md").read_text()
    assert bench("claims", *options, "--check")[0] == 0
    code, _, err = bench("claims", "--write", "--to", "mine.md/x.md")
    assert code == 2
    assert "mine.md/x.md cannot be written" in err


def test_text_of_a_claim_cannot_break_the_markdown(bench: Bench) -> None:
    nasty = "a|b <b>c</b> [d](e) `f` \\\\| *g*\\n\\n# h"
    path = write_toml(
        claim=f'"{nasty}"',
        source=f'"{nasty}"',
        a=f'"sct@{nasty}"',
        published="1",
        published_on=f'"{nasty}"',
    )
    path.write_text(path.read_text().replace('"A Paper"', f'"{nasty}"'))
    assert bench("claims", path, "--write")[0] == 0
    tokens = MarkdownIt("commonmark").enable("table").parse(Path("results/claims.md").read_text())
    assert [token.type for token in tokens].count("td_open") == 9
    assert [token.type for token in tokens].count("heading_open") == 2
    kinds = {child.type for token in tokens for child in token.children or []}
    assert kinds == {"text", "code_inline"}
    assert not any(token.type.startswith("html") for token in tokens)


def test_folders_of_records(bench: Bench) -> None:
    path = write_toml()
    assert bench("claims", path)[0] == 0
    code, _, err = bench("claims", path, "--records", "nowhere")
    assert code == 4
    assert "nowhere: no such folder" in err
    write_seeds("sct", STEP, folder=Path("one"))
    write_seeds("simcse", folder=Path("two"))
    code, out, _ = bench("claims", path, "--records", "one", "--records", "two")
    assert (code, out.splitlines()[0]) == (0, "new-above-old: holds")


def write_claims(*pairs: tuple[str, str], suite: str = "small.toml") -> Path:
    """Write a file of claims about pairs of methods, named after the pairs."""
    lines = ['paper = "x"']
    for a, b in pairs:
        lines += ["[[claims]]", f'name = "{a}-{b}"', 'claim = "x"', 'source = "x"']
        lines += [f'a = "{a}"', f'b = "{b}"', f'suite = "{suite}"']
    Path("paper.toml").write_text("\n".join(lines))
    return Path("paper.toml")


def answers(out: str) -> dict[str, str]:
    """Answers on the terminal, by name."""
    heads = (block.splitlines()[0] for block in out.split("\n\n")[:-2])
    return dict(head.split(": ") for head in heads)


def test_run_runs_what_is_missing_and_only_that(bench: Bench) -> None:
    assert bench("run", "--suite", "small.toml", "--methods", "good", "--output", "there")[0] == 0
    path = write_claims(("good", "random"), ("random", "good2"))
    options = (path, "--records", "new", "--records", "there")
    code, out, err = bench("claims", *options, "--run")
    assert code == 0
    assert not any(word in out for word in ("not run", "cannot"))
    assert [line for line in err.splitlines() if "seed" in line] == [
        "small  random  seed 0",
        "small  good2  seed 0",
    ]
    assert len(find_records([Path("new")])) == 2
    assert bench("claims", *options, "--run") == (0, out, "")
    assert bench("claims", *options) == (0, out, "")


def test_run_goes_on_after_failures(bench: Bench) -> None:
    pairs = [("crash", "good"), ("none", "good"), ("crash", "random"), ("good", "random")]
    path = write_claims(*pairs)
    code, out, err = bench("claims", path, "--run")
    assert code == 0
    assert answers(out) == {
        "crash-good": "cannot be tested here",
        "none-good": "cannot be tested here",
        "crash-random": "cannot be tested here",
        "good-random": answers(out)["good-random"],
    }
    assert answers(out)["good-random"] in {"holds", "does not hold", "undecided"}
    assert out.count("crash (seed 0) on small: RuntimeError: the dog ate it") == 2
    assert err.count("small  crash  seed 0") == 1
    assert Path("results/baselines/small").is_dir()


def test_run_on_several_suites(bench: Bench) -> None:
    Path("other.toml").write_text(Path("small.toml").read_text().replace('"small"', '"other"'))
    path = write_claims(("good", "random"), suite="small.toml,other.toml")
    code, out, err = bench("claims", path, "--run")
    assert (code, "not run" in out) == (0, False)
    assert [line for line in err.splitlines() if "seed" in line] == [
        "small  good  seed 0",
        "small  random  seed 0",
        "other  good  seed 0",
        "other  random  seed 0",
    ]


def test_run_without_data(bench: Bench) -> None:
    code, out, _ = bench("claims", write_claims(("good", "random"), suite="sts7"), "--run")
    assert code == 0
    assert "pass --data FOLDER" in " ".join(out.split())
    code, out, _ = bench("claims", "paper.toml", "--run", "--data", "nowhere")
    assert code == 0
    assert "data folder nowhere does not exist" in " ".join(out.split())


class Learns(Stub):
    """Trains from the stub ``good``."""

    info = MethodInfo(name="learns", title="x", kind="static", trains=True, requires=())

    class Config(MethodConfig):
        base: str = "good"


def test_run_leaves_seeds_and_bases_that_have_records(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = registry._entries(registry.METHODS)
    entry = EntryPoint("learns", f"{__name__}:Learns", registry.METHODS)
    monkeypatch.setitem(entries, "learns", [entry])
    asked: list[tuple[str, int]] = []

    def run_cells(cells, settings):
        asked.extend((str(cell.spec), cell.seed) for cell in cells)
        return Outcome()

    monkeypatch.setattr("bench.cli.claim_runs.run_cells", run_cells)
    path = write_claims(("learns", "random"))
    write("random", folder=Path("there"), profile="smoke")
    write("learns", folder=Path("there"), seed=1)
    options = (path, "--run", "--records", "new", "--records", "there")
    assert bench("claims", *options)[0] == 0
    assert asked == [("good", 0), ("learns", 0), ("learns", 2)]
    asked.clear()
    write("good", folder=Path("there"), profile="paper")
    out = bench("claims", *options)[1]
    assert asked == [("learns", 0), ("learns", 2)]
    assert "not run (learns lacks seeds 0, 2)" in out


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    write_seeds("sct", STEP)
    write_seeds("simcse")
    write_toml()
    code = (
        "import sys\nfrom bench.cli.main import main\n"
        "assert main(['claims']) == 0\n"
        "assert 'scipy' not in sys.modules\n"
        "assert main(['claims', 'paper.toml', '--records', 'results/runs']) == 0\n"
        "names = {'torch', 'transformers', 'mteb', 'sentence_transformers', 'sklearn', 'pandas'}\n"
        "sys.exit(str(names & set(sys.modules)) if names & set(sys.modules) else 0)\n"
    )
    # Away from the checkout, whose bench would hide the installed one.
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "new-above-old: holds" in result.stdout


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--help"]) == 0
    assert "--records" in capsys.readouterr().out
