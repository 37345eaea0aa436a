"""``bench data translate``: the pairs that SCT learns from, and what a run says without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.api import build_method
from bench.core.errors import DataError
from bench.models import translation
from bench.records.files import find_records, read_record
from tests.support.models import tiny_bert
from tests.support.suites import Bench
from tests.support.translators import tiny_marian

TEXTS = [f"text {i} of some words" for i in range(20)]
MADE = "corpus/back-translated.tsv"


@pytest.fixture(scope="module")
def translators(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("translators")
    return [tiny_marian(folder / str(seed), seed) for seed in range(4)]


@pytest.fixture
def translate(bench: Bench, translators: list[Path], tmp_path: Path):
    """Call the command on a corpus of twenty texts."""
    corpus = tmp_path / "texts.txt"
    corpus.write_text("".join(f"{text}\n" for text in TEXTS))
    one, two, three, four = translators

    def call(*arguments: str | Path) -> tuple[int, str, str]:
        via = ("--via", one, two, "--via", three, four)
        to = () if "--to" in arguments else ("--to", "mine")
        return bench("data", "translate", corpus, *via, *to, *arguments)

    return call


def rows(folder: Path) -> list[list[str]]:
    return [line.split("\t") for line in (folder / MADE).read_text().splitlines()]


def test_each_text_is_paired_by_its_translations_by_two_languages(
    translate, tmp_path: Path
) -> None:
    code, out, err = translate()
    assert code == 0, err
    pairs = rows(tmp_path / "mine")
    assert out == f"{len(pairs)} pairs in mine/{MADE}\n"
    assert 10 < len(pairs) <= len(TEXTS)
    assert all(one and other for one, other in pairs)
    assert any(one != other for one, other in pairs)
    assert not {text for pair in pairs for text in pair} & {*TEXTS}
    translate("--sentences", "5", "--to", "few")
    assert rows(tmp_path / "few") == pairs[:5]


@pytest.mark.nightly
def test_the_order_of_the_models_counts(
    bench: Bench, translate, translators: list[Path], tmp_path: Path
) -> None:
    translate()
    one, two, three, four = translators
    via = ("--via", two, one, "--via", three, four)
    assert bench("data", "translate", tmp_path / "texts.txt", *via, "--to", "other")[0] == 0
    first, second = rows(tmp_path / "mine"), rows(tmp_path / "other")
    assert [pair[1] for pair in first] == [pair[1] for pair in second]
    assert [pair[0] for pair in first] != [pair[0] for pair in second]


@pytest.mark.nightly
def test_work_that_was_cut_off_goes_on(
    translate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translate()
    whole = rows(tmp_path / "mine")
    monkeypatch.setattr("bench.execution.back_translation._PART", 8)
    given: list[int] = []
    own = translation.Translators.translate

    def dies(self: translation.Translators, texts: list[str]) -> list[str]:
        given.append(len(texts))
        if len(given) == 3:
            raise KeyboardInterrupt
        return own(self, texts)

    monkeypatch.setattr(translation.Translators, "translate", dies)
    assert translate("--to", "again")[0] != 0
    assert translate("--to", "again")[0] == 0
    # Three parts a language; the two that were done are not done again.
    assert given == [8, 8, 4, 4, 8, 8, 4]
    assert rows(tmp_path / "again") == whole
    assert not list((tmp_path / "cache" / "work").glob("*/*"))


def test_a_model_is_loaded_once_for_all_parts(translate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.execution.back_translation._PART", 8)
    loaded: list[str] = []
    own = translation.Translators._load

    def counted(self: translation.Translators, name: str):
        loaded.append(name)
        return own(self, name)

    monkeypatch.setattr(translation.Translators, "_load", counted)
    assert translate()[0] == 0
    assert len(loaded) == len(set(loaded)) == 4


def test_two_languages_are_needed(bench: Bench, translators: list[Path], tmp_path: Path) -> None:
    code, _, err = bench("data", "translate", "nli", "--via", *translators[:2])
    assert code == 2
    assert "give --via twice" in err
    via = ("--via", "no/one", "no/two", "--via", "no/one", "no/two")
    code, _, err = bench("data", "translate", "pydoc", *via)
    assert code == 4
    assert "no/one is not in the local hub cache" in err


def test_sct_learns_from_what_was_made(
    bench: Bench, translate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_bert(tmp_path / "tiny")
    spec = f"sct[base={base},queue_size=2,batch_size=2,max_steps=2,dev=false]"
    code, _, err = bench("run", "--profile", "paper", "--methods", spec)
    assert code == 4
    assert "corpus back-translated is not here: nobody publishes it; lay a file" in err
    assert "'bench data translate'" in err
    translate()
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "mine"))
    built, _ = build_method(spec, profile="paper")
    assert built.training is not None
    assert built.training["pairs"] == len({one for one, _ in rows(tmp_path / "mine")})


def test_a_dry_run_says_what_has_to_be_made(bench: Bench) -> None:
    for name in ("sct", "sct-distill"):
        code, out, _ = bench("run", "--profile", "paper", "--methods", name, "--dry-run")
        assert code == 0
        (line,) = [line for line in out.splitlines() if "back-translated:" in line]
        assert line.startswith(
            "missing  corpus back-translated: nobody publishes it; lay a file of"
        )
        assert f"at {MADE} in the data folder" in line


def test_what_stands_in_is_said(bench: Bench, tmp_path: Path) -> None:
    out = bench("run", "--profile", "local", "--suite", "mini", "--methods", "sct", "--dry-run")[1]
    text = "two back-translations of each sentence of SNLI and MultiNLI"
    assert f"instead  sct: views pairs of corpus paraphrase for {text}" in out
    out = bench("run", "--profile", "paper", "--methods", "sct", "--dry-run")[1]
    assert "instead" not in out
    out = bench("run", "--profile", "paper", "--methods", "sct[views=dropout]", "--dry-run")[1]
    assert f"instead  sct: views dropout of corpus back-translated for {text}" in out


def test_the_record_says_what_stands_in(bench: Bench, suite: Path, tmp_path: Path) -> None:
    options = f"base={tiny_bert(tmp_path / 'tiny')},max_steps=2"
    specs = f"sct[{options}],truncate[dim=8,of=sct[{options}]],good"
    arguments = ("--suite", suite, "--profile", "smoke", "--methods", specs, "--output", "out")
    _code, _, err = bench("run", *arguments)
    records = {one.method.name: one.method for one in map(read_record, find_records([Path("out")]))}
    text = "two back-translations of each sentence of SNLI and MultiNLI"
    assert records["sct"].stand_ins == {text: "views dropout of corpus pydoc"}, err
    assert records["truncate"].stand_ins == records["sct"].stand_ins
    assert records["good"].stand_ins is None
    assert "stand_ins" not in records["good"].model_dump()


def test_a_file_that_is_no_table_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    (tmp_path / "corpus").mkdir()
    (tmp_path / MADE).write_text("one\n\ttwo\n")
    with pytest.raises(DataError, match="line 2: expected a sentence, or two or three"):
        build_method(f"sct[base={tiny_bert(tmp_path / 'tiny')},dev=false]", profile="paper")
