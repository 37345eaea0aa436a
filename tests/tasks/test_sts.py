"""STS scoring on hand-made cases."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from bench.core.errors import CellError, DataError
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


def _rows_of_subsets(gold: dict[str, list[float]]) -> list[dict[str, object]]:
    return [
        {"sentence1": f"{name}{i}", "sentence2": "t", "score": score, "subset": name}
        for name, scores in gold.items()
        for i, score in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("gold", "message"),
    [
        ({"a": [1, 2, 3], "b": [4]}, "task T, subset 'b': has one row"),
        (
            {"a": [1, 2], "b": [4, 4, 4]},
            "task T, subset 'b': the gold scores of its 3 rows are .* 4",
        ),
    ],
)
def test_gold_scores_without_a_correlation_are_named(gold, message: str) -> None:
    parts = {"test": _rows_of_subsets(gold)}
    with pytest.raises(DataError, match=message):
        StsTask(StsSpec(name="T", kind="sts", data="x", aggregation="mean"), parts, "senteval")
    StsTask(StsSpec(name="T", kind="sts", data="x"), parts, "senteval")
    with pytest.raises(DataError, match="task T: the gold scores of its 3 rows are all 2"):
        rows = _rows_of_subsets({"a": [2, 2, 2]})
        StsTask(StsSpec(name="T", kind="sts", data="x"), {"test": rows}, "senteval")


def test_a_subset_without_a_score_is_named() -> None:
    with pytest.raises(CellError, match="task T, subset 'b': the encoder gives every pair"):
        _task("mean").score(_vectors([0.1, 0.3, 0.2, 0.9, 0.5, 0.5]), 0)


@pytest.mark.parametrize("missing", [None, ""])
def test_a_row_without_a_subset_is_named(missing: str | None) -> None:
    rows = _rows_of_subsets({"a": [1, 2], "b": [2, 3]})
    rows[2]["subset"] = missing
    with pytest.raises(DataError, match="task T: row 3 has no subset"):
        StsTask(StsSpec(name="T", kind="sts", data="x", aggregation="mean"), {"test": rows}, "mteb")


@pytest.mark.parametrize("aggregation", ["mean", "wmean"])
def test_subsets_of_few_rows_have_an_interval(aggregation: str) -> None:
    # Half the resamples of two rows are constant, and of 30 such subsets nearly all.
    rng = np.random.default_rng(0)
    rows = _rows_of_subsets({f"s{i}": [1, 2] for i in range(30)})
    spec = StsSpec(name="T", kind="sts", data="x", aggregation=aggregation)
    found = StsTask(spec, {"test": rows}, "senteval").score(
        _vectors(rng.uniform(-1, 1, size=60).tolist()), 0
    )
    assert np.isfinite(found.replicates).all()
    assert found.replicates.mean() == pytest.approx(found.main, abs=0.05)
