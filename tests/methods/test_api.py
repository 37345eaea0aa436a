"""Models behind an address: what is asked, what is kept, and what is said when something fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.api import build_method, make_settings
from bench.core.errors import CellError, UsageError
from bench.core.spec import parse_method_spec
from bench.method import make_method, resolve
from bench.methods.api import Api
from bench.methods.parts import endpoint as client_module
from bench.methods.parts.endpoint import EmbeddingClient
from bench.records.entries import Record
from bench.records.files import find_records, read_record
from tests.support.endpoint import DIMENSION, Endpoint, failing, served, vector
from tests.support.notes import Notes
from tests.support.suites import Bench, write_suite

KEY = "sk-secret-0123456789"
TEXTS = [f"text number {i}" for i in range(7)]


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(client_module, "_BACKOFF", 0.001)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with served() as one:
        yield one


def run(bench: Bench, suite: Path, spec: str) -> tuple[int, str]:
    code, _, err = bench("run", "--suite", suite, "--methods", spec)
    return code, err


def the_record() -> Record:
    (path,) = find_records([Path("results/runs")])
    return read_record(path)


def only_line(err: str, what: str) -> str:
    """The line that tells of the failure; there is no traceback beside it."""
    assert "Traceback" not in err
    # Once as it happens, and once at the end.
    lines = [line for line in err.splitlines() if what in line]
    assert 1 <= len(lines) <= 2, err
    return lines[0]


def test_a_run_asks_each_text_once_in_batches(
    bench: Bench, endpoint: Endpoint, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path)
    code, err = run(bench, suite, endpoint.spec("batch_size=8"))
    assert code == 0, err
    texts = endpoint.texts
    assert len(texts) == len(set(texts)) == 60
    assert max(len(body["input"]) for body in endpoint.asked) == 8
    record = the_record()
    assert record.dimension == DIMENSION
    assert record.parameters is None
    # One text goes along with each request but the first, which is of it alone.
    along = 8 * (len(endpoint.asked) - 1)
    assert record.encoding.tokens == sum(len(text.split()) for text in texts) + along
    told = (record.training or {})["endpoint"]
    assert told["told_model"] == "tiny-v2"
    assert "not known" in told["identity"]
    asked = len(endpoint.asked)
    assert run(bench, suite, endpoint.spec("batch_size=8"))[0] == 0
    assert len(endpoint.asked) == asked


def test_vectors_are_those_of_the_server_in_order(endpoint: Endpoint) -> None:
    encoder: Any = build_method(endpoint.spec("batch_size=3"))[0].encoder
    np.testing.assert_array_equal(
        encoder.encode(TEXTS), np.array([vector(text) for text in TEXTS], np.float32)
    )
    assert encoder.encode([]).shape == (0, DIMENSION)


def test_prompts_go_before_texts(bench: Bench, endpoint: Endpoint, tmp_path: Path) -> None:
    encoder: Any = build_method(endpoint.spec('prompt="p: ",query_prompt="q: "'))[0].encoder
    encoder.encode(["a"], role="query")
    encoder.encode(["b"], role="document")
    encoder.encode(["c"])
    assert endpoint.texts == ["q: a", "p: b", "p: c"]
    suite = write_suite(tmp_path)
    suite.write_text(suite.read_text().replace("[[tasks]]", '[prompts]\nsts = "s: "\n[[tasks]]'))
    assert run(bench, suite, endpoint.spec())[0] == 0
    assert all(text.startswith("s: ") for text in endpoint.texts[3:])


def test_dimensions_are_asked_for(endpoint: Endpoint) -> None:
    encoder: Any = build_method(endpoint.spec("dimensions=4"))[0].encoder
    assert encoder.encode(TEXTS).shape == (7, 4)
    assert {body["dimensions"] for body in endpoint.asked} == {4}
    endpoint.shortens = False
    with pytest.raises(CellError, match=r"vectors of 8 numbers where dimensions=4 was asked for"):
        build_method(endpoint.spec("dimensions=4"))


def test_the_key_is_sent_and_kept_nowhere(
    bench: Bench, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.key = KEY
    monkeypatch.setenv("MY_KEY", KEY)
    code, err = run(bench, write_suite(tmp_path), endpoint.spec("key_env=MY_KEY"))
    assert code == 0, err
    assert {one["Authorization"] for one in endpoint.headers} == {f"Bearer {KEY}"}
    monkeypatch.setenv("MY_KEY", KEY + "-wrong")
    code, said = run(bench, write_suite(tmp_path), endpoint.spec("key_env=MY_KEY,revision=2"))
    assert code == 3
    line = only_line(said, "answered 401")
    assert "the key that the variable of key_env holds is refused" in line
    for path in [*Path().rglob("*"), *tmp_path.rglob("*")]:
        if path.is_file():
            assert KEY.encode() not in path.read_bytes()
    assert KEY not in err + said


def test_without_a_key_it_is_said_where_it_goes(
    bench: Bench, endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint.key = KEY
    suite = write_suite(tmp_path)
    code, err = run(bench, suite, endpoint.spec())
    assert code == 3
    assert "as key_env=OPENAI_API_KEY" in only_line(err, "answered 401")
    code, err = run(bench, suite, endpoint.spec("key_env=OPENAI_API_KEY"))
    assert code == 3
    only_line(err, "the environment variable OPENAI_API_KEY, which key_env names, is not set")
    # Keys of the user's own files are for others.
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login me password {KEY}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    run(bench, suite, endpoint.spec("revision=2"))
    assert "Authorization" not in endpoint.headers[-1]


@pytest.mark.parametrize("status", [429, 500, 503, 0])
def test_it_asks_again(endpoint: Endpoint, status: int) -> None:
    endpoint.answers = lambda number, body: failing(status) if number % 3 else None
    notes = Notes()
    client = EmbeddingClient(endpoint.url, "tiny", retries=2, note=notes.note)
    for text in TEXTS:
        assert client.embed([text])[0].tolist() == pytest.approx(vector(text))
    assert len(endpoint.asked) == 21
    assert len([note for note in notes.found if "asked again" in note]) == 14


def test_it_waits_as_long_as_the_server_asks(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    after = iter(["7", "9999"])
    endpoint.answers = lambda number, body: (
        failing(429, Retry_After=next(after)) if number < 3 else None
    )
    EmbeddingClient(endpoint.url, "tiny", retries=2, note=Notes().note).embed(["a"])
    assert waits == [7, 120]


def test_no_more_requests_a_minute_than_are_allowed(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.append(clock.pop() + seconds))
    client = EmbeddingClient(endpoint.url, "tiny", per_minute=30, note=Notes().note)
    for text in TEXTS:
        client.embed([text])
    assert clock[0] == pytest.approx(100 + 6 * 2)


@pytest.mark.parametrize("status", [429, 500, 0])
def test_what_was_received_is_kept_when_the_server_fails(
    bench: Bench, endpoint: Endpoint, tmp_path: Path, status: int
) -> None:
    suite = write_suite(tmp_path)
    endpoint.answers = lambda number, body: failing(status, "busy") if number > 4 else None
    code, err = run(bench, suite, endpoint.spec("batch_size=10"))
    assert code == 3
    line = only_line(err, "what was received is kept")
    assert ("cannot be reached" if status == 0 else f"answered {status}: busy") in line
    # The probe and three batches were answered.
    received = {text for body in endpoint.asked[1:4] for text in body["input"][:-1]}
    assert len(received) == 27
    endpoint.asked.clear()
    endpoint.answers = lambda number, body: None
    code, err = run(bench, suite, endpoint.spec("batch_size=10"))
    assert code == 0, err
    assert len(endpoint.texts) == 33
    assert not received & set(endpoint.texts)


def test_a_server_that_is_not_there(bench: Bench, tmp_path: Path) -> None:
    with served() as endpoint:
        spec = endpoint.spec()
    code, err = run(bench, write_suite(tmp_path), spec)
    assert code == 3
    assert "(Connection refused), asked once" in only_line(err, "cannot be reached")


def test_another_model_behind_the_address_is_refused(
    bench: Bench, endpoint: Endpoint, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path)
    assert run(bench, suite, endpoint.spec("batch_size=10"))[0] == 0
    endpoint.seed = "other"
    spec = endpoint.spec("batch_size=11")
    # All vectors are here, and may be of another model than what answers now.
    code, err = run(bench, suite, spec)
    assert code == 3
    assert "another model answers now; set revision" in only_line(err, "than before (cosine")
    code, err = run(bench, suite, endpoint.spec("revision=b"))
    assert code == 0, err


@pytest.mark.parametrize("size", [1, 10])
def test_a_model_that_changes_in_the_middle_of_a_run_is_never_mixed(
    bench: Bench, endpoint: Endpoint, tmp_path: Path, size: int
) -> None:
    suite = write_suite(tmp_path)

    def change(number: int, body: dict[str, Any]) -> None:
        endpoint.seed = "other" if number > 4 else ""

    endpoint.answers = change
    code, err = run(bench, suite, endpoint.spec(f"batch_size={size}"))
    assert code == 3
    assert "another model answers now; set revision" in only_line(err, "than before (cosine")
    # What the first model has answered is kept, and goes on only with it.
    endpoint.answers = lambda number, body: None
    endpoint.seed = ""
    code, err = run(bench, suite, endpoint.spec(f"batch_size={size}"))
    assert code == 0, err
    mixed = the_record().average
    code, err = run(bench, suite, endpoint.spec("revision=whole"))
    assert code == 0, err
    assert {read_record(path).average for path in find_records([Path("results/runs")])} == {mixed}


def test_what_is_not_whole_is_told_before_anything_runs(bench: Bench, tmp_path: Path) -> None:
    for spec in ("api", "api[model=m]", "api[base_url=http://127.0.0.1:1/v1]"):
        code, err = run(bench, write_suite(tmp_path), spec)
        assert code == 2
        assert "api needs an address and the name of a model" in only_line(err, "api needs")


def identity(spec: str) -> str:
    parsed = parse_method_spec(spec)
    return make_settings(profile="local").models.identity(make_method(parsed, "local"))


def test_only_what_is_asked_for_is_part_of_the_identity(endpoint: Endpoint) -> None:
    usual = identity(endpoint.spec())
    for option in ("batch_size=2", "per_minute=9", "key_env=A"):
        assert identity(endpoint.spec(option)) == usual
    for option in ("dimensions=4", "revision=2", "prompt=a", "document_prompt=a"):
        assert identity(endpoint.spec(option)) != usual


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((200, {}, b"<html>"), r"is not of OpenAI's form"),
        ((200, {}, b'{"data": [{"embedding": [null], "index": 0}]}'), r"data.0.embedding.0"),
        ((200, {}, b'{"data": []}'), r"has 0 vectors for 1 texts"),
        (
            (200, {}, b'{"data": [{"embedding": [1], "index": 3}]}'),
            r"numbered 3, where each text has one",
        ),
        ((200, {}, b'{"data": [{"embedding": [1, 2, 3]}]}'), r"of 3 numbers, and earlier ones had"),
        ((307, {"Location": "http://other/v1"}, b""), r"as base_url: http://other/v1"),
        (
            (404, {}, b'{"detail": "no model tiny"}'),
            r"answered 404: no model tiny; look at base_url",
        ),
        ((400, {}, b"input is too long"), r"answered 400: input is too long"),
    ],
)
def test_other_answers_are_told_in_one_line(endpoint: Endpoint, answer: Any, message: str) -> None:
    client = EmbeddingClient(endpoint.url, "tiny", retries=0, note=Notes().note)
    client.embed(["first"])
    endpoint.answers = lambda number, body: answer
    with pytest.raises(CellError, match=message) as raised:
        client.embed(["a"])
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("api", "api needs an address and the name of a model"),
        ("api[model=a,base_url=ftp://x]", "expected an address such as"),
        ("api[model=a,base_url=http://me:word@host/v1]", "name the variable that holds the key"),
        ("api[model=a,base_url=http://host/v1?key=b]", "name the variable that holds the key"),
        ("api[model=a,base_url=http://h/v1,key_env=sk-12]", "the name of an environment variable"),
        ("api[model=a,base_url=http://h.example/v1]", "cannot be asked offline"),
    ],
)
def test_what_cannot_be_asked(
    bench: Bench, tmp_path: Path, spec: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_OFFLINE", "1")
    code, err = run(bench, write_suite(tmp_path), spec)
    assert code in (2, 3, 4)
    only_line(err, message)


def test_the_address_is_the_same_however_it_is_written() -> None:
    config = Api.Config(base_url="http://h/v1/embeddings/")
    assert config.base_url == "http://h/v1"
    with pytest.raises(UsageError, match="no option 'url'"):
        resolve(Api, parse_method_spec("api[url=http://h]"), "local")
