"""Claims get the answer that their records give, and a reason where they give none."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from bench.core import registry
from bench.core.errors import UsageError
from bench.method import PROFILES
from bench.records.files import find_records
from bench.verdicts.claims import Judgement, answer_claim, read_all
from bench.verdicts.papers import Claim, load_papers
from tests.support.claims import RUNS, STEP, TRAINED, write, write_seeds, write_toml
from tests.support.suites import Bench, write_suite

ROOT = Path(__file__).parents[2]


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
    return answer_claim(one, read_all(find_records(there)) if there else [], RUNS)


def reason(one: Claim, *folders: Path) -> str:
    """Tell why a claim cannot be tested."""
    found = answer(one, *folders)
    assert (found.answer, found.measured) == ("cannot be tested here", None)
    assert found.reason is not None
    return found.reason


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the small suite."""
    monkeypatch.chdir(tmp_path)
    write_suite(tmp_path)


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
    low: float, high: float, margin: float, expected: str
) -> None:
    write_seeds("tfidf", np.tile([low, high], 20), 1)
    write_seeds("random", 0.0, 1)
    found = answer(claim(a="tfidf", b="random", margin=margin))
    assert (found.answer, found.reason) == (expected, None)
    assert found.measured is not None
    assert found.measured.difference.ci95 == (low, high)
    assert found.measured.difference.delta == pytest.approx((low + high) / 2)
    assert found.measured.seeds == (1, 1)
    assert (found.measured.profile, found.measured.bases) == (None, ())


@pytest.mark.parametrize("b", ["simcse", "random"])
@pytest.mark.parametrize(
    ("middle", "half", "margin", "expected"),
    [
        (0.1, 0.02, 0.0, "holds"),
        (0.1, 0.02, 6.0, "holds"),
        (0.1, 0.02, 6.1, "undecided"),
        (0.1, 0.02, 13.9, "undecided"),
        (0.1, 0.02, 14.0, "does not hold"),
        (0.0, 0.02, 0.0, "undecided"),
        (-0.1, 0.02, 0.0, "does not hold"),
    ],
)
def test_the_interval_over_seeds_against_the_margin(
    b: str, middle: float, half: float, margin: float, expected: str
) -> None:
    write_seeds("sct", np.tile([middle - half, middle + half], 20), 3)
    write_seeds(b, 0.0, 3 if b in TRAINED else 1)
    found = answer(claim(b=b, margin=margin))
    assert (found.answer, found.reason) == (expected, None)
    assert found.measured is not None
    # Seeds agree here, so that the items alone vary, by half either way.
    bounds = middle - 1.96 * half, middle + 1.96 * half
    assert found.measured.difference.ci95 == pytest.approx(bounds, abs=1e-5)
    assert found.measured.seeds == (3, 3 if b in TRAINED else 1)
    assert (found.measured.profile, found.measured.bases) == ("local", ("minilm-l2",))


@pytest.mark.parametrize(("a", "b"), [(3, 1), (1, 3), (1, 1)])
def test_one_training_answers_nothing_about_a_method(a: int, b: int) -> None:
    write_seeds("sct", STEP, a)
    write_seeds("simcse", 0.0, b)
    found = answer(claim(seeds=1))
    assert (found.answer, found.reason) == ("undecided (one seed)", None)
    assert found.measured is not None
    assert found.measured.difference.delta == pytest.approx(STEP)
    write_seeds("random", 0.0, 1)
    assert answer(claim(b="random", seeds=1)).answer == "undecided (one seed)"


def test_the_same_number_of_seeds_as_asked_is_no_excuse() -> None:
    write_seeds("sct", STEP, 3)
    write_seeds("random", 0.0, 1)
    assert answer(claim(b="random", seeds=3)).answer == "holds"


def test_sides_are_not_exchanged() -> None:
    write_seeds("sct", STEP)
    write_seeds("simcse")
    assert answer(claim()).answer == "holds"
    assert answer(claim(a="simcse", b="sct")).answer == "does not hold"


def test_a_task_instead_of_the_average() -> None:
    write_seeds("sct", STEP, task_gain=-STEP)
    write_seeds("simcse", task_gain=0.0)
    assert answer(claim()).answer == "holds"
    assert answer(claim(task="pairs")).answer == "does not hold"
    assert reason(claim(task="none")) == "suite 'small.toml' has no task 'none'; it has: pairs"


@pytest.mark.parametrize("seeds", [1, 3])
def test_several_suites_count_the_same(seeds: int) -> None:
    one = claim(suite="small.toml,other.toml", seeds=seeds)
    Path("other.toml").write_text(Path("small.toml").read_text().replace('"small"', '"other"'))
    assert reason(one).startswith("not run: bench run --suite small.toml,other.toml --seeds")
    gain = np.tile([0.0, STEP], 20)
    write_seeds("sct", gain, seeds)
    write_seeds("simcse", 0.0, seeds)
    assert "--methods 'sct,simcse'" in reason(one)
    write_seeds("sct", gain + 2 * STEP, seeds, suite="other")
    write_seeds("simcse", 0.0, seeds, suite="other")
    found = answer(one)
    holds = "holds" if seeds > 1 else "undecided (one seed)"
    assert (found.answer, found.reason) == (holds, None)
    assert found.measured is not None
    bounds = (STEP, 2 * STEP) if seeds == 1 else (1.5 * STEP - 0.98 * STEP, 2.48 * STEP)
    assert found.measured.difference.ci95 == pytest.approx(bounds, abs=1e-5)
    assert found.measured.difference.delta == pytest.approx(1.5 * STEP)
    assert found.measured.seeds == (seeds, seeds)
    told = reason(claim(suite="small.toml,other.toml", task="pairs"))
    assert told == "task 'pairs' is of one suite; name one in place of small.toml,other.toml"
    write_seeds("sct", gain, seeds, suite="other", rows="1")
    assert "their rows differ" in reason(one)


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
    other = answer_claim(claim(seeds=2), read_all(find_records([])), Path("my folder"))
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
    write("sct", -1.0, seed=3)
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
    assert answer(claim(seeds=1), RUNS, Path("again")).answer == "undecided (one seed)"


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
    assert reason(claim()).startswith(f"{broken}: not the items of {broken.name.split('.')[0]}")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"a": "none[of=minilm]"}, "method 'none' is not built yet"),
        ({"b": "none"}, "method 'none' is not built yet"),
        ({"suite": "none"}, "suite 'none' is not built yet"),
        ({"suite": " , "}, "' , ' names no suite; bench list suites shows what there is"),
        ({"suite": "none.toml"}, "suite file none.toml does not exist"),
        ({"suite": "two.toml"}, "'two.toml' is a group of several suites: sts7, sts-mini"),
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
        ({"a": '"sct[x"'}, "key 'claims.0.a': bad method spec"),
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
            told = answer_claim(one, [], RUNS).reason or ""
            built = set(registry.names(registry.METHODS)) >= {
                one.a.split("[")[0],
                one.b.split("[")[0],
            }
            assert ("not run: bench run" if built else "is not built yet") in told


def test_published_differences_are_those_of_the_reference_figures() -> None:
    reference = tomllib.loads((ROOT / "suites/published/sct.toml").read_text())
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
    reference = tomllib.loads((ROOT / "suites/published/two-tier.toml").read_text())
    scores = {row["method"]: row["scores"][0] for row in reference["tables"][0]["rows"]}
    both = scores["2-Tier SimCSE"]
    alone = scores["SimCSE, standard dropout"], scores["SimCSE (supervised), standard dropout"]
    for name, score in zip(("unsupervised", "supervised"), alone, strict=True):
        published = claims[f"two-tiers-above-{name}"].published
        assert published == pytest.approx(100 * (both - score))
