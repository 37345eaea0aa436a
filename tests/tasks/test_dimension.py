"""Kind dimension: TwoNN of a fixed sample, which is the same for all methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.core.errors import CellError
from bench.metrics.intrinsic_dimension import nearest_distances, twonn
from bench.suite import DimensionSpec
from bench.tasks import dimension
from bench.tasks.dimension import DimensionTask

SPEC = DimensionSpec(name="T", kind="dimension", data="x")


def task(texts: Sequence[str]) -> DimensionTask:
    return DimensionTask(SPEC, {"test": [{"text": text} for text in texts]}, "senteval")


def gaussian(n: int, size: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(n, size)).astype(np.float32)


def test_the_score_is_twonn_in_hundredths() -> None:
    vectors = gaussian(400)
    score = task([f"t{i}" for i in range(400)]).score({"text": vectors}, 0)
    assert score.main == pytest.approx(twonn(nearest_distances(vectors)) / 100)
    assert score.metrics == {"twonn": score.main, "vectors": 400.0}
    assert score.items is not None and score.replicates is not None
    ratios = -np.log(score.items["value"])
    assert score.main == pytest.approx(0.01 / ratios.mean())
    low, high = np.percentile(score.replicates, [2.5, 97.5])
    assert low < score.main < high
    # The standard error of a rate is 1 / √n of it.
    assert np.std(score.replicates) == pytest.approx(score.main / 20, rel=0.2)


def test_texts_without_a_vector_of_their_own_are_left_out() -> None:
    vectors = gaussian(50)
    known = task([f"t{i}" for i in range(50)]).score({"text": vectors}, 0)
    more = np.vstack([np.zeros((1, 5), np.float32), vectors, vectors[:3]])
    score = task([f"t{i}" for i in range(54)]).score({"text": more}, 0)
    assert score.main == pytest.approx(known.main)
    assert score.metrics["vectors"] == 50
    assert score.items is not None
    assert (np.flatnonzero(score.items["value"] == 0) == [0, 51, 52, 53]).all()
    assert score.replicates is not None and np.isfinite(score.replicates).all()


def test_the_sample_follows_from_the_texts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dimension, "SENTENCES", 10)
    texts = [f"t{i}" for i in range(40)]
    first = task([*texts, *texts])
    assert len(first.rows) == len(set(first.texts()["text"].texts)) == 10
    again = task(texts[::-1])
    assert set(again.texts()["text"].texts) == set(first.texts()["text"].texts)
    assert first.item_rows() == first.rows
    monkeypatch.setattr(dimension, "SENTENCES", 20)
    assert set(first.texts()["text"].texts) < set(task(texts).texts()["text"].texts)


def test_spellings_of_one_text_count_once() -> None:
    spelt = [form for i in range(30) for form in (f"Text {i}.", f"text {i}!", f"TEXT  {i}")]
    first, again = task([*spelt, "?!", "..."]), task(["...", "?!", *spelt[::-1]])
    assert len(first.rows) == 32
    assert set(first.texts()["text"].texts) == set(again.texts()["text"].texts)


def test_what_has_no_dimension_fails() -> None:
    three = task(["a", "b", "c"])
    with pytest.raises(CellError, match="T: 2 of 3 texts have a vector of their own"):
        three.score({"text": np.eye(3, dtype=np.float32)[[0, 1, 1]]}, 0)
    with pytest.raises(CellError, match="T: all neighbours are equally far"):
        three.score({"text": np.eye(3, dtype=np.float32)}, 0)
