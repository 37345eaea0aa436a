"""STS scoring on hand-made cases."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from bench.errors import CellError
from bench.metrics.cosine import cosine_float64, cosine_mteb
from bench.suite import StsSpec
from bench.tasks.sts import StsTask

GOLD = [0.0, 1.0, 2.0, 3.0, 1.0, 2.0]
SUBSETS = ["a", "a", "a", "a", "b", "b"]


def _task(aggregation: str, convention: str = "senteval") -> StsTask:
    rows = [
        {"sentence1": f"s{i}", "sentence2": f"t{i}", "score": gold, "subset": subset}
        for i, (gold, subset) in enumerate(zip(GOLD, SUBSETS, strict=True))
    ]
    spec = StsSpec(name="T", kind="sts", data="x", aggregation=aggregation)
    return StsTask(spec, {"test": rows}, convention)


def _vectors(cosines: list[float]) -> dict[str, np.ndarray]:
    angles = np.arccos(cosines)
    left = np.tile([1.0, 0.0], (len(cosines), 1)).astype(np.float32)
    right = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    return {"sentence1": left, "sentence2": right}


COSINES = [0.1, 0.3, 0.2, 0.9, 0.8, 0.7]


def test_all_mean_and_wmean_differ_as_defined() -> None:
    first = spearmanr(COSINES[:4], GOLD[:4]).statistic
    second = spearmanr(COSINES[4:], GOLD[4:]).statistic
    assert second == pytest.approx(-1)
    scores = {how: _task(how).score(_vectors(COSINES), 0).main for how in ("all", "mean", "wmean")}
    assert scores["all"] == pytest.approx(spearmanr(COSINES, GOLD).statistic)
    assert scores["mean"] == pytest.approx((first + second) / 2)
    assert scores["wmean"] == pytest.approx((4 * first + 2 * second) / 6)


def test_a_constant_encoder_has_no_score() -> None:
    with pytest.raises(CellError, match="same similarity"):
        _task("all").score(_vectors([1.0] * 6), 0)


def test_replicates_are_paired_over_methods() -> None:
    one = _task("all").score(_vectors(COSINES), 7).replicates
    same = _task("all").score(_vectors(COSINES), 7).replicates
    assert np.array_equal(one, same, equal_nan=True)


def test_cosine_is_scale_free_and_zero_vectors_score_zero() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 9, 5)).astype(np.float32)
    assert cosine_float64(3 * a, b) == pytest.approx(cosine_float64(a, b), abs=1e-6)
    assert cosine_mteb(a, b) == pytest.approx(cosine_float64(a, b), abs=1e-6)
    a[0] = 0
    assert cosine_float64(a, b)[0] == 0
