"""What stands for a method that is not named: hub ids and folders."""

from __future__ import annotations

import pytest

from bench.core.errors import DataError, UsageError
from bench.core.spec import is_called, parse_method_spec
from bench.execution.settings import make_settings


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        (
            "sentence-transformers/all-MiniLM-L6-v2",
            "sbert@sentence-transformers/all-MiniLM-L6-v2",
        ),
        ("org/name@v1.0", "sbert@org/name[revision=v1.0]"),
        ("org/name@refs/pr/1[prompt=a]", "sbert@org/name[prompt=a,revision=refs/pr/1]"),
        ("./my-model", "sbert@./my-model"),
        ("../x@y[pooling=cls]", "sbert@../x@y[pooling=cls]"),
        ("/abs/model", "sbert@/abs/model"),
        ("models/mine/best", "sbert@models/mine/best"),
        (".", "sbert@."),
        ("simcse@./folder", "simcse@./folder"),
        ("mteb@org/name", "mteb@org/name"),
    ],
)
def test_the_spec_that_is_meant(written: str, canonical: str) -> None:
    spec = parse_method_spec(written)
    assert str(spec) == canonical
    assert parse_method_spec(str(spec)) == spec


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert parse_method_spec("~/model").checkpoint == "/home/me/model"


def test_a_label_stays_a_label() -> None:
    assert parse_method_spec("org/name[label=ours]").label == "ours"


@pytest.mark.parametrize("text", ["x.py", "./x.py:Mine", "/tmp/x.py:Mine[a=1]", "x.py:Mine"])
def test_what_is_read_runs_no_file(text: str) -> None:
    with pytest.raises(UsageError, match="file of Python, which runs only where"):
        parse_method_spec(text)


def test_a_revision_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="'revision' is given twice"):
        parse_method_spec("org/name@v1[revision=v2]")


def test_what_is_asked_for_by_a_hub_id() -> None:
    assert is_called("org/name", "sbert@org/name", None)
    assert is_called("org/name", "org/name", None)
    assert is_called("sbert", "sbert@org/name", None)
    # A model of mteb's result files is none of sbert's.
    assert not is_called("sbert", "org/name", None)


def test_a_folder_that_is_not_there_is_asked_of_nobody() -> None:
    settings = make_settings(profile="smoke")
    for name in ("./nothere", "../nothere", "/nothere"):
        with pytest.raises(DataError, match="neither a method, an existing folder nor a hub id"):
            settings.models.fingerprint(name)
