"""SentEval's probe of relatedness on vectors of pairs, where nobody named dev rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bench.core.errors import CellError
from bench.method import LabelledTexts
from bench.tasks.probes import senteval_relatedness
from bench.tasks.probes.frozen import FrozenScorer
from tests.support.classifiers import asked


def _numbers(texts: Sequence[str]) -> Any:
    return np.array([[float(text)] for text in texts], dtype=np.float32)


def _first(columns: Sequence[Any]) -> Any:
    return columns[0]


def _rows(count: int) -> LabelledTexts:
    return LabelledTexts([(str(i), str(i)) for i in range(count)], [float(i) for i in range(count)])


def _parts(train: LabelledTexts, monkeypatch: pytest.MonkeyPatch) -> tuple[list[float], ...]:
    """Rows that the probe learns from, and those that it stops on."""
    seen: list[tuple[list[float], ...]] = []

    def predict(fit: Any, held: Any, x: Any, _classes: int, _device: str) -> Any:
        for features, gold in (fit, held):
            assert features[:, 0].tolist() == gold.tolist()
        seen.append((fit[1].tolist(), held[1].tolist()))
        return np.zeros(len(x))

    monkeypatch.setattr(senteval_relatedness, "predict_scores", predict)
    assert asked(FrozenScorer(_numbers, _first, 5), [("7", "8")], train).labels == [0.0]
    return seen[0]


def test_a_fifth_of_the_training_rows_is_stopped_on(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, held = _parts(_rows(50), monkeypatch)
    assert (len(fit), len(held)) == (40, 10)
    assert sorted(fit + held) == [float(i) for i in range(50)]
    assert held != sorted(held)
    assert _parts(_rows(50), monkeypatch) == (fit, held)


def test_too_few_rows_to_spare_any() -> None:
    with pytest.raises(CellError, match="needs dev rows to stop on"):
        asked(FrozenScorer(_numbers, _first, 5), [("1", "2")], _rows(4))
