"""Columns drawn at random."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.api import build_method
from bench.core.errors import UsageError
from bench.metrics.isotropy import isoscore

TEXTS = [f"text {i}" for i in range(50)]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))


def vectors(options: str, seed: int = 0) -> NDArray[np.float32]:
    return np.asarray(
        build_method(f"random-dims[{options}of=random]", seed=seed)[0].encoder.encode(TEXTS)
    )


def columns(found: NDArray[np.float32]) -> list[int]:
    """Where the columns are among those of the whole vectors; each must be one of them."""
    whole = build_method("random")[0].encoder.encode(TEXTS)
    equal = (found.T[:, None, :] == whole.T[None, :, :]).all(axis=2)
    assert (equal.sum(axis=1) == 1).all()
    return equal.argmax(axis=1).tolist()


def test_all_columns_are_a_permutation() -> None:
    whole, turned = np.asarray(build_method("random")[0].encoder.encode(TEXTS)), vectors("")
    assert sorted(columns(turned)) == list(range(32)) != columns(turned)
    np.testing.assert_allclose(turned @ turned.T, whole @ whole.T, atol=1e-5)
    assert isoscore(turned) == pytest.approx(isoscore(whole), abs=1e-9)


def test_columns_are_drawn_without_replacement_by_the_seed() -> None:
    drawn = [columns(vectors("dim=8,", seed)) for seed in range(4)]
    assert all(len(set(one)) == 8 for one in drawn)
    assert len({tuple(one) for one in drawn}) == 4
    assert columns(vectors("dim=8,", 2)) == drawn[2]
    assert columns(vectors("fraction=0.25,")) == drawn[0]


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    assert columns(vectors("dim=3,")) == columns(vectors("dim=20,"))[:3]


def test_sizes_out_of_range() -> None:
    assert vectors("fraction=0.001,").shape == (50, 1)
    with pytest.raises(UsageError, match="dim=33 is out of range: the vectors have 32 dimensions"):
        vectors("dim=33,")
