"""Rows and vectors at the edge: a score by definition, or one clear reason why there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import f1_score

from bench.core.errors import CellError, DataError, UsageError
from bench.suite import (
    ClassificationSpec,
    NliSpec,
    PairClassificationSpec,
    RelatednessSpec,
    RerankingSpec,
    StsSpec,
)
from bench.tasks.kinds import KINDS


def score(spec, parts, vector, convention="senteval"):
    """Score with the vectors of a function of the text."""
    task = KINDS[spec.kind](spec, parts, convention)
    texts = task.texts()
    vectors = {name: np.stack([vector(t) for t in column.texts]) for name, column in texts.items()}
    return task.score(vectors, 0)


def constant(text: str) -> np.ndarray:
    return np.ones(4, np.float32)


def hashed(text: str) -> np.ndarray:
    return np.random.default_rng(sum(text.encode())).normal(size=4).astype(np.float32)


RERANKING = RerankingSpec(name="T", kind="reranking", data="x")
PAIRS = PairClassificationSpec(name="T", kind="pair_classification", data="x")
LABELS = ClassificationSpec(name="T", kind="classification", data="x", folds=3)


def query(positive: list[str], negative: list[str]):
    return {"query": "q", "positive": positive, "negative": negative}


def test_reranking_by_a_constant_scorer_is_chance() -> None:
    found = score(RERANKING, {"test": [query(["a"], ["b"])]}, constant)
    assert found.main == found.metrics["map_realistic"] == pytest.approx((1 + 1 / 2) / 2)
    assert (found.metrics["map_optimistic"], found.metrics["map_pessimistic"]) == (1, 1 / 2)


@pytest.mark.parametrize("convention", ["senteval", "useb", "mteb"])
def test_queries_that_nothing_can_answer_are_left_out(convention: str) -> None:
    rows = [query(["a"], ["b"]), query([], ["b", "c"]), query(["a", "b"], ["c"])]
    found = score(RERANKING, {"test": rows}, hashed, convention)
    assert found.metrics["queries"] == len(found.items["value"]) == 2
    with pytest.raises(CellError, match="no query has a positive"):
        score(RERANKING, {"test": [query([], ["b"])]}, hashed, convention)


def test_the_same_candidate_on_both_sides_ties() -> None:
    found = score(RERANKING, {"test": [query(["a"], ["a"])]}, hashed)
    assert found.main == pytest.approx(0.75)


def test_under_useb_a_text_on_both_sides_counts_for_nobody() -> None:
    # As the first, and behind a better candidate: by chance 3/4, and the mean of 1 / 2 and 1 / 3.
    alone, behind = query(["a"], ["a"]), query(["a"], ["q", "a"])

    def near(text: str) -> np.ndarray:
        return np.array([1.0, float(text == "a")], np.float32)

    found = score(RERANKING, {"test": [alone, behind]}, near, "useb")
    assert found.items["value"] == pytest.approx([3 / 4, (1 / 2 + 1 / 3) / 2])
    assert found.metrics["map_optimistic"] == pytest.approx((1 + 1 / 2) / 2)
    assert found.metrics["precision_at_1"] == pytest.approx((1 / 2 + 0) / 2)


def test_under_useb_other_ties_keep_the_order_of_the_candidates() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        texts = [str(n) for n in rng.permutation(9)]
        row = query(texts[:3], [*texts[3:], texts[4]])
        tied = score(RERANKING, {"test": [row]}, constant, "useb")
        task = KINDS["reranking"](RERANKING, {"test": [row]}, "useb")
        flags = task._candidates(row).relevant
        places = np.flatnonzero(flags) + 1
        assert tied.main == np.mean(np.arange(1, 4) / places)


def pair(label, i: int):
    return {"sentence1": f"a{i}", "sentence2": f"b{i}", "label": label}


def test_pairs_by_a_constant_scorer_are_chance() -> None:
    found = score(PAIRS, {"test": [pair(i % 4 == 0, i) for i in range(40)]}, constant)
    assert found.main == pytest.approx(1 / 4)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([1, 1, 1], "same label"), ([0, 0], "same label"), ([0, "yes"], "'yes' is neither 0 nor 1")],
)
def test_pairs_without_two_classes(labels, message: str) -> None:
    rows = [pair(label, i) for i, label in enumerate(labels)]
    with pytest.raises(CellError, match=message):
        score(PAIRS, {"test": rows}, hashed)


def test_a_probe_on_constant_vectors_learns_the_majority() -> None:
    rows = [{"text": f"t{i}", "label": "no" if i % 3 else "yes"} for i in range(60)]
    assert score(LABELS, {"test": rows}, constant).main == pytest.approx(2 / 3)


def test_a_single_class_cannot_be_probed() -> None:
    rows = [{"text": f"t{i}", "label": 1} for i in range(9)]
    with pytest.raises(CellError, match="all rows have the same label"):
        score(LABELS, {"test": rows}, hashed)
    spec = LABELS.model_copy(update={"train": "y"})
    other = [{"text": "x", "label": 0}, {"text": "y", "label": 1}]
    with pytest.raises(CellError, match="all training rows have the same label"):
        score(spec, {"test": other, "train": rows}, hashed)


def test_too_few_rows_for_the_folds_are_explained() -> None:
    rows = [{"text": f"t{i}", "label": i} for i in range(2)]
    with pytest.raises(CellError, match="the probe failed"):
        score(LABELS, {"test": rows}, hashed)


def test_nli_has_no_protocol_of_mteb() -> None:
    spec = NliSpec(name="T", kind="nli", data="x")
    rows = [{"premise": "a", "hypothesis": "b", "label": i} for i in range(4)]
    with pytest.raises(CellError, match="MTEB has no protocol"):
        score(spec, {"test": rows}, hashed, "mteb")


def test_relatedness_needs_rows_to_learn_from() -> None:
    spec = RelatednessSpec(name="T", kind="relatedness", data="x")
    rows = [{"sentence1": "a", "sentence2": f"b{i}", "score": i} for i in range(2)]
    with pytest.raises(CellError, match="needs dev and train rows"):
        score(spec, {"test": rows}, hashed)


@pytest.mark.parametrize("part", ["test", "train", "dev"])
def test_equal_gold_scores_are_named_before_anything_is_encoded(part: str) -> None:
    spec = RelatednessSpec(name="T", kind="relatedness", data="x", train="y", dev="z")
    parts = {
        name: [
            {"sentence1": "a", "sentence2": f"b{i}", "score": 2.5 if name == part else i}
            for i in range(4)
        ]
        for name in ("test", "train", "dev")
    }
    with pytest.raises(DataError, match=f"task T, {part} rows: the gold scores of its 4 rows are"):
        KINDS["relatedness"](spec, parts, "senteval")


@pytest.mark.parametrize("labels", [["a", "b", "c"], [0, 1, 2], ["no", "yes"], [1, 2]])
def test_f1_is_that_of_label_1(labels) -> None:
    rows = [{"text": f"t{i}", "label": labels[i % len(labels)]} for i in range(60)]
    with pytest.raises(UsageError, match=r'metric f1 .* give metric = "f1_macro"'):
        score(LABELS.model_copy(update={"metric": "f1"}), {"test": rows}, hashed)


@pytest.mark.parametrize("convention", ["senteval", "mteb"])
@pytest.mark.parametrize(
    ("metric", "labels", "average"), [("f1", 2, "binary"), ("f1_macro", 3, "macro")]
)
def test_f1_and_its_resamples_are_means_over_all_experiments(
    convention: str, metric: str, labels: int, average: str
) -> None:
    rows = [{"text": f"t{i}", "label": i % labels} for i in range(60)]
    parts = {"test": rows} if convention == "senteval" else {"test": rows, "train": rows[:30]}
    spec = LABELS.model_copy(update={"metric": metric, "samples_per_label": 4, "experiments": 5})
    found = score(spec, parts, hashed, convention)
    gold, predicted = found.items["gold"], found.items["predicted"]
    assert predicted.shape[1] == (5 if convention == "mteb" else 1)
    by_hand = np.mean([f1_score(gold, one, average=average) for one in predicted.T])
    assert found.main == pytest.approx(by_hand)
    assert found.replicates.mean() == pytest.approx(found.main, abs=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_equal_vectors_tie_whatever_the_order_of_their_sums(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def noisy(text: str) -> np.ndarray:
        return rng.normal(size=301).astype(np.float32)

    same = {f"a{i}": noisy("") for i in range(12)}
    pairs = [{"sentence1": f"a{i}", "sentence2": f"a{i}", "label": i % 2} for i in range(12)]
    assert score(PAIRS, {"test": pairs}, same.get).main == 0.5
    rows = [{"sentence1": f"a{i}", "sentence2": f"a{i}", "score": i} for i in range(11)]
    rows.append({"sentence1": "a0", "sentence2": "a1", "score": -1})
    spec = StsSpec(name="T", kind="sts", data="x")
    expected = spearmanr([1] * 11 + [0], [row["score"] for row in rows]).statistic
    assert score(spec, {"test": rows}, same.get).main == pytest.approx(expected, abs=1e-12)
    ranked = [query(["a1"], ["a1"] * 4) | {"query": f"a{i}"} for i in range(12)]
    chance = np.mean([1 / rank for rank in range(1, 6)])
    assert score(RERANKING, {"test": ranked}, same.get).main == pytest.approx(chance)
    equal = [{"sentence1": f"a{i}", "sentence2": f"a{i}", "score": i} for i in range(12)]
    with pytest.raises(CellError, match="gives every pair the same similarity"):
        score(spec, {"test": equal}, same.get)


@pytest.mark.parametrize(("low", "high"), [(0, 100), (-9, 5)])
def test_scores_that_the_probe_cannot_predict_are_refused(low: int, high: int) -> None:
    spec = RelatednessSpec(name="T", kind="relatedness", data="x", train="y", dev="z")
    rows = [{"sentence1": "a", "sentence2": f"b{i}", "score": s} for i, s in enumerate((low, high))]
    with pytest.raises(DataError, match=f"gold scores are {low} to {high}, .* set classes"):
        KINDS["relatedness"](spec, dict.fromkeys(("test", "train", "dev"), rows), "senteval")


def test_gold_scores_that_float32_would_tie_are_kept_as_ranks() -> None:
    spec = StsSpec(name="T", kind="sts", data="x")
    for golds in ([0.9999999 + i * 1e-9 for i in range(12)], [1e39 * (i + 1) for i in range(12)]):
        rows = [
            {"sentence1": f"a{i}", "sentence2": f"b{i * 5 % 7}", "score": gold}
            for i, gold in enumerate(golds)
        ]
        found = score(spec, {"test": rows}, hashed)
        kept = found.items["gold"].astype(np.float32)
        assert np.isfinite(kept).all()
        again = spearmanr(found.items["similarity"], kept).statistic
        assert again == pytest.approx(found.main, abs=1e-12)
