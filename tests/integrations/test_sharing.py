"""Trained models as others get them: folder, card and results, on disk and on the hub."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mteb
import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from sentence_transformers import SentenceTransformer

from bench.cli.main import main
from bench.core.sealed import damage
from bench.records.entries import Record
from bench.records.files import find_records, read_record
from tests.support.suites import Bench, write_suite
from tests.support.upload import UploadHub, upload_hub

TOKEN = "hf_of_a_test"


@pytest.fixture(scope="module")
def runs(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a run of one training on two suites, one of which is by MTEB's convention."""
    folder = tmp_path_factory.mktemp("shared")
    small = write_suite(folder)
    text = small.read_text().replace('"small"', '"like-mteb"').replace('"simcse"', '"mteb"')
    text = text.replace('kind = "sts"', 'kind = "sts"\nmteb = "STS12"')
    other = folder / "like.toml"
    other.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        method = f"simcse[base={base},max_steps=2,label=ours]"
        suites = f"{small},{other}"
        code = main(["run", "--suite", suites, "--profile", "smoke", "--methods", method])
        assert code == 0
    yield folder


@pytest.fixture
def shared(runs: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("BENCH_CACHE", str(runs / "cache"))
    return bench


def trained(runs: Path) -> list[Record]:
    records = [read_record(path) for path in find_records([runs / "results"])]
    return [record for record in records if record.method.trained]


def test_a_model_is_exported_with_all_that_is_known_of_it(
    shared: Bench, runs: Path, tmp_path: Path
) -> None:
    records = trained(runs)
    target = tmp_path / "out"
    code, out, err = shared(
        "export", str(runs / "results"), "--format", "model-card", "--to", str(target)
    )
    assert code == 0, err
    assert out == f"ours with its card written into {target}\n"
    kept = runs / "cache" / "models" / records[0].model_fingerprint
    assert damage(kept) is None
    assert not (target / "checksums.json").exists()
    texts = ["a kettle", "some rain"]
    mine, theirs = (
        SentenceTransformer(str(one), device="cpu").encode(texts) for one in (target, kept)
    )
    assert np.array_equal(mine, theirs)
    card = ModelCard.load(target / "README.md")
    assert card.data.model_name == "ours"
    told = {one.dataset_type: one for one in card.data.eval_results}
    for record in records:
        task = told[f"{record.suite}/pairs"]
        assert task.metric_value == record.tasks["pairs"].main
        assert tuple(task.metric_args["ci95"]) == record.tasks["pairs"].ci95
        assert told[f"{record.suite}/Avg"].metric_value == record.average
        assert f"bench run --suite {record.suite} --profile smoke" in card.text
    assert "sentence-bench" in card.data.tags
    assert "https://arxiv.org/abs/2104.08821" in card.text
    assert "smoke, seed 0" in card.text
    assert f"{100 * records[0].tasks['pairs'].main:.2f}" in card.text
    for text in records[0].method.stand_ins or {}:
        assert text in card.text


def test_marks_of_the_table_are_warnings_of_the_card(
    shared: Bench, runs: Path, tmp_path: Path
) -> None:
    from dataclasses import replace

    from bench.integrations import model_card
    from bench.integrations.shared_model import find_model

    model = find_model([runs / "results"])
    record = model.first
    row = replace(model.table_of(record).rows[0], contaminated={"pairs": 0.25})
    tables = tuple(
        replace(one, rows=(row,)) if one.suite == record.suite else one for one in model.tables
    )
    text = "\n".join(model_card._sections(replace(model, tables=tables)))
    assert "| pairs‡ |" in text
    assert "training text holds up to 25.0% of the test texts" in text


def test_results_are_as_the_hub_reads_them(shared: Bench, runs: Path, tmp_path: Path) -> None:
    (record,) = [one for one in trained(runs) if one.convention == "mteb"]
    folder = str(runs / "results")
    options = ("--method", "ours", "--to", str(tmp_path))
    code, _, err = shared("export", folder, "--format", "eval-results", *options)
    assert code == 0, err
    (path,) = (tmp_path / ".eval_results").iterdir()
    assert path.name == "STS12.yaml"
    (entry,) = parse_eval_result_entries(yaml.safe_load(path.read_text()))
    known = mteb.get_task("STS12").metadata.dataset
    assert (entry.dataset_id, entry.dataset_revision) == (known["path"], known["revision"])
    assert (entry.task_id, entry.value) == ("STS12", 100 * record.tasks["pairs"].main)
    assert "seed 0" in entry.notes


def test_what_cannot_be_exported_is_one_line(shared: Bench, runs: Path, tmp_path: Path) -> None:
    folder = str(runs / "results")
    card = ("export", folder, "--format", "model-card")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    for options, code, said in (
        (("--to", str(tmp_path / "full")), 2, "is not an empty folder; choose another one"),
        (("--to", str(tmp_path / "x"), "--method", "sct"), 2, "no records of sct of a model"),
        (("--to", str(tmp_path / "x"), "--seed", "7"), 2, "no records of a model"),
    ):
        ended, out, err = shared(*card, *options)
        assert (ended, out, err.count("\n")) == (code, "", 1)
        assert said in err
    assert [*(tmp_path / "full").iterdir()] == [tmp_path / "full" / "mine.txt"]


def test_a_model_that_is_gone_is_named_with_its_command(
    bench: Bench, runs: Path, tmp_path: Path
) -> None:
    code, out, err = bench(
        "export", str(runs / "results"), "--format", "model-card", "--to", str(tmp_path / "out")
    )
    assert (code, out, err.count("\n")) == (4, "", 1)
    assert "it is not there" in err
    assert "bench run --suite" in err


def push(runs: Path, hub: UploadHub, *options: str, **variables: str) -> tuple[int, str, str]:
    """Call it in a process of its own, as the library reads its variables when it is loaded."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    env = {
        **kept,
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(runs / "hub"),
        "BENCH_CACHE": str(runs / "cache"),
        **variables,
    }
    command = [sys.executable, "-m", "bench", "push", "me/model", "results", *options]
    done = subprocess.run(command, env=env, cwd=runs, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def hub() -> Iterator[UploadHub]:
    with upload_hub() as one:
        yield one


@pytest.mark.nightly
def test_what_is_pushed_arrives(runs: Path, hub: UploadHub, tmp_path: Path) -> None:
    code, out, err = push(runs, hub, "--method", "ours", "--private", HF_TOKEN=TOKEN)
    assert code == 0, err
    assert out == f"{hub.url}/me/model\n"
    assert TOKEN not in err
    changing = [token for path, token in hub.asked if "/create" in path or "/commit/" in path]
    assert changing == [f"Bearer {TOKEN}"] * 2
    (created,) = hub.created
    assert created["name"] == "model" and "private" in str(created)
    record = trained(runs)[0]
    kept = runs / "cache" / "models" / record.model_fingerprint
    assert hub.files["model.safetensors"] == (kept / "model.safetensors").read_bytes()
    card = ModelCard(hub.files["README.md"].decode())
    values = {one.dataset_type: one.metric_value for one in card.data.eval_results}
    assert values[f"{record.suite}/pairs"] == record.tasks["pairs"].main
    assert 'SentenceTransformer("me/model")' in card.text
    assert ".eval_results/STS12.yaml" in hub.files


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("status", "said"), [(401, "refuses the token for me/model"), (500, "answers 500")]
)
def test_a_hub_that_refuses_is_one_line(runs: Path, hub: UploadHub, status: int, said: str) -> None:
    hub.status = status
    code, out, err = push(runs, hub, HF_TOKEN=TOKEN)
    assert (code, out) == (2, "")
    assert said in err.splitlines()[-1]
    assert "Traceback" not in err and TOKEN not in err
    assert not hub.files


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        (("--offline",), {"HF_TOKEN": TOKEN}, "a push needs the network"),
        ((), {"HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "1"}, "a push needs the network"),
        ((), {}, "the hub wants a token with the right to write: 'hf auth login'"),
    ],
)
def test_a_push_that_cannot_be_asks_nobody(
    runs: Path, hub: UploadHub, options: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    code, out, err = push(runs, hub, *options, **variables)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert not hub.asked
