"""Fetching: what is pinned arrives unchanged, and nothing else stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from bench.data.access import DataAccess, state
from bench.data.catalog import Dataset, SplitRef, catalog, parse_names
from bench.data.fetch import Fetcher
from bench.data.rows import read_rows, rows_sha256, write_rows
from bench.errors import DataError, UsageError
from bench.fingerprint import FileHashes
from bench.progress import Silent
from tests.data.mirror import ADDRESS, COLUMNS, NAME, ROWS, add, archive, dataset, files, put, serve

TRAIN = SplitRef(NAME, "train")
TEST = SplitRef(NAME, "test")
TABLES = {
    "made.csv": lambda frame, path: frame.to_csv(path, index=False),
    "made.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "made.parquet": lambda frame, path: frame.to_parquet(path),
}


def _fetch(tmp_path: Path, *refs: SplitRef, mirror: str | None = None) -> Path:
    to = tmp_path / "to"
    Fetcher(to, mirror=mirror or f"file://{tmp_path}", progress=Silent()).fetch(refs)
    return to


def _plain(content: Path, **split: Any) -> Dataset:
    sha256 = put(content.parents[1], content.read_bytes(), content.name)
    address = ADDRESS.replace("made.zip", content.name)
    return dataset(
        sha256, url={"url": address, "sha256": sha256}, splits={"test": {"rows": 2, **split}}
    )


def test_splits_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    to = _fetch(tmp_path, TRAIN, TEST)
    assert files(to) == [f"{NAME}/test.jsonl.gz", f"{NAME}/train.jsonl.gz"]
    assert read_rows(to / TRAIN.filename) == read_rows(to / TEST.filename) == ROWS
    # The member ../test.jsonl was written nowhere.
    assert len(files(tmp_path)) == 3


def test_an_archive_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(tmp_path) as (address, asked):
        to = _fetch(tmp_path, TRAIN, TEST, mirror=f"{address}/")
    assert asked == ["/files/made.zip"]
    assert read_rows(to / TRAIN.filename) == ROWS


@pytest.mark.parametrize("name", TABLES)
def test_a_plain_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    raw = [{"a": row["premise"], **row, "extra": 1} for row in ROWS]
    path = tmp_path / "files" / name
    path.parent.mkdir()
    TABLES[name](pd.DataFrame(raw).drop(columns="premise"), path)
    add(monkeypatch, _plain(path, columns={"premise": "a"}))
    assert read_rows(_fetch(tmp_path, TEST) / TEST.filename) == ROWS


@pytest.mark.parametrize("content", [archive() + b"x", archive()[:-1], b""])
def test_a_wrong_checksum_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    put(tmp_path, content)
    with pytest.raises(DataError, match=r"made.zip has checksum .*…, expected .*nothing was kept"):
        _fetch(tmp_path, TRAIN)
    assert files(tmp_path) == ["files/made.zip"]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ({"rows": 3}, "2 rows, expected 3"),
        ({"sha256": "0" * 64}, "checksum"),
        ({"member": "made/none.jsonl"}, "made/none.jsonl cannot be read"),
        ({"columns": {}}, "row 1 of the source has no column 'premise'"),
    ],
)
def test_rows_unlike_the_catalog_are_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: dict[str, Any], message: str
) -> None:
    facts = {"rows": 2, "member": "made/train.jsonl", "columns": COLUMNS}
    facts |= {"skip": {"gold_label": ["-"]}, **split}
    add(monkeypatch, dataset(put(tmp_path, archive()), splits={"train": facts}))
    with pytest.raises(DataError, match=message):
        _fetch(tmp_path, TRAIN)
    assert files(tmp_path) == ["files/made.zip"]


def test_what_is_not_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, dataset(put(tmp_path, b"no zip")))
    with pytest.raises(DataError, match=r"train\.jsonl cannot be read: File is not a zip"):
        _fetch(tmp_path, TRAIN)


def test_an_address_without_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, dataset("0" * 64))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with (
        serve(tmp_path) as (address, _),
        pytest.raises(DataError, match=r"made.zip cannot be fetched: .*404"),
    ):
        _fetch(tmp_path, TRAIN, mirror=address)
    for mirror in (address, "http://[", f"file://{tmp_path}"):
        with pytest.raises(DataError, match="cannot be fetched"):
            _fetch(tmp_path, TRAIN, mirror=mirror)
    assert files(tmp_path) == []


def test_a_query_stays_part_of_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = put(tmp_path, archive())
    add(monkeypatch, dataset(sha256, url={"url": f"{ADDRESS}?v=1", "sha256": sha256}))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(tmp_path) as (address, asked):
        _fetch(tmp_path, TRAIN, mirror=address)
    assert asked == ["/files/made.zip?v=1"]


def test_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's loader, on a folder in place of a repository."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    split = {"rows": 2, "sha256": rows_sha256(ROWS, list(COLUMNS)), "hub_split": "validation"}
    source = {"path": str(hub), "revision": "0" * 40}
    add(monkeypatch, dataset("0" * 64, url=None, hub=source, splits={"test": split}))
    assert read_rows(_fetch(tmp_path, TEST) / TEST.filename) == ROWS


@pytest.mark.parametrize(
    "changes",
    [
        {"url": None},
        {"url": {"url": "http://example.org/x.zip", "sha256": "0" * 64}},
        {"url": {"url": ADDRESS, "sha256": "0"}},
        {"hub": {"path": "a/b", "revision": "c"}},
        {"url": None, "splits": {"test": {"rows": 1, "sha256": "0" * 64, "member": "x.jsonl"}}},
        {"url": None, "splits": {"test": {"rows": 1, "sha256": "0" * 64, "hub_split": "test"}}},
        {"splits": {"test": {"rows": 1, "member": "x.exe"}}},
    ],
)
def test_entries_that_are_not_pinned_are_refused(changes: dict[str, Any]) -> None:
    dataset("0" * 64)
    with pytest.raises(ValidationError):
        dataset("0" * 64, **changes)


def test_the_real_archive_is_in_the_catalog() -> None:
    snli = catalog()["nli/snli_1.0"]
    assert {name: split.rows for name, split in snli.splits.items()} == {
        "train": 549367,
        "dev": 9842,
        "test": 9824,
    }
    assert all(split.skip == {"gold_label": ("-",)} for split in snli.splits.values())
    assert snli.source is not None
    assert snli.source.name == "nlp.stanford.edu"


def test_names() -> None:
    refs = parse_names(["nli/snli", "nli/snli:test", "sts/sts12:test"])
    assert [str(ref) for ref in refs] == ["nli/snli:dev", "nli/snli:test", "sts/sts12:test"]
    with pytest.raises(UsageError, match="did you mean 'nli/snli'"):
        parse_names(["nli/snlli"])
    with pytest.raises(UsageError, match="has no split 'train'"):
        parse_names(["nli/snli:train"])


def test_rows_are_identified_by_archive_split_and_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = put(tmp_path, archive())
    add(monkeypatch, dataset(sha256))
    access = DataAccess(
        tmp_path / "to", tmp_path / "cache", FileHashes(tmp_path / "h.json"), offline=False
    )
    with pytest.raises(DataError, match=rf"run 'bench data fetch {NAME}', or pass --data"):
        access.rows(f"{NAME}:train")
    to = _fetch(tmp_path, TRAIN, TEST)
    assert access.rows(f"{NAME}:train") == ROWS
    first = access.sha256(f"{NAME}:train")
    assert first.startswith(f"{sha256}:train:")
    assert access.sha256(f"{NAME}:train+test") == f"{first}+{access.sha256(f'{NAME}:test')}"
    write_rows(to / TRAIN.filename, [ROWS[0], {**ROWS[1], "premise": "edited"}])
    assert access.sha256(f"{NAME}:train") != first
    write_rows(to / TRAIN.filename, ROWS[:1])
    with pytest.raises(DataError, match="1 rows, expected 2"):
        access.sha256(f"{NAME}:train")


def test_state_of_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    path = _fetch(tmp_path, TRAIN) / TRAIN.filename
    content = path.read_bytes()
    assert state(path, TRAIN) == "ok"
    for damaged in (content[:-9], content[:30] + b"\xff" * 20 + content[50:], b"x", b""):
        path.write_bytes(damaged)
        assert state(path, TRAIN).startswith("wrong: ")
    write_rows(path, [{"premise": "a"}])
    assert state(path, TRAIN) == "wrong: a row has no column 'hypothesis'"
    path.unlink()
    assert state(path, TRAIN) == "missing"
