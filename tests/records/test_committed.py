"""Committed records are those of today's settings: a default that moves makes them stale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec
from bench.method import make_method
from bench.records.entries import Record
from bench.records.files import read_record

BASELINES = Path(__file__).parents[2] / "results/baselines"
RECORDS = {path: read_record(path) for path in sorted(BASELINES.rglob("*.json"))}


def moved(record: Record) -> dict[str, Any]:
    """Settings of a record that its spec stands for no more; ones that came later are no sign."""
    spec = parse_method_spec(record.method.spec)
    try:
        method = make_method(spec, record.profile)
    except UsageError as error:
        return {record.method.spec: str(error)}
    now = method.config.model_dump(mode="json")
    return {key: value for key, value in record.method.config.items() if now.get(key, "") != value}


def test_there_are_some() -> None:
    assert len(RECORDS) > 5


@pytest.mark.parametrize("suite", sorted({path.parent.name for path in RECORDS}))
def test_records_are_of_todays_settings(suite: str) -> None:
    stale = {path.name: moved(one) for path, one in RECORDS.items() if path.parent.name == suite}
    assert {name: settings for name, settings in stale.items() if settings} == {}


def test_a_default_that_moved_is_found() -> None:
    record = next(one for one in RECORDS.values() if one.method.spec == "simcse")
    method = record.method.model_copy(update={"config": {**record.method.config, "lr": 1.0}})
    assert moved(record.model_copy(update={"method": method})) == {"lr": 1.0}
