"""What SentEval's engine calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.api import build_method
from bench.integrations.senteval import adapter


def test_prepare_and_batcher_take_token_lists() -> None:
    prepare, batcher = adapter("random")
    samples = [["an", "apple"], [], ["some", "bread"], ["an", "apple"]]
    prepare(None, samples)
    found = batcher(None, samples)
    read_as_bytes: list[Any] = [[word.encode() for word in words] for words in samples]
    assert np.array_equal(batcher(None, read_as_bytes), found)
    encoder = build_method("random")[0].encoder
    assert found.shape == (4, 32)
    assert np.array_equal(found, encoder.encode(["an apple", ".", "some bread", "an apple"]))
