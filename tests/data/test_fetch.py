"""Fetching: rows come from the first source that has the right ones, and nothing else stays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from bench.core.errors import DataError, UsageError
from bench.core.fingerprint import FileHashes
from bench.core.progress import Silent
from bench.data.access import DataAccess
from bench.data.catalog import SplitRef, catalog, parse_names
from bench.data.fetch import Fetcher, FilesTable
from bench.data.places import state
from bench.data.rows import read_rows, rows_sha256, write_rows
from bench.data.sources import FilesSource
from tests.support.mirror import AT, COLUMNS, NAME, ROWS, add, archive, dataset, files, put, source

TRAIN = SplitRef(NAME, "train")
TEST = SplitRef(NAME, "test")
PINNED = {"rows": 2, "sha256": rows_sha256(ROWS, list(COLUMNS))}
TABLES = {
    "made.csv": lambda frame, path: frame.to_csv(path, index=False),
    "made.parquet": lambda frame, path: frame.to_parquet(path),
}


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, message: str) -> None:
        self.said.append(message)


def fetcher(folder: Path, progress: Silent | None = None, **changes: Any) -> Fetcher:
    """A fetcher from the files below a folder into its folder ``to``."""
    given = {"roots": [], "work": folder / "work", "mirror": f"file://{folder}", "offline": False}
    return Fetcher(folder / "to", progress=progress or Silent(), **{**given, **changes})


def fetch(folder: Path, *refs: SplitRef, tables: Sequence[FilesTable] = (), **changes: Any) -> Path:
    """Fetch from the files below a folder."""
    fetcher(folder, **changes).fetch(refs, tables)
    return folder / "to"


def test_splits_of_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    to = fetch(tmp_path, TRAIN, TEST)
    assert files(to) == [f"{NAME}/test.jsonl.gz", f"{NAME}/train.jsonl.gz"]
    assert read_rows(to / TRAIN.filename) == read_rows(to / TEST.filename) == ROWS
    # The member ../test.jsonl was written nowhere, and the archive is not kept.
    assert len(files(tmp_path)) == 3


@pytest.mark.parametrize("name", TABLES)
def test_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = tmp_path / "files" / name
    path.parent.mkdir()
    TABLES[name](pd.DataFrame([{**row, "extra": 1} for row in ROWS]), path)
    sha256 = put(tmp_path, path.read_bytes(), name)
    own = {"at": AT, "files": [{"url": name, "sha256": sha256}]}
    add(monkeypatch, dataset("0" * 64, sources=[own], splits={"test": PINNED}))
    rows = read_rows(fetch(tmp_path, TEST) / TEST.filename)
    assert [{column: row[column] for column in COLUMNS} for row in rows] == ROWS


@pytest.mark.parametrize("content", [archive() + b"x", archive()[:-1], b""])
def test_wrong_bytes_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    put(tmp_path, content)
    with pytest.raises(DataError, match=r"made.zip does not have the checksum .*nothing was kept"):
        fetch(tmp_path, TRAIN)
    assert files(tmp_path) == ["files/made.zip"]


@pytest.mark.parametrize(
    ("split", "own", "message"),
    [
        ({"rows": 3}, {}, "2 rows, expected 3"),
        ({"sha256": "0" * 64}, {}, "checksum"),
        ({}, {"read": {"format": "json"}}, "row has no column 'label'"),
        ({}, {"read": {"format": "json", "names": {"label": "x"}}}, "line 1 has no column 'x'"),
        ({}, {"steps": [{"step": "number", "column": "label", "type": "int"}]}, "row 1: label is"),
    ],
)
def test_rows_unlike_the_catalog_are_not_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    split: dict[str, Any],
    own: dict[str, Any],
    message: str,
) -> None:
    sources = [source(put(tmp_path, archive()), **own)]
    splits = {"train": {"rows": 2, **split}, "test": {"rows": 2}}
    add(monkeypatch, dataset("0" * 64, sources=sources, splits=splits))
    with pytest.raises(DataError, match=message):
        fetch(tmp_path, TRAIN)
    assert files(tmp_path / "to") == []


@pytest.mark.parametrize(
    ("member", "content", "message"),
    [
        ("made/none.jsonl", archive(), r"made.zip: made/none.jsonl cannot be read: .*no item"),
        ("made/train.jsonl", b"no zip", r"train\.jsonl cannot be read: File is not a zip"),
    ],
)
def test_a_damaged_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str, content: bytes, message: str
) -> None:
    file = {"url": "made.zip", "sha256": put(tmp_path, content), "member": member}
    add(monkeypatch, dataset("0" * 64, sources=[source("0" * 64, files=[file])]))
    with pytest.raises(DataError, match=message):
        fetch(tmp_path, TRAIN)


def test_the_next_source_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = source(put(tmp_path, archive()))
    absent = source("0" * 64, at="https://made.example.org/nowhere/")
    put(tmp_path, b"not these", "other.zip")
    wrong = source("1" * 64)
    wrong["files"] = [{**file, "url": "other.zip"} for file in wrong["files"]]
    add(monkeypatch, dataset("0" * 64, sources=[absent, wrong, right]))
    notes = Notes()
    to = fetch(tmp_path, TRAIN, progress=notes)
    assert read_rows(to / TRAIN.filename) == ROWS
    failed = [line for line in notes.said if "cannot be fetched" in line or "checksum" in line]
    assert ["nowhere/made.zip" in failed[0], "files/other.zip" in failed[1]] == [True, True]


def test_what_cannot_be_had_is_named_and_the_rest_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    add(monkeypatch, dataset("0" * 64, sources=[], splits={"test": PINNED}), "nli/nowhere")
    made = {"made_from": [{"rows": "nli/nowhere:test", "columns": {"label": "label"}}]}
    add(monkeypatch, dataset("0" * 64, sources=[made], splits={"test": PINNED}), "nli/of_it")
    with pytest.raises(DataError) as raised:
        fetch(tmp_path, SplitRef("nli/of_it", "test"), TRAIN)
    assert str(raised.value).startswith("2 could not be fetched (nli/nowhere:test, nli/of_it:test)")
    assert "no source is known" in str(raised.value)
    assert files(tmp_path / "to") == [TRAIN.filename]


def test_a_set_is_made_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    columns = {"premise": "hypothesis", "hypothesis": "premise", "label": "label"}
    swapped = [{new: row[old] for new, old in columns.items()} for row in ROWS]
    split = {"rows": 4, "sha256": rows_sha256(swapped * 2, list(COLUMNS))}
    made = {"made_from": [{"rows": f"{NAME}:train+test", "columns": columns, "source": "a"}]}
    add(monkeypatch, dataset("0" * 64, sources=[made], splits={"all": split}), "nli/swapped")
    ref = SplitRef("nli/swapped", "all")
    to = fetch(tmp_path, ref)
    assert read_rows(to / ref.filename) == [{**row, "source": "a"} for row in swapped * 2]
    # What it is made of is kept for the next time, apart from what was asked for.
    assert files(to) == [ref.filename]
    assert files(tmp_path / "work") == [TEST.filename, TRAIN.filename]
    write_rows(tmp_path / "work" / TEST.filename, ROWS[:1])
    (to / ref.filename).unlink()
    with pytest.raises(DataError, match=r"made of nli/made:test: .* is wrong: 1 rows, expected 2"):
        fetch(tmp_path, ref)


def test_what_lies_elsewhere_is_taken_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, dataset("0" * 64))
    write_rows(tmp_path / "here" / TRAIN.filename, ROWS)
    to = fetch(tmp_path, TRAIN, roots=[tmp_path / "here"])
    assert read_rows(to / TRAIN.filename) == ROWS


def test_a_mirror_of_files_comes_before_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = {"hub": "org/name", "revision": "0" * 40, "splits": {"train": "train"}}
    sources = [hub, source(put(tmp_path, archive()))]
    add(monkeypatch, dataset("0" * 64, sources=sources))
    asked = []
    monkeypatch.setattr(
        "bench.data.fetch.load_from_hub", lambda *given: asked.append(given) or ROWS
    )
    assert read_rows(fetch(tmp_path, TRAIN) / TRAIN.filename) == ROWS
    assert asked == []
    (tmp_path / "to" / TRAIN.filename).unlink()
    fetch(tmp_path, TRAIN, mirror=None)
    assert [given[2] for given in asked] == ["train"]


def test_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's loader, on a folder in place of a repository."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "hf")
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "validation.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    hub = {"hub": str(folder), "revision": "0" * 40, "splits": {"test": "validation"}}
    add(monkeypatch, dataset("0" * 64, sources=[hub], splits={"test": PINNED}))
    assert read_rows(fetch(tmp_path, TEST) / TEST.filename) == ROWS


def test_offline_the_hub_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = {"hub": "org/name", "revision": "0" * 40, "splits": {"test": "test"}}
    add(monkeypatch, dataset("0" * 64, sources=[hub], splits={"test": PINNED}))
    monkeypatch.setattr("bench.data.fetch.load_from_hub", lambda *_: pytest.fail("asked"))
    with pytest.raises(DataError, match="no source"):
        fetch(tmp_path, TEST, offline=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"sources": []},
        {"sources": [source("0" * 64, at="http://example.org/")]},
        {"sources": [source("0" * 64, at="")]},
        {"sources": [source("0")]},
        {"sources": [source("0" * 64, read={"format": "no such"})]},
        {"sources": [source("0" * 64, files=[])]},
        {"sources": [source("0" * 64)], "splits": {"train": {"rows": 1}}},
        {"sources": [{"hub": "a/b", "splits": {"train": "train"}}]},
        {"sources": [{"made_from": []}]},
    ],
)
def test_entries_that_are_not_pinned_are_refused(changes: dict[str, Any]) -> None:
    dataset("0" * 64)
    with pytest.raises(ValidationError):
        dataset("0" * 64, **changes)


def test_addresses_are_relative_to_that_of_their_source() -> None:
    given = {"url": "a folder/x.tsv?raw=1", "sha256": "0" * 64}
    one = FilesSource.model_validate({"at": "https://example.org/y/", "files": [given]})
    assert one.files[0].url == "https://example.org/y/a%20folder/x.tsv?raw=1"
    own = {**given, "url": "https://example.org/x.csv"}
    alone = FilesSource.model_validate(own)
    assert [file.url for file in alone.files] == ["https://example.org/x.csv"]
    assert alone == FilesSource.model_validate({"files": [own]})


def test_tables_of_suites(tmp_path: Path) -> None:
    sha256 = put(tmp_path, b"a,b\nx,1\n", "own.csv")
    table = FilesTable(
        "task own", FilesSource.model_validate({"url": f"{AT}own.csv", "sha256": sha256})
    )
    to = fetch(tmp_path, tables=[table])
    assert read_rows(to / table.filename) == [{"a": "x", "b": "1"}]
    other = FilesTable(
        "task own", FilesSource.model_validate({"url": f"{AT}no.csv", "sha256": sha256})
    )
    with pytest.raises(DataError, match=r"1 could not be fetched \(task own\): .*no\.csv"):
        fetch(tmp_path, tables=[table, other])


def test_the_real_archive_is_in_the_catalog() -> None:
    snli = catalog()["nli/snli_1.0"]
    assert {name: split.rows for name, split in snli.splits.items()} == {
        "train": 549367,
        "dev": 9842,
        "test": 9824,
    }


def test_names() -> None:
    refs = parse_names(["nli/snli", "nli/snli:test", "sts/sts12:test"])
    assert [str(ref) for ref in refs] == ["nli/snli:dev", "nli/snli:test", "sts/sts12:test"]
    assert [str(ref) for ref in parse_names(["sts/sts1[23]", "sts/*b:d*"])] == [
        "sts/sts12:test",
        "sts/sts13:test",
        "sts/stsb:dev",
    ]
    assert len(parse_names(["all"])) == sum(len(one.splits) for one in catalog().values())
    with pytest.raises(UsageError, match="did you mean 'nli/snli'"):
        parse_names(["nli/snlli"])
    with pytest.raises(UsageError, match="has no split 'train'"):
        parse_names(["nli/snli:train"])
    with pytest.raises(UsageError, match="'sst/\\*' matches no data set"):
        parse_names(["sst/*"])


def test_rows_are_identified_by_archive_split_and_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = put(tmp_path, archive())
    add(monkeypatch, dataset(sha256))
    access = DataAccess(
        tmp_path / "to", tmp_path / "cache", FileHashes(tmp_path / "h.json"), offline=True
    )
    with pytest.raises(DataError, match=rf"run 'bench data fetch {NAME}:train' with a network, or"):
        access.rows(f"{NAME}:train")
    to = fetch(tmp_path, TRAIN, TEST)
    assert access.rows(f"{NAME}:train") == ROWS
    first = access.sha256(f"{NAME}:train")
    assert first.startswith(f"{sha256}:train:")
    assert access.sha256(f"{NAME}:train+test") == f"{first}+{access.sha256(f'{NAME}:test')}"
    write_rows(to / TRAIN.filename, [ROWS[0], {**ROWS[1], "premise": "edited"}])
    assert access.sha256(f"{NAME}:train") != first
    write_rows(to / TRAIN.filename, ROWS[:1])
    with pytest.raises(DataError, match="1 rows, expected 2"):
        access.sha256(f"{NAME}:train")


def test_what_is_missing_is_fetched_when_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    access = DataAccess(
        None,
        tmp_path / "cache",
        FileHashes(tmp_path / "h.json"),
        offline=False,
        mirror=f"file://{tmp_path}",
    )
    assert access.rows(f"{NAME}:train") == ROWS
    assert files(tmp_path / "cache") == [TRAIN.filename]


def test_state_of_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, dataset(put(tmp_path, archive())))
    path = fetch(tmp_path, TRAIN) / TRAIN.filename
    content = path.read_bytes()
    assert state(path, TRAIN) == "ok"
    for damaged in (content[:-9], content[:30] + b"\xff" * 20 + content[50:], b"x", b""):
        path.write_bytes(damaged)
        assert state(path, TRAIN).startswith("wrong: ")
    write_rows(path, [{"premise": "a"}])
    assert state(path, TRAIN) == "wrong: a row has no column 'hypothesis'"
    path.unlink()
    assert state(path, TRAIN) == "missing"
