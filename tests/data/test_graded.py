"""Graded pairs: one scale, none twice, none of a test set."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cache import Cache
from bench.data.access import DataAccess
from bench.data.graded import TEST, load_graded


@pytest.mark.data
def test_pairs_are_new_to_every_test_set(data_folder: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    data = DataAccess(data_folder, cache.data, cache.hashes(), offline=True)
    graded = load_graded(data)
    keys = [frozenset(pair) for pair in graded.pairs]
    assert len(set(keys)) == len(keys)
    tested = {
        frozenset((row["sentence1"], row["sentence2"])) for ref in TEST for row in data.rows(ref)
    }
    assert not tested & set(keys)
    assert len(keys) == len(graded.scores) > 9_000
    assert (min(graded.scores), max(graded.scores)) == (0, 1)
