"""Layers of Token Prepending that are chosen on STS-B dev: which, at what cost, what is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.api import build_method
from bench.core.errors import CellError, UsageError
from bench.core.sealed import damage
from bench.core.spec import parse_method_spec
from bench.method import Built, resolve
from bench.methods.parts.layer_search import Search, Tried, some
from bench.methods.parts.prepending import PrependingEncoder
from bench.methods.token_prepending import TokenPrepending
from bench.metrics.cosine import cosine_float64
from bench.metrics.spearman import spearman
from bench.records.files import find_records, read_record
from tests.support.prepending import LAYERS
from tests.support.sets import N, small_sets, write_sets
from tests.support.suites import Bench, write_suite

DEV = small_sets()["sts/stsb"]["dev"]
AUTO = "stop=auto,layer=auto"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with few pairs of STS-B, and a cache of its own."""
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    folder = write_sets(tmp_path / "data", monkeypatch, small_sets())
    monkeypatch.setenv("BENCH_DATA", str(folder))
    return folder


def method(text: str, profile: str = "local") -> TokenPrepending:
    made = resolve(TokenPrepending, parse_method_spec(text), profile)
    assert isinstance(made, TokenPrepending)
    return made


def built(base: Path, options: str, profile: str = "local") -> Built:
    return build_method(f"token-prepending[base={base},{options}]", profile=profile)[0]


def reading(one: Built) -> tuple[int, int]:
    assert isinstance(one.encoder, PrependingEncoder)
    return one.encoder.reading.stop, one.encoder.reading.layer


def dev_score(base: Path, options: str) -> float:
    """Spearman correlation on the dev pairs of a decoder read at given layers."""
    encoder: Any = built(base, options).encoder
    one, two = (encoder.encode([row[name] for row in DEV]) for name in ("sentence1", "sentence2"))
    return spearman(cosine_float64(one, two), np.array([row["score"] for row in DEV]))


@pytest.mark.parametrize("more", ["", "start=0,", "pooling=mean,", "prompt=metaeol,"])
def test_the_best_of_all_settings_is_chosen(
    data: Path, folders: Callable[[str], Path], more: str
) -> None:
    base, start = folders("llama"), 0 if "start=0" in more else 1
    grid = [
        (stop, layer)
        for stop in range(start + 1, LAYERS // 2 + 1)
        for layer in range(stop, LAYERS + 1)
    ]
    scores = {one: dev_score(base, f"{more}stop={one[0]},layer={one[1]}") for one in grid}
    found = built(base, more + AUTO)
    assert reading(found) == max(scores, key=lambda one: scores[one])
    assert found.training is not None
    chosen = found.training["chosen"]
    assert (chosen["stop"], chosen["layer"]) == reading(found)
    assert chosen["spearman"] == pytest.approx(max(scores.values()), abs=1e-6)
    assert (chosen["settings"], chosen["pairs"], chosen["on"]) == (len(grid), N, "sts/stsb:dev")
    assert len({round(score, 6) for score in scores.values()}) > 1


def test_one_of_both_is_chosen_beside_a_given_one(
    data: Path, folders: Callable[[str], Path]
) -> None:
    base = folders("qwen2")
    by_layer = {n: dev_score(base, f"stop=2,layer={n}") for n in range(2, LAYERS + 1)}
    found = built(base, "stop=2,layer=auto")
    assert reading(found) == (2, max(by_layer, key=lambda n: by_layer[n]))
    by_stop = {n: dev_score(base, f"start=0,stop={n},layer=3") for n in (1, 2)}
    found = built(base, "start=0,stop=auto,layer=3")
    assert reading(found) == (max(by_stop, key=lambda n: by_stop[n]), 3)
    assert found.training is not None
    assert found.training["chosen"]["options"] == ["stop"]
    plain = {n: dev_score(base, f"prepend=false,layer={n}") for n in range(1, LAYERS + 1)}
    found = built(base, "prepend=false,layer=auto")
    assert reading(found)[1] == max(plain, key=lambda n: plain[n])


def test_layers_cost_one_encoding_and_are_chosen_once(
    data: Path, folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, encoded = folders("llama"), list[tuple[int, int]]()
    whole = PrependingEncoder.at_layers

    def counted(self: PrependingEncoder, texts: Any, layers: Any, *more: Any) -> Any:
        encoded.append((len(texts), len(layers)))
        return whole(self, texts, layers, *more)

    monkeypatch.setattr(PrependingEncoder, "at_layers", counted)
    first = built(base, f"start=0,{AUTO}")
    assert encoded == [(2 * N, LAYERS), (2 * N, LAYERS - 1)]
    again = built(base, f"start=0,{AUTO}")
    assert len(encoded) == 2
    assert reading(again) == reading(first)
    assert again.training == first.training
    built(base, f"start=0,{AUTO},dev_rows=9")
    assert encoded[2:] == [(18, LAYERS), (18, LAYERS - 1)]


def test_a_damaged_choice_is_made_anew(
    data: Path, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    first = built(folders("llama"), AUTO)
    (kept,) = (tmp_path / "cache" / "models").rglob("layers.json")
    kept.write_text(kept.read_text()[:-9])
    assert reading(built(folders("llama"), AUTO)) == reading(first)
    assert damage(kept.parent) is None


def test_the_record_says_what_was_chosen(
    bench: Bench, data: Path, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    spec = f"token-prepending[base={folders('llama')},{AUTO}]"
    code, _, err = bench("run", "--suite", write_suite(tmp_path), "--methods", spec, "--data", data)
    assert code == 0, err
    assert "choose layers: " in err
    (path,) = find_records([tmp_path / "results"])
    record = read_record(path)
    assert record.training is not None
    assert record.training["chosen"]["options"] == ["stop", "layer"]
    assert record.training["chosen"]["on"] == "sts/stsb:dev"
    assert record.method.config["stop"] == "auto"


def test_the_paper_s_profile_chooses_where_nothing_is_published() -> None:
    for spec, profile, expected in (
        ("token-prepending", "paper", ()),
        ("token-prepending[base=other/model]", "paper", ("stop", "layer")),
        ("token-prepending[base=other/model,layer=last]", "paper", ("stop",)),
        ("token-prepending[base=other/model,prepend=false]", "paper", ("layer",)),
        ("token-prepending[base=other/model,stop=2,layer=3]", "paper", ()),
        ("token-prepending@other/model@abc", "paper", ("stop", "layer")),
        ("token-prepending@Qwen/Qwen2-7B@abc", "paper", ()),
        (f"token-prepending[{AUTO}]", "paper", ("stop", "layer")),
        ("token-prepending", "local", ()),
        ("token-prepending[base=other/model]", "smoke", ()),
    ):
        made = method(spec, profile)
        assert made.chosen == expected, spec
        assert [*made.reads()] == (["dev"] if expected else [])
        assert made.training_datasets() == ()


def test_it_chooses_in_the_paper_s_profile(data: Path, folders: Callable[[str], Path]) -> None:
    base = folders("llama")
    assert reading(built(base, "start=1", "paper")) == reading(built(base, f"start=1,{AUTO}"))


def test_the_pairs_are_part_of_the_model(data: Path) -> None:
    from bench.api import make_settings

    settings = make_settings(profile="local", data=str(data))
    inputs = method("token-prepending[base=random,layer=auto]").inputs(
        settings.data, settings.models
    )
    assert inputs["dev"] == settings.data.sha256("sts/stsb:dev")


def test_equal_settings_edit_and_read_least() -> None:
    tried = [Tried(3, 5, 0.5), Tried(2, 6, 0.5 + 1e-9), Tried(2, 4, 0.5), Tried(2, 9, None)]
    assert Search((*tried, Tried(1, 1, 0.4)), 9, 1.0).best == Tried(2, 4, 0.5)
    assert Search((*reversed(tried), Tried(1, 1, 0.4)), 9, 1.0).best == Tried(2, 4, 0.5)
    assert Search((*tried, Tried(5, 5, 0.6)), 9, 1.0).best == Tried(5, 5, 0.6)
    with pytest.raises(CellError, match="no layer tells the 9 dev pairs apart"):
        _ = Search((Tried(1, 1, None),), 9, 1.0).best


def test_some_pairs_are_the_same_ones_in_any_order() -> None:
    rows = [*DEV]
    few = some(rows, 7)
    assert len(few) == 7
    assert few == some(rows[::-1], 7)
    assert few != rows[:7]
    assert some(rows, None) == rows


@pytest.mark.parametrize("options", ["start=4,stop=auto", "start=2,stop=auto,layer=2"])
def test_nothing_to_choose_from(data: Path, folders: Callable[[str], Path], options: str) -> None:
    with pytest.raises(UsageError, match=r"stop=auto has nothing to choose from"):
        built(folders("llama"), options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("prepend=false,stop=auto", "stop does nothing here; it needs prepend=true"),
        ("dev_rows=9", "dev_rows does nothing here; it needs stop=auto or layer=auto"),
        ("stop=often", "stop.*: input should be a valid integer"),
    ],
)
def test_options_that_do_nothing_are_refused(options: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        method(f"token-prepending[{options}]")
