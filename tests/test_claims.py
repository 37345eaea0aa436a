"""Claims get the answer that their records give, and a reason where they give none."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from markdown_it import MarkdownIt

from bench import registry
from bench.claims.judge import Judgement, judge, read_all
from bench.claims.papers import Claim, load_papers
from bench.cli.main import main
from bench.errors import UsageError
from bench.method import PROFILES, MethodConfig, MethodInfo
from bench.record import (
    EncodingEntry,
    MethodEntry,
    Record,
    TaskEntry,
    Timings,
    find_records,
    pack_items,
    record_path,
    sha256,
    write_record,
)
from bench.runner import Outcome
from tests.small import Bench, write_suite
from tests.stub_methods import Stub

ROOT = Path(__file__).parents[1]
RUNS = Path("results/runs")
TRAINED = {"sct", "simcse"}
# Sums, differences and thirds of such numbers are exact, so that margins can be hit.
NOISE = np.arange(40) / 64
STEP = 1 / 32


def write(
    spec: str,
    gain: float | np.ndarray = 0.0,
    *,
    folder: Path = RUNS,
    seed: int = 0,
    suite: str = "small",
    profile: str = "local",
    limit: int | None = None,
    rows: str = "0",
    task_gain: float | None = None,
) -> Path:
    """Write a record of one task whose scores on all resamples are those of 0.25 and a gain."""
    average = 0.25 + NOISE + gain
    pairs = average if task_gain is None else 0.25 + NOISE + task_gain
    items = {"average/replicates": average, "pairs/replicates": pairs, "pairs/value": NOISE}
    packed = pack_items(items)
    trained = spec.partition("[")[0] in TRAINED
    record = Record(
        suite=suite,
        convention="simcse",
        method=MethodEntry(
            name=spec.partition("[")[0],
            spec=spec,
            title="x",
            kind="static",
            checkpoint=None,
            config={},
            trained=trained,
            base="minilm-l2" if trained else None,
        ),
        profile=profile,
        seed=seed,
        limit=limit,
        cell_fingerprint=f"{spec}{seed}",
        model_fingerprint=f"{spec}{seed}",
        dimension=8,
        parameters=None,
        tasks={
            "pairs": TaskEntry(
                kind="sts",
                metric="Spearman",
                mteb=None,
                main=float(pairs.mean()),
                ci95=(0.1, 0.9),
                metrics={},
                items=40,
                data_sha256=rows,
            )
        },
        average=float(average.mean()),
        average_ci95=(0.1, 0.9),
        average_of_rounded=float(average.mean()),
        averaged_tasks=("pairs",),
        encoding=EncodingEntry(texts=9, distinct=9, encoded=9, tokens=None),
        timings=Timings(build=0, encode=0, score=0),
        peak_memory_bytes=0,
        training=None,
        versions={},
        machine={},
        created="2026-01-01T00:00:00Z",
        items_sha256=sha256(packed),
    )
    path = record_path(folder, suite, f"{spec}-{profile}-{limit}-seed{seed}")
    write_record(path, record, packed)
    return path


def write_seeds(spec: str, gain: float | np.ndarray = 0.0, seeds: int = 3, **changes: Any) -> None:
    for seed in range(seeds):
        write(spec, gain, seed=seed, **changes)


def claim(**changes: Any) -> Claim:
    fields = {
        "name": "x",
        "claim": "A is better.",
        "source": "Table 1",
        "a": "sct",
        "b": "simcse",
        "suite": "small.toml",
    }
    return Claim.model_validate({**fields, **changes})


def answer(one: Claim, *folders: Path) -> Judgement:
    """Answer a claim from the records that were written."""
    there = [folder for folder in folders or (RUNS,) if folder.is_dir()]
    return judge(one, read_all(find_records(there)) if there else [], RUNS)


def reason(one: Claim, *folders: Path) -> str:
    """Tell why a claim cannot be tested."""
    found = answer(one, *folders)
    assert (found.answer, found.measured) == ("cannot be tested here", None)
    assert found.reason is not None
    return found.reason


TOML = """
paper = "A Paper"
arxiv = "2401.00001"
[[claims]]
name = "new-above-old"
claim = "The new one is better."
source = "Table 1"
a = "sct"
b = "simcse"
suite = "small.toml"
"""


def write_toml(file: str = "paper.toml", **changes: Any) -> Path:
    """Write a file of one claim with some fields changed."""
    lines = [line for line in TOML.splitlines() if line.partition(" = ")[0] not in changes]
    lines += [f"{key} = {value}" for key, value in changes.items() if value is not None]
    Path(file).write_text("\n".join(lines), encoding="utf-8")
    return Path(file)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the small suite."""
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path)


@pytest.mark.parametrize(("a", "b"), [("sct", "simcse"), ("tfidf", "random"), ("sct", "random")])
@pytest.mark.parametrize(
    ("low", "high", "margin", "expected"),
    [
        (STEP, 2 * STEP, 0.0, "holds"),
        (STEP, 2 * STEP, 3.12, "holds"),
        (STEP, 2 * STEP, 3.125, "undecided"),
        (STEP, 2 * STEP, 6.24, "undecided"),
        (STEP, 2 * STEP, 6.25, "does not hold"),
        (-STEP, STEP, 0.0, "undecided"),
        (-STEP, STEP, -3.125, "undecided"),
        (-STEP, STEP, -3.13, "holds"),
        (-2 * STEP, -STEP, 0.0, "does not hold"),
        (0.0, 0.0, 0.0, "does not hold"),
        (0.0, 0.0, -0.01, "holds"),
    ],
)
def test_the_interval_against_the_margin(
    a: str, b: str, low: float, high: float, margin: float, expected: str
) -> None:
    gain = np.tile([low, high], 20)
    write_seeds(a, gain, 3 if a in TRAINED else 1)
    write_seeds(b, 0.0, 3 if b in TRAINED else 1)
    found = answer(claim(a=a, b=b, margin=margin))
    assert (found.answer, found.reason) == (expected, None)
    assert found.measured is not None
    assert found.measured.difference.ci95 == (low, high)
    assert found.measured.difference.delta == pytest.approx((low + high) / 2)
    assert found.measured.seeds == (3 if a in TRAINED else 1, 3 if b in TRAINED else 1)
    assert found.measured.profile == ("local" if a in TRAINED else None)
    assert found.measured.bases == (("minilm-l2",) if a in TRAINED else ())


def test_sides_are_not_exchanged() -> None:
    write_seeds("sct", STEP)
    write_seeds("simcse")
    assert answer(claim()).answer == "holds"
    assert answer(claim(a="simcse", b="sct")).answer == "does not hold"


def test_a_task_instead_of_the_average() -> None:
    write_seeds("sct", STEP, task_gain=-STEP)
    write_seeds("simcse")
    assert answer(claim()).answer == "holds"
    assert answer(claim(task="pairs")).answer == "does not hold"
    assert reason(claim(task="none")) == "suite 'small.toml' has no task 'none'; it has: pairs"


def test_specs_match_by_their_canonical_form() -> None:
    write_seeds("sct[epochs=2,queue_size=0]", STEP)
    write_seeds("simcse")
    assert answer(claim(a="sct[queue_size=0, epochs=2]")).answer == "holds"


def test_what_has_to_be_run() -> None:
    command = "bench run --suite small.toml --seeds 3 --methods"
    assert reason(claim()) == f"not run: {command} 'sct,simcse'"
    write_seeds("simcse")
    assert reason(claim()) == f"not run: {command} 'sct'"
    write("sct", seed=1)
    assert reason(claim()) == f"not run (sct lacks seeds 0, 2): {command} 'sct'"
    assert reason(claim(seeds=1, profile="smoke", a="sct[lr=1e-4]")) == (
        "not run: bench run --suite small.toml --seeds 1 --profile smoke "
        "--methods 'sct[lr=1e-4],simcse'"
    )
    other = judge(claim(seeds=2), read_all(find_records([])), Path("my folder"))
    assert other.reason == (
        "not run (sct lacks seed 0): bench run --suite small.toml --seeds 2 --methods 'sct' "
        "--output 'my folder'"
    )


def test_other_records_do_not_count() -> None:
    write_seeds("simcse")
    for changes in ({"limit": 9}, {"suite": "other"}, {"profile": "smoke"}):
        write_seeds("sct", **changes)
        assert "--methods 'sct'" in reason(claim())
    write_seeds("sct", STEP)
    write("sct", -9.0, seed=3)
    assert answer(claim()).answer == "holds"


def test_what_does_not_train_is_the_same_in_every_profile() -> None:
    one = claim(a="tfidf", b="random")
    write("random")
    write("tfidf", STEP, profile="smoke")
    assert answer(one).answer == "holds"
    write("tfidf", STEP, profile="paper")
    assert "--methods 'tfidf'" in reason(one)
    write("tfidf", -STEP)
    assert answer(one).answer == "does not hold"


def test_the_same_cell_twice() -> None:
    write_seeds("sct", STEP)
    write_seeds("simcse")
    again = write("simcse", seed=1, folder=Path("again"))
    first = RUNS / again.relative_to("again")
    told = reason(claim(), RUNS, Path("again"))
    assert told.startswith("simcse (seed 1) on small is both in ")
    assert str(first) in told and str(again) in told
    assert answer(claim(seeds=1), RUNS, Path("again")).answer == "holds"


def test_unlike_records() -> None:
    write_seeds("sct", STEP)
    write_seeds("simcse", rows="1")
    assert "sct and simcse cannot be compared on small: their rows differ" in reason(claim())
    write("simcse", rows="0")
    assert "seeds 0 and 1 of simcse on small differ in settings, base or rows" in reason(claim())


def test_damaged_items() -> None:
    write_seeds("sct", STEP)
    write_seeds("simcse")
    broken = next(RUNS.rglob("simcse*seed2*.safetensors"))
    broken.write_bytes(b"")
    assert reason(claim()).startswith(f"{broken}: cannot be read")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"a": "none[of=minilm]"}, "method 'none' is not built yet"),
        ({"b": "none"}, "method 'none' is not built yet"),
        ({"suite": "none"}, "suite 'none' is not built yet"),
        ({"suite": "none.toml"}, "suite file none.toml does not exist"),
        ({"suite": "two.toml"}, "'two.toml' stands for several suites: sts7, sts-mini"),
        ({"suite": "mteb:[STS12]"}, "mteb:[STS12] is scored by mteb"),
        ({"a": "sct[queue=5]"}, "no option 'queue'; did you mean 'queue_size'"),
        ({"a": "sct[lr=x]"}, "sct[lr=x]: lr: "),
    ],
)
def test_what_is_unknown(changes: dict[str, str], expected: str) -> None:
    Path("two.toml").write_text('name = "two"\ntitle = "x"\nsuites = ["sts7", "sts-mini"]\n')
    assert expected in reason(claim(**changes))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"paper": None}, "key 'paper': field required"),
        ({"claim": '""'}, "key 'claims.0.claim': "),
        ({"name": '"Not kebab"'}, "key 'claims.0.name': "),
        ({"a": None}, "key 'claims.0.a': field required"),
        ({"a": '"sct[x"'}, "key 'claims.0.a': value error, bad method spec"),
        ({"seeds": "0"}, "key 'claims.0.seeds': "),
        ({"profile": '"huge"'}, "key 'claims.0.profile': "),
        ({"margin": "nan"}, "key 'claims.0.margin': "),
        ({"published": "inf"}, "key 'claims.0.published': "),
        ({"published_on": '"BERT"'}, "published_on is the base of a published figure"),
        ({"speed": "1"}, "key 'claims.0.speed': "),
        ({"a": ""}, "not valid TOML"),
    ],
)
def test_malformed_files(bench: Bench, changes: dict[str, str], expected: str) -> None:
    path = write_toml(**changes)
    code, out, err = bench("claims", path)
    assert (code, out) == (2, "")
    assert err.startswith(f"bench: {path}: ")
    assert expected in err
    assert len(err.splitlines()) == 1


def test_files_that_do_not_go(bench: Bench) -> None:
    assert "claims file none.toml does not exist" in bench("claims", "none.toml")[2]
    write_toml("one.toml")
    write_toml("two.toml")
    code, _, err = bench("claims", "one.toml", "two.toml")
    assert code == 2
    assert "two.toml: claim 'new-above-old' is in one.toml too" in err
    Path("empty.toml").write_text('paper = "x"\nclaims = []\n')
    with pytest.raises(UsageError, match=r"empty\.toml: key 'claims'"):
        load_papers([Path("empty.toml")])
    assert get_args(Claim.model_fields["profile"].annotation) == PROFILES


def test_the_claims_of_the_package() -> None:
    papers = load_papers([])
    files = sorted((ROOT / "suites/claims").glob("*.toml"))
    assert [paper.path.name for paper in papers] == [path.name for path in files]
    for paper in papers:
        for one in paper.claims:
            told = judge(one, [], RUNS).reason or ""
            built = set(registry.names(registry.METHODS)) >= {
                one.a.split("[")[0],
                one.b.split("[")[0],
            }
            assert ("not run: bench run" if built else "is not built yet") in told


def test_published_differences_are_those_of_the_reference_figures() -> None:
    reference = tomllib.loads((ROOT / "results/reference/sct.toml").read_text())
    tables = {table["source"]: table["rows"] for table in reference["tables"]}
    averages = {
        row["method"]: row["printed_average"]
        for row in tables["Table 2, no teacher"]
        if row["base"] == "BERT-Small"
    }
    changes = {row["method"]: row["scores"][1] for row in tables["Table 4"]}
    claims = {one.name: one for paper in load_papers([]) for one in paper.claims}
    figures = {
        "sct-above-simcse": averages["SCT"] - averages["SimCSE"],
        "cross-view-above-identical-view": -changes["cross-view to identical-view"],
        "queue-above-none": -changes["no queue (in-batch only)"],
    }
    for name, figure in figures.items():
        assert claims[name].published == pytest.approx(figure)
        assert claims[name].published_on == "BERT-Small"
    reference = tomllib.loads((ROOT / "results/reference/two-tier.toml").read_text())
    scores = {row["method"]: row["scores"][0] for row in reference["tables"][0]["rows"]}
    both = scores["2-Tier SimCSE"]
    alone = scores["SimCSE, standard dropout"], scores["SimCSE (supervised), standard dropout"]
    for name, score in zip(("unsupervised", "supervised"), alone, strict=True):
        published = claims[f"two-tiers-above-{name}"].published
        assert published == pytest.approx(100 * (both - score))


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
    heads = (block.splitlines()[0] for block in out.split("\n\n")[:-1])
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

    monkeypatch.setattr("bench.claims.runs.run_cells", run_cells)
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
