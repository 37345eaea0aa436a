"""Downloads from a server that fails in every way a server can."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.core.errors import DataError, UsageError
from bench.core.progress import Silent
from bench.core.words import megabytes
from bench.data.catalog import SplitRef
from bench.data.download import Downloads, check_mirror
from bench.data.fetch import Fetcher
from bench.data.rows import read_rows
from bench.data.sources import RemoteFile
from tests.support.mirror import NAME, ROWS, Served, add, archive, dataset, put, serve

BODY = bytes(range(256)) * 2_000
SIZE = len(BODY)
SHA256 = hashlib.sha256(BODY).hexdigest()


class Shown(Silent):
    """Keeps the last label and count of a bar."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.label: str | None = None

    def start(self, label: str, total: int) -> None:
        self.total = total

    def advance(self, done: int, label: str | None = None) -> None:
        self.done, self.label = done, label


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server with the file, and pauses between tries that take no time."""
    put(tmp_path, BODY, "x.bin")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("bench.data.download.PAUSE_SECONDS", 0.001)
    with serve(tmp_path) as found:
        yield found


def remote(name: str = "x.bin", **changes: object) -> RemoteFile:
    """The file as a catalog names it."""
    given = {"url": f"https://made.example.org/files/{name}", "sha256": SHA256, "bytes": SIZE}
    return RemoteFile.model_validate({**given, **changes})


def get(folder: Path, served: Served, file: RemoteFile, progress: Silent | None = None) -> Path:
    """Download one file."""
    downloads = Downloads(
        folder / "downloads", mirror=served.address, progress=progress or Silent()
    )
    with downloads.running():
        return downloads.get(file)


def left(folder: Path) -> list[str]:
    """What lies in the folder of downloads."""
    return sorted(path.name for path in (folder / "downloads").iterdir())


def test_a_file_arrives_and_is_counted(served: Served, tmp_path: Path) -> None:
    shown = Shown()
    assert get(tmp_path, served, remote(), shown).read_bytes() == BODY
    assert (shown.done, shown.total, shown.label) == (1, 1, "download, 1 of 1 files, MB")
    assert get(tmp_path, served, remote()).read_bytes() == BODY
    assert served.paths == ["/files/x.bin"]


def test_servers_that_are_busy_are_asked_again(served: Served, tmp_path: Path) -> None:
    served.faults += [500, 503]
    assert get(tmp_path, served, remote()).read_bytes() == BODY
    assert len(served.asked) == 3


@pytest.mark.parametrize("status", [404, 403, 410])
def test_what_is_not_there_is_asked_for_once(served: Served, tmp_path: Path, status: int) -> None:
    served.faults.append(status)
    with pytest.raises(DataError, match=rf"files/x\.bin cannot be fetched: {status} "):
        get(tmp_path, served, remote())
    assert len(served.asked) == 1
    assert left(tmp_path) == []


def test_what_broke_off_goes_on(served: Served, tmp_path: Path) -> None:
    served.faults += [(SIZE // 3, True), (SIZE // 2, True)]
    assert get(tmp_path, served, remote()).read_bytes() == BODY
    ranges = [int(asked.strip("bytes=-")) for _, asked in served.asked[1:] if asked]
    assert served.asked[0][1] is None
    assert len(ranges) == 2
    assert 0 < ranges[0] < ranges[1] < SIZE


def test_a_server_without_ranges_starts_again(served: Served, tmp_path: Path) -> None:
    served.faults += [(SIZE // 3, True), (None, False)]
    assert get(tmp_path, served, remote()).read_bytes() == BODY
    assert len(served.asked) == 2


def test_the_next_run_goes_on(served: Served, tmp_path: Path) -> None:
    served.faults += [(SIZE // 2, True)] + [(0, True)] * 20
    with pytest.raises(DataError, match="the download broke off"):
        get(tmp_path, served, remote())
    assert left(tmp_path) == [f"{SHA256}-x.bin.part"]
    served.faults.clear()
    served.asked.clear()
    assert get(tmp_path, served, remote()).read_bytes() == BODY
    ((_, asked),) = served.asked
    assert asked is not None
    assert SIZE // 4 < int(asked.strip("bytes=-")) <= SIZE // 2


@pytest.mark.parametrize("start", [b"other bytes", BODY, BODY + b"more"])
def test_the_bytes_of_an_earlier_run_are_not_trusted(
    served: Served, tmp_path: Path, start: bytes
) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / f"{SHA256}-x.bin.part").write_bytes(start)
    assert get(tmp_path, served, remote()).read_bytes() == BODY


@pytest.mark.parametrize("content", [BODY[:-1] + b"x", b""])
def test_wrong_bytes_are_named_and_not_kept(served: Served, tmp_path: Path, content: bytes) -> None:
    put(tmp_path, content, "x.bin")
    with pytest.raises(DataError, match=r"files/x\.bin does not have the checksum"):
        get(tmp_path, served, remote(bytes=len(content) or None))
    assert left(tmp_path) == []


def test_a_file_larger_than_it_is_known_to_be_is_given_up(served: Served, tmp_path: Path) -> None:
    put(tmp_path, BODY * 9, "x.bin")
    with pytest.raises(DataError, match=rf"has more than {SIZE} bytes"):
        get(tmp_path, served, remote())
    assert left(tmp_path) == []


@pytest.mark.parametrize("to", ["file:///etc/hostname", "ftp://127.0.0.1/x", "gopher://x/"])
def test_redirects_to_another_scheme_are_refused(served: Served, tmp_path: Path, to: str) -> None:
    served.faults.append(to)
    with pytest.raises(DataError, match=r"redirected to \w+://, which is not followed"):
        get(tmp_path, served, remote())
    assert left(tmp_path) == []


def test_redirects_to_the_same_scheme_are_followed(served: Served, tmp_path: Path) -> None:
    put(tmp_path, BODY, "y.bin")
    served.faults.append("/files/y.bin")
    assert get(tmp_path, served, remote()).read_bytes() == BODY


def test_one_answer_that_breaks_off_condemns_no_host(served: Served, tmp_path: Path) -> None:
    put(tmp_path, BODY, "y.bin")
    served.faults += [(0, True), (100, True)]
    downloads = Downloads(tmp_path / "downloads", mirror=served.address, progress=Silent())
    with downloads.running():
        for name in ("x.bin", "y.bin"):
            assert downloads.get(remote(name)).read_bytes() == BODY


def test_a_host_that_is_down_is_not_waited_for_again(tmp_path: Path) -> None:
    downloads = Downloads(tmp_path, mirror="http://127.0.0.1:1", progress=Silent())
    started = time.perf_counter()
    with downloads.running():
        for number in range(30):
            with pytest.raises(DataError, match="cannot be fetched: Connection refused"):
                downloads.get(remote(sha256=f"{number:064x}"))
    assert time.perf_counter() - started < 20


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    downloads = Downloads(tmp_path, mirror="file:///nowhere", progress=Silent())
    with downloads.running(), pytest.raises(DataError, match="cannot be fetched"):
        downloads.get(remote())


def test_mirrors_and_sizes() -> None:
    for mirror in (None, "", "http://x", "https://x/y", "file:///x"):
        check_mirror(mirror)
    for mirror in ("ftp://x", "http://[", "x", "http://", "file://", "http://x:99999"):
        with pytest.raises(UsageError, match="is not an address"):
            check_mirror(mirror)
    assert [megabytes(size) for size in (40_000, 5_440_000, 29_400_000)] == [
        "0.1 MB",
        "5.4 MB",
        "29 MB",
    ]


def test_a_full_disk(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        with pytest.raises(OSError, match="No space left on device"):
            get(small, served, remote())
        assert not any(path.suffix != ".part" for path in (small / "downloads").iterdir())
        add(monkeypatch, dataset(put(tmp_path, BODY, "made.zip")))
        with pytest.raises(DataError, match=r"small/downloads: No space left on device; make room"):
            Fetcher(
                tmp_path / "to",
                roots=[],
                work=small,
                mirror=served.address,
                offline=False,
                progress=Silent(),
            ).fetch([SplitRef(NAME, "train"), SplitRef(NAME, "test")])
    finally:
        subprocess.run(["umount", str(small)], check=True)


FETCH = (
    "import json, sys\nfrom bench.cli.main import main\n"
    "from bench.data.catalog import Dataset, catalog\n"
    "catalog()['nli/made'] = Dataset.model_validate(json.loads(sys.argv[1]))\n"
    "sys.exit(main(['data', 'fetch', 'nli/made', '--to', 'to', '--mirror', sys.argv[2]]))\n"
)


def _start(folder: Path, sha256: str, served: Served) -> subprocess.Popen[str]:
    entry = dataset(sha256).model_dump_json(exclude_defaults=True)
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, entry, served.address],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(folder),
    )


def _until_asked(served: Served, *runs: subprocess.Popen[str]) -> None:
    """Wait until the server is asked for something, or a run has ended before."""
    while not served.asked:
        for run in runs:
            assert run.poll() is None, run.communicate()
        time.sleep(0.05)


def _environment(folder: Path) -> dict[str, str]:
    own = {"BENCH_CACHE": str(folder / "cache"), "no_proxy": "127.0.0.1"}
    dropped = {"HF_HUB_OFFLINE", "BENCH_DATA", "BENCH_MIRROR"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, **own}


def test_an_interruption_leaves_nothing_that_is_read(served: Served, tmp_path: Path) -> None:
    sha256 = put(tmp_path, archive())
    served.pause = threading.Event()
    with _start(tmp_path, sha256, served) as run:
        _until_asked(served, run)
        run.send_signal(signal.SIGINT)
        served.pause.set()
        _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert err.splitlines()[-1].startswith("bench: interrupted")
    assert not [path for path in (tmp_path / "to").rglob("*") if path.is_file()]
    with _start(tmp_path, sha256, served) as run:
        run.communicate(timeout=60)
    assert run.returncode == 0
    assert read_rows(tmp_path / "to" / NAME / "train.jsonl.gz") == ROWS


def test_two_runs_fetch_the_same_once(served: Served, tmp_path: Path) -> None:
    sha256 = put(tmp_path, archive())
    served.pause = threading.Event()
    runs = [_start(tmp_path, sha256, served) for _ in range(2)]
    _until_asked(served, *runs)
    time.sleep(1)
    served.pause.set()
    outcomes = [(run.communicate(timeout=60), run.returncode) for run in runs]
    assert [code for _, code in outcomes] == [0, 0]
    assert served.paths == ["/files/made.zip"]
