"""``bench data``: list, fetch, verify."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.cache import Cache
from bench.data.access import DataAccess
from bench.data.rows import read_rows, rows_sha256, write_rows
from tests.support.mirror import NAME, ROWS, Served, add, archive, dataset, files, put, serve
from tests.support.suites import Bench

TRAIN = f"{NAME}/train.jsonl.gz"
TEST = f"{NAME}/test.jsonl.gz"
PAIRS = [
    {"a": 'one "quoted", with a comma', "b": " blanks kept ", "gold": 1.5},
    {"a": "zwei ü", "b": "two", "gold": 4.0},
]
STS = [{"sentence1": row["a"], "sentence2": row["b"], "score": row["gold"]} for row in PAIRS]
CHANGED = [ROWS[0], {**ROWS[1], "hypothesis": "changed"}]


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server with the archive of a data set of the catalog."""
    add(monkeypatch, dataset(put(tmp_path / "served", archive())))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve(tmp_path / "served") as served:
        yield served


def _cells(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()[2:]]


def test_fetch_once(bench: Bench, mirror: Served, tmp_path: Path) -> None:
    arguments = ("data", "fetch", NAME, "--to", "to", "--mirror", mirror.address)
    code, out, err = bench(*arguments)
    assert code == 0
    assert _cells(out) == [[f"{NAME}:train", "fetched"], [f"{NAME}:test", "fetched"], ["in", "to"]]
    assert f"{NAME}: CC0 for tests; made.example.org/files/made.zip" in err
    assert read_rows(tmp_path / "to" / TRAIN) == ROWS
    code, out, err = bench(*arguments, "--yes")
    assert (code, err) == (0, "")
    assert [cells[1] for cells in _cells(out)] == ["present", "present", "to"]
    assert mirror.paths == ["/files/made.zip"]


def test_fetch_replaces_what_is_wrong(bench: Bench, mirror: Served, tmp_path: Path) -> None:
    write_rows(tmp_path / "to" / TRAIN, ROWS[:1])
    code, _, err = bench("data", "fetch", NAME, "--to", "to", "--mirror", mirror.address)
    assert code == 0
    assert f"{NAME}:train is here, but wrong: 1 rows, expected 2" in err
    assert read_rows(tmp_path / "to" / TRAIN) == ROWS


def test_fetch_goes_to_the_data_folder_or_the_cache(
    bench: Bench, mirror: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_MIRROR", mirror.address)
    arguments = ("data", "fetch", f"{NAME}:train")
    bench(*arguments)
    assert (tmp_path / "cache" / "data" / TRAIN).is_file()
    monkeypatch.setenv("BENCH_DATA", "mine")
    bench(*arguments)
    assert (tmp_path / "mine" / TRAIN).is_file()


def test_the_licence_comes_before_the_first_byte(
    bench: Bench, mirror: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_at: list[int] = []

    def note(_self: object, message: str) -> None:
        if "CC0 for tests" in message:
            asked_at.append(len(mirror.asked))

    monkeypatch.setattr("bench.core.bar.Bar.note", note)
    assert bench("data", "fetch", NAME, "--to", "to", "--mirror", mirror.address)[0] == 0
    assert asked_at == [0]


def test_a_wrong_archive_leaves_nothing(bench: Bench, mirror: Served, tmp_path: Path) -> None:
    put(tmp_path / "served", b"something else")
    code, out, err = bench("data", "fetch", NAME, "--to", "to", "--mirror", mirror.address)
    assert code == 4
    assert [cells[1] for cells in _cells(out)] == ["failed", "failed", "to"]
    assert "nothing was kept" in err
    assert files(tmp_path / "to") == []


def test_fetch_goes_on_after_what_cannot_be_had(
    bench: Bench, mirror: Served, tmp_path: Path
) -> None:
    arguments = ("data", "fetch", "sts/sick:trial", NAME, "--to", "to", "--mirror", mirror.address)
    code, out, err = bench(*arguments)
    assert code == 4
    assert [cells[1] for cells in _cells(out)] == ["failed", "fetched", "fetched", "to"]
    assert "bench: 1 could not be fetched (sts/sick:trial): " in err.splitlines()[-1]
    assert "SICK_trial.txt cannot be fetched: 404" in err.splitlines()[-1]
    assert files(tmp_path / "to") == [TEST, TRAIN]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([NAME, "--mirror", "ftp://host"], 2, "not an address; use http://"),
        ([NAME, "--offline"], 4, "pass --mirror file:///FOLDER"),
        ([NAME, "--offline", "--mirror", "http://127.0.0.1:1"], 4, f"{NAME}:train, {NAME}:test: "),
        (["sts/sts12", "--offline"], 4, "offline, so 0.4 MB in 10 files were not downloaded"),
        (["sts/sick12"], 2, "did you mean"),
        (["sst/*"], 2, "'sst/*' matches no data set"),
        ([f"{NAME}:dev"], 2, "has no split 'dev'; it has: train, test"),
        (["corpus:wiki"], 2, "unknown corpus 'wiki'; choose "),
        ([NAME, "--to", "file"], 2, "file cannot be written"),
        ([], 2, "name data sets, or pass --suite and --methods"),
        (["--suite", "sts8"], 2, "did you mean"),
        (["--methods", "sct[x=1]"], 2, "has no option 'x'"),
    ],
)
def test_what_cannot_be_fetched(
    bench: Bench,
    mirror: Served,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "file").touch()
    got, out, err = bench("data", "fetch", *arguments)
    assert (got, out) == (code, "")
    assert message in err.splitlines()[-1]
    assert mirror.asked == []


@pytest.mark.parametrize("variable", ["BENCH_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_takes_a_folder_only(
    bench: Bench,
    mirror: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, "1")
    arguments = ("data", "fetch", NAME, "--to", "to", "--mirror")
    assert bench(*arguments, mirror.address)[0] == 4
    assert bench(*arguments, f"file://{tmp_path}/served")[0] == 0
    assert read_rows(tmp_path / "to" / TEST) == ROWS


def test_offline_what_is_in_the_cache_is_taken_from_there(
    bench: Bench, mirror: Served, tmp_path: Path
) -> None:
    bench("data", "fetch", NAME, "--mirror", mirror.address)
    code, _, err = bench("data", "fetch", NAME, "--to", "to", "--offline")
    assert code == 0, err
    assert files(tmp_path / "to") == [TEST, TRAIN]
    assert mirror.paths == ["/files/made.zip"]


def test_names_of_splits_are_no_pictures(bench: Bench, mirror: Served) -> None:
    put(Path("served"), b"something else")
    err = bench("data", "fetch", NAME, "--to", "to", "--mirror", mirror.address)[2]
    assert f"{NAME}:train: " in err


def test_list_says_where_data_is(bench: Bench, mirror: Served, tmp_path: Path) -> None:
    write_rows(tmp_path / "mine" / TRAIN, ROWS)
    write_rows(tmp_path / "mine" / "sts/own/test.jsonl.gz", STS)
    write_rows(tmp_path / "cache" / "data" / TEST, ROWS)
    code, out, _ = bench("data", "list", "--data", "mine")
    assert code == 0
    lines = {cells[0]: cells for cells in _cells(out) if cells}
    assert lines[f"{NAME}:"] == [f"{NAME}:", "CC0", "for", "tests"]
    assert lines[f"{NAME}:train"][1:] == ["2", "files", "folder"]
    assert lines[f"{NAME}:test"][1:] == ["2", "files", "cache"]
    assert lines["sts/sick:test"][1:] == ["4,927", "0.6", "files", "–"]
    assert lines["unlabeled/mix:train"][1:] == ["264,581", "made", "–"]
    assert lines["classification/snips_builtin_2016:all"][1:] == ["328", "package", "package"]
    assert lines["sts/own:test"][1:] == ["2", "0.1", "imported", "folder"]
    assert "no source" not in out
    assert max(map(len, out.splitlines())) <= 80
    Path("file").touch()
    for name, reason in (("nowhere", "does not exist"), ("file", "is not a folder")):
        code, _, err = bench("data", "list", "--data", name)
        assert code == 2
        assert err == f"bench: data folder {name} {reason}; correct --data or BENCH_DATA\n"


def test_list_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom bench.cli.main import main\nmain(['data', 'list'])\n"
        "sys.exit(str({'torch', 'datasets', 'mteb', 'pandas'} & set(sys.modules)) != 'set()')\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)


def test_verify_finds_a_changed_row(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = rows_sha256(ROWS, list(ROWS[0]))
    split = {"rows": 2, "sha256": sha256}
    add(monkeypatch, dataset("0" * 64, splits={"train": split, "test": split}))
    write_rows(tmp_path / "mine" / TRAIN, ROWS)
    write_rows(tmp_path / "cache" / "data" / TRAIN, ROWS)
    code, out, _ = bench("data", "verify", "--data", "mine")
    assert code == 0
    assert [f"{NAME}:train", "ok", f"mine/{TRAIN}"] in _cells(out)
    assert [f"{NAME}:train", "ok", str(tmp_path / "cache" / "data" / TRAIN)] in _cells(out)
    assert [f"{NAME}:test", "missing", "–"] in _cells(out)
    write_rows(tmp_path / "mine" / TRAIN, CHANGED)
    code, out, err = bench("data", "verify", f"{NAME}:train", "--data", "mine")
    assert code == 4
    assert "1 of 2 are wrong or missing" in err
    assert _cells(out)[0][:3] == [f"{NAME}:train", "wrong:", "checksum"]
    assert bench("data", "verify", "--data", "mine")[0] == 4


def test_verify_forgets_what_it_knew(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, dataset("0" * 64))
    path = tmp_path / "mine" / TRAIN
    write_rows(path, ROWS)
    access = DataAccess(
        tmp_path / "mine", tmp_path, Cache(tmp_path / "cache").hashes(), offline=True
    )
    access.sha256(f"{NAME}:train")
    monkeypatch.setattr("bench.core.fingerprint.FileHashes.sha256", lambda *_: "2:known")
    path.write_bytes(b"damaged")
    code, out, _ = bench("data", "verify", f"{NAME}:train", "--data", "mine")
    assert code == 4
    assert "wrong: cannot be read" in out


def test_verify_wants_what_is_named(bench: Bench) -> None:
    code, out, err = bench("data", "verify", "sts/sick:test")
    assert code == 4
    assert _cells(out) == [["sts/sick:test", "missing", "–"]]
    assert "1 of 1 are wrong or missing" in err
