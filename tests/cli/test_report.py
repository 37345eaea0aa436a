"""``bench report`` and ``bench view``: what they write, refuse and serve."""

from __future__ import annotations

import http.client
import json
import shutil
import sys
import threading
from pathlib import Path

import pytest

from tests.support.charts import drawing
from tests.support.suites import Bench

MINI = Path(__file__).parents[2] / "results" / "baselines" / "mini"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Two committed methods."""
    drawing("html.page")
    folder = tmp_path / "two"
    folder.mkdir()
    for path in [*MINI.glob("random-*"), *MINI.glob("tfidf-*")]:
        shutil.copy(path, folder)
    return folder


def test_a_report_with_pictures(bench: Bench, records: Path) -> None:
    code, out, err = bench("report", records, "-o", "a.html", "--plot", "pictures")
    assert (code, err) == (0, "")
    pictures = sorted(path.name for path in Path("pictures").iterdir())
    assert pictures == ["mini-cost.svg", "mini-geometry.svg", "mini-tasks.svg"]
    assert out.splitlines()[-1].startswith("a.html (0.")
    text = Path("a.html").read_text()
    # The rows of mini come with the package, under a licence that lets them be shown.
    assert "The kettle has just boiled." in text
    assert bench("report", records, "-o", "b.html")[0] == 0
    assert Path("b.html").read_text() == text
    code, out, _ = bench("report", records, "--plot", "pictures", "--plot-format", "png")
    assert (code, Path("pictures/mini-cost.png").read_bytes()[1:4]) == (0, b"PNG")


def test_a_difference_of_two_folders(bench: Bench, records: Path, tmp_path: Path) -> None:
    now = tmp_path / "now"
    shutil.copytree(records, now)
    for path in now.glob("random-*"):
        path.unlink()
    code, _, err = bench("report", "--diff", records, now, "-o", "diff.html")
    assert (code, err) == (0, "")
    text = Path("diff.html").read_text()
    assert "<b>1</b> no difference shown" in text
    assert "random" in text
    assert f"only in {records}" in text
    code, _, err = bench("report", records, "--diff", records, now)
    assert (code, "--diff names both folders" in err) == (2, True)
    for path in now.glob("tfidf-*"):
        path.unlink()
    code, _, err = bench("report", "--diff", records, now)
    assert (code, "no method on one suite in common" in err) == (4, True)


def test_what_cannot_be_reported(
    bench: Bench, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = bench("report", "empty")
    assert (code, err) == (4, "bench: no records found to show; 'bench run' writes them\n")
    code, _, err = bench("report", records, "--suite", "sts7")
    assert (code, err) == (4, "bench: no records of suite sts7, only of mini\n")
    (tmp_path / "file").touch()
    code, _, err = bench("report", records, "-o", "file/report.html")
    assert (code, "choose another -o" in err) == (2, True)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    code, _, err = bench("report", records)
    assert (code, err) == (
        2,
        "bench: bench report needs vl-convert: pip install 'sentence-bench[report]'\n",
    )


def test_only_this_machine_is_served() -> None:
    server = drawing("html.server").make_server("<p>page", {"/items-0.json": lambda: "[1]"}, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    host, port = server.server_address

    def ask(path: str, name: str = f"127.0.0.1:{port}") -> tuple[int, str]:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        connection.request("GET", path, headers={"Host": name})
        response = connection.getresponse()
        return response.status, response.read().decode()

    try:
        assert host == "127.0.0.1"
        assert ask("/") == (200, "<p>page")
        assert json.loads(ask("/items-0.json")[1]) == [1]
        assert ask("/../pyproject.toml")[0] == 404
        assert ask("/", "evil.example")[0] == 403
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
