"""Curves: which records are cuts of what, and how they are shown and drawn."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pytest

from bench.core.errors import UsageError
from bench.records.entries import Record
from bench.report.charts.files import check_drawable
from bench.report.views.curve import find_curves, render
from tests.support.charts import drawing
from tests.support.records import make_record


def cut(reduction: str, dim: int, score: float, of: str = "m", **more: object) -> Record:
    name, _, inner = reduction.partition("[")
    options = ",".join(sorted([f"dim={dim}", f"of={of}", *filter(None, [inner.rstrip("]")])]))
    scores = {"S1": score, "S2": score + 0.1, "C": score / 2}
    return make_record(f"{name}[{options}]", scores, dimension=dim, **more)


WHOLE = make_record("m", {"S1": 0.7, "S2": 0.9, "C": 0.4})


@pytest.fixture
def records() -> list[Record]:
    cuts = [cut(name, dim, dim / 10) for name, dim in product(("truncate", "pca-dims"), (4, 2))]
    return [WHOLE, *cuts]


def rows(text: str | None, grid: int = 2) -> list[list[str]]:
    assert text is not None
    return [line.split() for line in text.split("\n\n")[grid].splitlines()]


def test_sizes_by_kinds_and_reductions(records: list[Record]) -> None:
    text = render("cuts", [*records, cut("truncate", 1, 0.0)])
    assert text is not None
    assert "\n\nm, 8 dimensions\n\n" in text
    head = "Dim Share sts truncate sts pca-dims clustering truncate clustering pca-dims"
    found = rows(text)
    assert " ".join(found[0]) == head
    whole = ["80.00", "(100.0%)", "80.00", "(100.0%)", "40.00", "(100.0%)", "40.00", "(100.0%)"]
    half = ["45.00", "(56.2%)", "45.00", "(56.2%)", "20.00", "(50.0%)", "20.00", "(50.0%)"]
    assert found[2] == ["8", "100.0%", *whole]
    assert found[3] == ["4", "50.0%", *half]
    assert found[5] == ["1", "12.5%", "5.00", "(6.2%)", "0.00", "(0.0%)"]


def test_seeds_and_equal_sizes_are_averaged(records: list[Record]) -> None:
    draws = [cut("random-dims", 2, score, seed=seed) for seed, score in enumerate((0.1, 0.3))]
    same = make_record(
        "random-dims[fraction=0.25,of=m]", {"S1": 0.5, "S2": 0.6, "C": 0.1}, dimension=2
    )
    (curves,) = find_curves([*records, *draws, same])
    assert curves.score("random-dims", 2, "sts") == pytest.approx((0.15 + 0.35 + 0.55) / 3)
    assert curves.share("random-dims", 2, "clustering") == pytest.approx(
        (0.05 + 0.15 + 0.1) / 3 / 0.4
    )


def test_each_model_has_a_table_of_its_own(records: list[Record]) -> None:
    other = "sct[epochs=2,lr=1e-4]"
    # Options in another order are the same model.
    written = [
        make_record(other, {"S1": 0.5, "S2": 0.5, "C": 0.5}, dimension=6, trained=True),
        cut("truncate", 3, 0.2, of="sct[lr=1e-4,epochs=2]", trained=True),
        cut("truncate", 3, 0.2, limit=9),
    ]
    found = find_curves([*records, *written])
    assert [(one.name, one.width) for one in found] == [
        ("m", 8),
        (f"{other} local", 6),
        ("m first 9", None),
    ]


def test_other_settings_are_other_reductions(records: list[Record]) -> None:
    others = ["pca-dims[corpus=own]", "whitening[kind=zca]"]
    (found,) = find_curves([*records, *(cut(reduction, 4, 0.1) for reduction in others)])
    assert list(found.cuts) == ["truncate", "pca-dims", *others]


def test_what_is_no_cut(records: list[Record]) -> None:
    whole = make_record("whitening[kind=zca,of=m]", {"S1": 0.1, "S2": 0.1, "C": 0.1})
    varying = make_record("whitening[dim=4,of=m]", {"S1": 0.1}, dimension=None)
    assert find_curves([WHOLE, whole, varying]) == []
    assert render("cuts", [WHOLE]) is None


def test_without_the_whole_vectors_scores_stand_alone(records: list[Record]) -> None:
    text = render("cuts", records[1:])
    assert text is not None
    assert "m, whole vectors not run" in text
    assert rows(text)[2] == ["4", "–", "45.00", "45.00", "20.00", "20.00"]


def test_narrow_terminals_and_markdown(records: list[Record]) -> None:
    text = render("cuts", records, width=60)
    assert text is not None
    assert text.count("Dim") == 2
    assert max(map(len, text.splitlines())) <= 60
    heads = [line.split()[2::2] for line in text.splitlines() if "Dim" in line]
    assert heads == [["sts", "sts"], ["clustering", "clustering"]]
    shown = render("cuts", records, style="markdown")
    assert shown is not None
    assert "`m`, 8 dimensions" in shown
    assert "|   50.0% |" in shown


def test_drawings_are_the_same_bytes_for_the_same_records(
    records: list[Record], tmp_path: Path
) -> None:
    draw = drawing("charts.curve").draw
    evil = cut("truncate", 2, 0.1, of="a$b_{<&")
    for suffix in (".svg", ".png"):
        paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
        for path in paths:
            draw({"cuts": [*records, evil]}, path)
        assert paths[0].read_bytes() == paths[1].read_bytes()
    text = (tmp_path / "a.svg").read_text()
    assert "a$b_{&lt;&amp;: sts" in text
    assert text.count(">Dimensions<") == 4
    other = tmp_path / "c.svg"
    draw({"cuts": records[:-1]}, other)
    assert other.read_bytes() != (tmp_path / "a.svg").read_bytes()


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"ends in \.svg or \.png"):
        check_drawable(tmp_path / "x.pdf")
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(UsageError, match=r"needs altair: pip install 'sentence-bench\[plot\]'"):
        check_drawable(tmp_path / "x.svg")


def test_a_drawing_that_cannot_be_written(records: list[Record], tmp_path: Path) -> None:
    draw = drawing("charts.curve").draw
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        draw({"cuts": records}, tmp_path / "file" / "x.svg")
