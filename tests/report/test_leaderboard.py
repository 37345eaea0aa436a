"""Leaderboards: the commands below a table make its records, and no others."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from bench.core.spec import split_list
from bench.records.entries import ComputeEntry
from bench.records.files import find_records
from bench.report.leaderboard import commands
from bench.report.table import make_table, read_suites
from tests.support.records import record_of, task_of

BASELINES = Path(__file__).parents[2] / "results" / "baselines"


@pytest.mark.parametrize("suite", ["sts7", "sts5", "redundancy", "mini", "minbert"])
def test_commands_make_the_records_of_the_table(suite: str) -> None:
    stored = read_suites(find_records([BASELINES / suite]))[suite]
    records = [record for _, record in stored]
    made = set()
    for command in commands(make_table(suite, stored), records):
        words = shlex.split(command)
        options = dict(zip(words[2::2], words[3::2], strict=True))
        assert options["--suite"] == suite
        for spec in split_list(options["--methods"]):
            made |= {(spec, options["--profile"], n) for n in range(int(options["--seeds"]))}
    assert made == {(one.method.spec, one.profile, one.seed) for one in records}


def test_commands_name_what_computed_the_records(tmp_path: Path) -> None:
    stored = read_suites(find_records([BASELINES / "mini"]))["mini"]
    half = ComputeEntry(backend="openvino", precision="bf16", train_precision="bf16")
    record = record_of("minilm", {"A": task_of("sts", 0.5)}, compute=half, limit=20)
    (command,) = commands(make_table("mini", stored), [record])
    options = "--seeds 1 --limit 20 --backend openvino --precision bf16 --train-precision bf16"
    assert f"{options} --methods minilm" in command
