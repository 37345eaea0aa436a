"""TF-IDF: each setting reaches the weights or the axes, and bad ones are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.api import build_method
from bench.core.errors import UsageError
from bench.method import named_method
from tests.support.classifiers import LETTERS

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.tsv"
    path.write_text("".join(f"{one * 3} and {one} {i}\n" for i, one in enumerate(LETTERS * 4)))
    return path


def fitted(corpus: Path, options: str = "") -> Any:
    size = "" if "dim=" in options else "dim=4"
    inner = ",".join(filter(None, (f"corpus={corpus}", size, options)))
    return build_method(f"tfidf[{inner}]", profile="smoke")[0].encoder


def test_it_is_no_method_of_a_paper() -> None:
    # So that its settings are ours at every profile: there is nothing to pin them to.
    assert named_method("tfidf", "paper").info.paper is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("option", "name", "value"),
    [
        ("ngram_min=3", "ngram_range", (3, 4)),
        ("ngram_max=5", "ngram_range", (2, 5)),
        ("max_features=17", "max_features", 17),
    ],
)
def test_settings_reach_the_weights(corpus: Path, option: str, name: str, value: Any) -> None:
    weights = fitted(corpus, option)._pipeline[0]
    assert getattr(weights, name) == value
    lengths = {len(term) for term in weights.vocabulary_}
    assert lengths <= {*range(weights.ngram_range[0], weights.ngram_range[1] + 1)}


def test_text_and_size_reach_the_axes(corpus: Path) -> None:
    assert fitted(corpus).encode(["aaa"]).shape == (1, 4)
    assert fitted(corpus, "dim=5").encode(["aaa"]).shape == (1, 5)
    few, whole = (fitted(corpus, given)._pipeline[0].vocabulary_ for given in ("sentences=5", ""))
    assert {*few} < {*whole}


def test_settings_that_do_not_fit_the_text(corpus: Path) -> None:
    with pytest.raises(UsageError, match="ngram_min is above ngram_max"):
        fitted(corpus, "ngram_min=5")
    with pytest.raises(UsageError, match=r"is too small for these settings: .* Lower dim"):
        fitted(corpus, "dim=9999")
