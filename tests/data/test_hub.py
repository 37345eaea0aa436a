"""Files of the hub: one commit on a machine, named in fingerprints; and a hub that is not there."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import DataError
from bench.core.fingerprint import FileHashes
from bench.data.access import DataAccess
from bench.data.corpora import NamedCorpus

REPOSITORY = "princeton-nlp/datasets-for-simcse"
LETTERS = "bcdfghjklmnprst"
TEXT = "".join(
    f"The {a}a{b}o {b}u{c}e, and {c}i{a}a of {a}e{c}u.\n"
    for a in LETTERS
    for b in LETTERS
    for c in "klmn"
).encode()


class _Hub(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        server: Any = self.server
        found = self.path.startswith(f"/datasets/{REPOSITORY}/resolve/")
        self.send_response(200 if found or self.path == "/" else 404)
        self.send_header("ETag", f'"{server.commit}"')
        self.send_header("X-Repo-Commit", server.commit)
        self.send_header("Content-Length", str(len(TEXT)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(TEXT)


@contextmanager
def hub() -> Iterator[Any]:
    """A hub with one file, in the version that its attribute ``commit`` says."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    server.commit = "1" * 40
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def bench(folder: Path, endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Call the command line with another hub, which its library asks for at its import."""
    dropped = {"HF_HUB_OFFLINE", "BENCH_DATA", "BENCH_MIRROR"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    own = {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(folder / "hf"),
        "BENCH_CACHE": str(folder / "cache"),
        "no_proxy": "127.0.0.1",
    }
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**kept, **own}, capture_output=True, text=True, timeout=120
    )


def access(folder: Path, data: str | None = None) -> DataAccess:
    """Access to a cache and a data folder, without a network."""
    hashes = FileHashes(folder / "hashes.json")
    given = folder / data if data else None
    return DataAccess(given, folder / "cache" / "data", hashes, offline=True)


def test_a_corpus_is_known_by_the_commit_of_its_first_download(tmp_path: Path) -> None:
    with hub() as server:
        address = f"http://127.0.0.1:{server.server_port}"
        first = bench(tmp_path, address, "data", "fetch", "corpus:wiki1m")
        assert first.returncode == 0, first.stderr
        assert f"wiki1m_for_simcse.txt of {REPOSITORY}  fetched" in first.stdout
        one = NamedCorpus("wiki1m").fingerprint(access(tmp_path))
        assert NamedCorpus("wiki1m").revisions(access(tmp_path)) == {REPOSITORY: "1" * 40}
        assert (
            NamedCorpus("wiki1m").load(access(tmp_path)).sentences() == TEXT.decode().splitlines()
        )
        server.commit = "2" * 40
        again = bench(tmp_path, address, "data", "fetch", "corpus:wiki1m")
        assert "fetched" not in again.stdout
        assert NamedCorpus("wiki1m").fingerprint(access(tmp_path)) == one
        other = bench(tmp_path, address, "data", "fetch", "corpus:wiki1m", "--to", "mine")
        assert other.returncode == 0, other.stderr
    mine = access(tmp_path, "mine")
    assert NamedCorpus("wiki1m").revisions(mine) == {REPOSITORY: "2" * 40}
    assert NamedCorpus("wiki1m").fingerprint(mine) != one


def test_a_corpus_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run 'bench data fetch corpus:nli' with a network"):
        NamedCorpus("nli").load(access(tmp_path))


def test_the_record_names_the_commit(tmp_path: Path) -> None:
    from bench.records.files import find_records, read_record

    with hub() as server:
        server.commit = "3" * 40
        method = "tfidf[corpus=wiki1m]"
        run = bench(
            tmp_path,
            f"http://127.0.0.1:{server.server_port}",
            *("run", "--suite", "mini", "--methods", method, "--output", "out", "--limit", "60"),
        )
        assert run.returncode == 0, run.stderr
    (record,) = map(read_record, find_records([tmp_path / "out"]))
    assert record.revisions == {REPOSITORY: "3" * 40}


@pytest.mark.parametrize("how", ["refused", "silent"])
def test_a_hub_that_does_not_answer_is_given_up(tmp_path: Path, how: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if how == "silent":
            silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.perf_counter()
        run = bench(tmp_path, address, "data", "fetch", "corpus:wiki1m", "corpus:nli")
        seconds = time.perf_counter() - started
    assert run.returncode == 4
    assert "the hub cannot be reached" in run.stderr.splitlines()[-1]
    # Once for both, and what it takes to start.
    assert seconds < 10 + 15
