"""A task on an existing kind is TOML only, whatever form its rows come in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench.data import access
from bench.records.entries import Record
from bench.records.files import find_records, read_record
from tests.support.mirror import AT, put
from tests.support.suites import Bench, write_suite

HEAD = 'name = "own"\ntitle = "x"\nconvention = "simcse"\naverage = ["pairs"]\n[[tasks]]\n'
TASK = 'name = "pairs"\nkind = "sts"\n'
COLUMNS = 'columns = { sentence1 = "a", sentence2 = "b", score = "rating" }\n'


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    """The small suite's rows under other names."""
    write_suite(tmp_path)
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    frame = pd.DataFrame([json.loads(line) for line in lines])
    return frame.rename(columns={"sentence1": "a", "sentence2": "b", "score": "rating"})


def run(bench: Bench, folder: Path, data: str) -> Record:
    path = folder / "own.toml"
    path.write_text(HEAD + TASK + f"data = {data}\n" + COLUMNS)
    code, _, err = bench("run", "--suite", path, "--methods", "good", "--output", folder / "out")
    assert code == 0, err
    (record,) = map(read_record, find_records([folder / "out"]))
    return record


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "jsonl"])
def test_files(bench: Bench, tmp_path: Path, rows: pd.DataFrame, ending: str) -> None:
    path = tmp_path / f"mine.{ending}"
    if ending == "parquet":
        rows.to_parquet(path)
    elif ending == "jsonl":
        rows.to_json(path, orient="records", lines=True)
    else:
        rows.to_csv(path, index=False, sep="," if ending == "csv" else "\t")
    record = run(bench, tmp_path, f'{{ file = "mine.{ending}" }}')
    known = write_suite(tmp_path)
    bench("run", "--suite", known, "--methods", "good", "--output", tmp_path / "known")
    (expected,) = map(read_record, find_records([tmp_path / "known"]))
    assert record.average == expected.average
    assert record.tasks["pairs"].data_sha256 == expected.tasks["pairs"].data_sha256


def test_hub(
    bench: Bench, tmp_path: Path, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(label: str, hub: access.HubSource, split: str) -> list[Any]:
        asked.append((hub.hub, hub.revision, split, hub.config))
        return rows.to_dict("records")

    monkeypatch.setattr(access, "load_from_hub", fetch)
    data = '{ hub = "org/mine", revision = "abc", split = "test" }'
    path = tmp_path / "own.toml"
    path.write_text(HEAD + TASK + f"data = {data}\n" + COLUMNS)
    code, out, err = bench("run", "--suite", path, "--methods", "good")
    assert (code, out) == (4, "")
    assert "org/mine@abc:test (1 from the hub): not here, and cannot be fetched offline" in err
    monkeypatch.delenv("HF_HUB_OFFLINE")
    run(bench, tmp_path, data)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert bench("run", "--suite", path, "--methods", "good2")[0] == 0
    assert asked == [("org/mine", "abc", "test", None)]


def test_a_missing_column_is_named(bench: Bench, tmp_path: Path, rows: pd.DataFrame) -> None:
    rows.drop(columns="rating").to_csv(tmp_path / "mine.csv", index=False)
    path = tmp_path / "own.toml"
    path.write_text(HEAD + TASK + 'data = { file = "mine.csv" }\n' + COLUMNS)
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code == 4
    assert "no column 'rating'; it has: a, b" in err


def test_public_files_of_a_suite(
    bench: Bench, tmp_path: Path, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = rows.to_csv(index=False, header=False, sep="\t").encode()
    sha256 = put(tmp_path / "served", lines, "mine.tsv")
    read = 'format = "tsv", columns = ["a", "b", "rating"]'
    data = f'{{ url = "{AT}mine.tsv", sha256 = "{sha256}", read = {{ {read} }} }}'
    monkeypatch.setenv("BENCH_MIRROR", f"file://{tmp_path}/served")
    record = run(bench, tmp_path, data)
    shutil.rmtree(tmp_path / "served")
    assert bench("run", "--suite", tmp_path / "own.toml", "--methods", "good2")[0] == 0
    monkeypatch.delenv("BENCH_MIRROR")
    known = write_suite(tmp_path)
    bench("run", "--suite", known, "--methods", "good", "--output", tmp_path / "known")
    (expected,) = map(read_record, find_records([tmp_path / "known"]))
    assert record.average == expected.average


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ('split = "test"', "split is for the catalog"),
        (
            'steps = [{ step = "unlike", columns = ["a"], ref = "sts/sick:test" }]',
            "step unlike is for the catalog",
        ),
    ],
)
def test_what_only_the_catalog_can_say_of_files(
    bench: Bench, tmp_path: Path, options: str, message: str
) -> None:
    path = tmp_path / "own.toml"
    data = f'{{ url = "{AT}x.tsv", sha256 = "{"0" * 64}", {options} }}'
    path.write_text(f"{HEAD}{TASK}data = {data}\n")
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code == 2
    assert message in err


def test_public_files_that_changed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "served", b"a\tb\t1\n", "mine.tsv")
    path = tmp_path / "own.toml"
    path.write_text(f'{HEAD}{TASK}data = {{ url = "{AT}mine.tsv", sha256 = "{"0" * 64}" }}\n')
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code == 4
    assert "run with a network: bench data fetch --suite" in err
    monkeypatch.setenv("BENCH_MIRROR", f"file://{tmp_path}/served")
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code == 4
    assert "files/mine.tsv does not have the checksum 000000000000…" in err
    path.write_text(f'{HEAD}{TASK}data = {{ url = "http://x/mine.tsv", sha256 = "{"0" * 64}" }}\n')
    code, _, err = bench("run", "--suite", path, "--methods", "good")
    assert code == 2
    assert "own.toml: key 'tasks.0.sts.data.files': 'http://x/mine.tsv' is not" in err
