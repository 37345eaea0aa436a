"""Parts of an encoding leave the vectors that one worker would, to the last bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from bench.core.progress import Silent
from bench.encoding.batches import CPU_LIMITS
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column, Columns
from bench.encoding.part import EncodingPart
from tests.support.saved_models import SHAPES, WORDS, save


def texts(start: int, stop: int) -> list[str]:
    """Different texts of one to nine words."""
    return [f"{' '.join(WORDS[: 1 + number % 9])} {number}" for number in range(start, stop)]


# Suites one after the other; half of the second's texts are the first's too.
SUITES: list[Columns] = [
    {("a", "text"): Column(texts(0, 900))},
    {("b", "text"): Column(texts(450, 1300)), ("b", "query"): Column(texts(0, 40), role="query")},
]


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    return SentenceTransformer(str(save(SHAPES["prompts"], tmp_path / "model")), device="cpu")


def whole(model: SentenceTransformer, folder: Path) -> tuple[list[np.ndarray], int]:
    encoded = [
        encode_columns(model, suite, model_fingerprint="m", folder=folder, progress=Silent())
        for suite in SUITES
    ]
    vectors = [one for of_suite in encoded for one in of_suite.vectors.values()]
    return vectors, sum(one.encoded for one in encoded)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_parts_leave_what_one_worker_would(
    model: SentenceTransformer, tmp_path: Path, count: int
) -> None:
    expected, encoded = whole(model, tmp_path / "one")
    assert encoded == 1340
    sizes = []
    # No worker sees what the others leave before the end, as on machines without a shared folder.
    for number in range(count):
        part = EncodingPart(number, count, tmp_path / str(number), Silent())
        for suite in SUITES:
            part.encode(model, suite, model_fingerprint="m")
        sizes.append(len(part.written))
        for path in part.written:
            place = tmp_path / "all" / path.relative_to(tmp_path / str(number))
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    assert all(sizes)
    found, encoded = whole(model, tmp_path / "all")
    assert encoded == 0
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


def test_a_part_that_was_lost_is_encoded_behind_the_others(
    model: SentenceTransformer, tmp_path: Path
) -> None:
    expected, _ = whole(model, tmp_path / "one")
    part = EncodingPart(1, 2, tmp_path / "rest", Silent())
    for suite in SUITES:
        part.encode(model, suite, model_fingerprint="m")
    found, encoded = whole(model, tmp_path / "rest")
    assert 0 < encoded < 1340
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)
    assert CPU_LIMITS.texts < 1340
