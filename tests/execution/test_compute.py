"""Runs in other precisions and by other backends: their records, tables and gates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.execution import runner
from bench.models import devices
from tests.support.models import tiny_bert
from tests.support.suites import Bench

SUITE = """name = "pairs"
title = "x"
convention = "simcse"
average = ["sts"]
[[tasks]]
name = "sts"
kind = "sts"
data = { file = "rows.tsv" }
"""


@pytest.fixture
def pairs(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite of forty pairs, and a model."""
    monkeypatch.setattr(devices, "_cpu_flags", lambda: frozenset({"avx512_bf16"}))
    lines = [f"{'a b c d e f g'[: 2 * i % 13 + 1]} {i}\tb c d\t{i * 7 % 11}" for i in range(40)]
    (tmp_path / "rows.tsv").write_text("sentence1\tsentence2\tscore\n" + "\n".join(lines) + "\n")
    (tmp_path / "pairs.toml").write_text(SUITE)
    tiny_bert(tmp_path / "model")
    return tmp_path


def run(bench: Bench, output: str, *options: str) -> str:
    code, out, err = bench(
        "run", "-s", "pairs.toml", "-m", "sbert@./model,random", "-o", output, *options
    )
    assert code == 0, err
    return out


def records(folder: Path) -> dict[str, dict]:
    read = [json.loads(path.read_text()) for path in folder.rglob("*-seed0.json")]
    return {f"{one['method']['name']} {one['compute']['precision']}": one for one in read}


def test_records_of_two_precisions_stand_beside_each_other(bench, pairs) -> None:
    assert "Computed by" not in run(bench, "runs")
    out = run(bench, "runs", "--precision", "bf16")
    assert "torch bf16" in out
    assert "The others were computed in fp32 by torch or by themselves." in out.replace("\n", " ")
    both = records(pairs / "runs")
    assert set(both) == {"sbert fp32", "sbert bf16", "random None"}
    one, half = both["sbert fp32"], both["sbert bf16"]
    assert one["compute"] == {"backend": "torch", "precision": "fp32", "train_precision": None}
    assert one["model_fingerprint"] == half["model_fingerprint"]
    assert one["cell_fingerprint"] != half["cell_fingerprint"]
    code, out, _ = bench("table", "runs")
    assert code == 0
    assert out.count("sbert@") == 2


def test_vectors_of_two_precisions_are_kept_apart(bench, pairs) -> None:
    run(bench, "runs")
    out = run(bench, "half", "--precision", "bf16")
    assert "torch bf16" in out
    one, half = records(pairs / "runs")["sbert fp32"], records(pairs / "half")["sbert bf16"]
    assert half["encoding"]["encoded"] == half["encoding"]["distinct"] > 0
    assert one["average"] == pytest.approx(half["average"], abs=0.02)
    assert one["items_sha256"] != half["items_sha256"]


def test_the_gate_and_the_comparison_say_what_computed(bench, pairs) -> None:
    run(bench, "before")
    run(bench, "now", "--precision", "bf16")
    code, out, err = bench("gate", "now", "--baseline", "before", "--fail-on", "avg:50")
    assert code == 0, err
    assert "computed by torch bf16 now, by torch fp32 in the baseline" in (out + err).replace(
        "\n", " "
    )
    code, out, err = bench("compare", "before/pairs", "now/pairs")
    assert code == 2
    now, before = (
        next(path for path in (pairs / folder).rglob("sbert*-seed0.json"))
        for folder in ("now", "before")
    )
    code, out, err = bench("compare", str(now), str(before))
    assert code == 0, err
    assert "(torch bf16)" in out


def test_a_gate_of_two_setups_names_them(bench, pairs) -> None:
    run(bench, "before", "--precision", "bf16")
    for precision in ("fp16", "fp32"):
        devices._cpu_flags = lambda: frozenset({"avx512_fp16"})  # restored by the fixture
        run(bench, "now", "--precision", precision)
    code, _, err = bench("gate", "now", "--baseline", "before")
    assert code == 2
    assert "was computed by" in err
    assert "in the baseline by torch bf16; keep one of them" in err


def test_a_processor_without_instructions_computes_in_fp32_and_says_so(
    bench, pairs, monkeypatch
) -> None:
    monkeypatch.setattr(devices, "_cpu_flags", frozenset)
    code, out, err = bench(
        "run", "-s", "pairs.toml", "-m", "sbert@./model", "-o", "runs", "--precision", "bf16"
    )
    assert code == 0, err
    assert err.count("the cpu has no instructions for bf16; fp32 is used") == 1
    assert "Computed by" not in out


def test_complete_cells_convert_nothing(bench, pairs, monkeypatch) -> None:
    run(bench, "runs", "--precision", "bf16")
    monkeypatch.setattr(runner, "encode_tasks", lambda *_: pytest.fail("encoded again"))
    run(bench, "runs", "--precision", "bf16")
