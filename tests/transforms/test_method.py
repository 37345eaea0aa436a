"""Maps of vectors: no encoding of their own, one model where there is one, and clear refusals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from bench.api import build_method, make_settings
from bench.core.cache import Cache
from bench.core.errors import UsageError
from bench.core.progress import Silent
from bench.core.spec import parse_method_spec
from bench.data.access import DataAccess
from bench.encoding.encoder import Column
from bench.execution.vectors import encode
from bench.integrations.senteval import adapter
from bench.method import Method, lineage, make_method
from bench.models.processes import NeedsModel
from bench.models.runtime import Runtime
from bench.models.worker import SharedModels
from bench.records.entries import Record
from bench.records.files import find_records, read_record
from bench.verdicts.claims import find_of_method
from bench.verdicts.papers import Claim
from tests.support.models import tiny_bert, tiny_sentence_transformer
from tests.support.suites import WORDS, Bench, write_suite

TEXTS = ["a red kettle", "two dogs run", "rain", "nothing much to say, but at some length"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A saved sentence transformer with a prompt of its own, 16 dimensions."""
    model = tiny_sentence_transformer(tmp_path / "tiny")
    model.prompts = {"text": "to wit: "}
    model.default_prompt_name = "text"
    model.save_pretrained(str(tmp_path / "base"))
    return tmp_path / "base"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    lines = [
        f"{WORDS[i % 10]} of {WORDS[i * 7 % 9]} {i}\tno {WORDS[i * 3 % 10]}" for i in range(60)
    ]
    (tmp_path / "corpus.tsv").write_text("\n".join(lines))
    return tmp_path / "corpus.tsv"


def method(spec: str, profile: str = "local") -> Method:
    parsed = parse_method_spec(spec)
    return make_method(parsed, profile)


def vectors(spec: str, seed: int = 0) -> NDArray[np.float32]:
    """Vectors through the store of a run."""
    built, settings = build_method(spec, seed=seed)
    return encode(built, {("t", "text"): Column(TEXTS)}, settings).vectors["t", "text"]


def run(bench: Bench, suite: Path, *specs: str, seeds: int = 1) -> dict[tuple[str, int], Record]:
    code, _, err = bench(
        "run", "--suite", suite, "--methods", ",".join(specs), "--seeds", str(seeds)
    )
    assert code == 0, err
    records = [read_record(path) for path in find_records([Path("results/runs")])]
    return {(record.method.spec, record.seed): record for record in records}


def test_transforms_share_the_vectors_of_what_they_wrap(
    bench: Bench, base: Path, corpus: Path, tmp_path: Path
) -> None:
    suite = write_suite(tmp_path)
    of = f"sbert@{base}"
    wrappers = {
        f"truncate[dim=4,of={of}]": 4,
        f"truncate[fraction=0.3,of={of}]": 5,
        f"random-dims[dim=6,of={of}]": 6,
        f"pca-dims[corpus={corpus},dim=5,of={of}]": 5,
        f"whitening[corpus={corpus},fit=corpus,kind=zca,of={of}]": 16,
        f"whitening[corpus={corpus},of={of}]": None,
        f"whitening[fit=test,of={of}]": None,
        f"truncate[dim=3,of=whitening[corpus={corpus},kind=zca,of={of}]]": 3,
        f"truncate[dim=3,of=truncate[dim=7,of={of}]]": 3,
    }
    records = run(bench, suite, of, *wrappers)
    own = records[of, 0]
    assert own.encoding.encoded == own.encoding.distinct > 0
    for spec, dimension in wrappers.items():
        record = records[str(parse_method_spec(spec)), 0]
        assert record.encoding.encoded == 0, spec
        assert record.encoding.distinct == own.encoding.distinct
        assert record.method.kind == "transform"
        # The layer norm leaves the tiny model a dimension without variance.
        assert record.dimension in ((dimension,) if dimension else (15, 16)), spec
        assert record.parameters is not None


def test_fewer_layers_are_encoded_anew(bench: Bench, base: Path, tmp_path: Path) -> None:
    spec = f"truncate[dim=4,layers=1,of=sbert@{base}]"
    records = run(bench, write_suite(tmp_path), f"sbert@{base}", spec)
    assert records[spec, 0].encoding.encoded == records[spec, 0].encoding.distinct


@pytest.mark.parametrize(
    "spec",
    [
        "truncate[dim=4,of={of}]",
        "random-dims[dim=6,of={of}]",
        "pca-dims[corpus={corpus},dim=5,of={of}]",
        "whitening[kind=zca,fit=corpus,corpus={corpus},of={of}]",
        "whitening[kind=pca-cor,dim=7,fit=corpus,corpus={corpus},of={of}]",
        "truncate[dim=3,of=whitening[fit=corpus,corpus={corpus},of=pca-dims[corpus={corpus},of={of}]]]",
    ],
)
def test_a_saved_model_has_the_same_vectors(
    spec: str, base: Path, corpus: Path, tmp_path: Path
) -> None:
    spec = spec.format(of=f"sbert@{base}", corpus=corpus)
    built, _ = build_method(spec)
    assert isinstance(built.encoder, SentenceTransformer)
    built.encoder.save_pretrained(str(tmp_path / "saved"))
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    expected = vectors(spec)
    np.testing.assert_allclose(plain.encode(TEXTS), expected, rtol=1e-5, atol=1e-5)
    assert plain.get_embedding_dimension() == expected.shape[1]
    assert plain.prompts["text"] == "to wit: "
    np.testing.assert_allclose(
        vectors(f"sbert@{tmp_path / 'saved'}"), expected, rtol=1e-5, atol=1e-5
    )


def test_vectors_are_the_maps_of_the_vectors(base: Path) -> None:
    whole = vectors(f"sbert@{base}")
    np.testing.assert_array_equal(vectors(f"truncate[dim=4,of=sbert@{base}]"), whole[:, :4])
    np.testing.assert_array_equal(vectors(f"truncate[dim=4,of={base}]"), whole[:, :4])


def test_other_encoders_are_wrapped(corpus: Path) -> None:
    tfidf = f"tfidf[corpus={corpus},dim=9]"
    whole = vectors(tfidf)
    built, _ = build_method(f"truncate[dim=4,of={tfidf}]")
    np.testing.assert_array_equal(built.encoder.encode(TEXTS), whole[:, :4])
    np.testing.assert_array_equal(vectors(f"truncate[dim=4,of={tfidf}]"), whole[:, :4])
    assert vectors("truncate[fraction=0.5,of=random]").shape == (4, 16)
    nested = f"pca-dims[corpus={corpus},dim=2,of=truncate[dim=4,of={tfidf}]]"
    own = np.asarray(build_method(nested)[0].encoder.encode(TEXTS))
    np.testing.assert_array_equal(own, vectors(nested))
    assert own.shape == (4, 2)


def test_what_wraps_a_trained_method_keeps_no_model(base: Path, tmp_path: Path) -> None:
    triplets = tmp_path / "triplets.tsv"
    triplets.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(24)))
    trained = f"sup-simcse[base={base},corpus={triplets},dev=false,batch_size=8]"
    built, _ = build_method(f"truncate[dim=4,of={trained}]")
    assert built.training is not None
    kept = list((tmp_path / "cache" / "models").iterdir())
    assert [path.name for path in kept] == [build_method(trained)[0].fingerprint]
    assert method(f"truncate[dim=4,of={trained}]").trains
    assert method(f"truncate[dim=4,of={trained}]").base == str(base)


def test_processes_that_share_a_training_ask_for_the_model_that_is_wrapped(
    base: Path, tmp_path: Path
) -> None:
    cache = Cache(tmp_path / "cache")
    runtime = Runtime(
        profile="local",
        device="cpu",
        cache=cache,
        data=DataAccess(None, cache.data, cache.hashes(), offline=True),
        progress=Silent(),
    )
    models = SharedModels(runtime, seed=5)
    (tmp_path / "rows.tsv").write_text("a\tb\tc")
    trained = f"sup-simcse[base={base},corpus={tmp_path / 'rows.tsv'},dev=false]"
    with pytest.raises(NeedsModel) as needed:
        models.vectors(f"truncate[dim=4,of=random-dims[of={trained}]]", TEXTS)
    assert needed.value.method.info.name == "sup-simcse"
    assert needed.value.seed == 5


FITTED = "whitening[corpus={corpus},of={of}]"


def test_what_is_fitted_to_each_task_is_no_model(bench: Bench, base: Path, corpus: Path) -> None:
    fitted = FITTED.format(corpus=corpus, of=base)
    line = r"whitening\[fit=train\] is fitted to each task of a suite, .*; fit=corpus gives one"
    built, settings = build_method(fitted)
    with pytest.raises(UsageError, match=line):
        built.encoder.encode(TEXTS)
    with pytest.raises(UsageError, match=line):
        encode(built, {("t", "text"): Column(TEXTS)}, settings)
    prepare, _ = adapter(fitted)
    with pytest.raises(UsageError, match=line):
        prepare(None, [["a", "red", "kettle"]])
    with pytest.raises(UsageError, match=line):
        build_method(f"truncate[layers=1,of={fitted}]")
    code, _, err = bench("check", fitted)
    assert code == 2
    assert "fit=corpus gives one" in err
    assert "Traceback" not in err


def test_a_base_that_is_fitted_to_each_task(
    bench: Bench, base: Path, corpus: Path, tmp_path: Path
) -> None:
    spec = f"simcse[base={FITTED.format(corpus=corpus, of=base)},corpus={corpus},dev=false]"
    suite = write_suite(tmp_path)
    code, _, err = bench("run", "--suite", suite, "--methods", spec)
    assert code == 3
    assert "fit=corpus gives one" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("pca-dims[of=whitening]", r"pca-dims needs a model, and whitening .* with fit=train"),
        (
            "whitening[fit=corpus,of=truncate[dim=4,of=whitening[fit=test]]]",
            "whitening needs a model, and truncate.* with fit=test; choose the same fit",
        ),
        (
            "whitening[fit=test,of=whitening]",
            "whitening is fitted with fit=test, and whitening is fitted to each task with fit=tr",
        ),
        ("whitening@folder", r"whitening has no checkpoints; write whitening\[of=folder\]"),
        ("truncate[dim=4,fraction=0.5]", "dim and fraction both set"),
        ("random-dims[fraction=1.5]", "fraction: input should be less than or equal to 1"),
        ("pca-dims[dim=0]", "dim: input should be greater than 0"),
    ],
)
def test_what_does_not_go_together(bench: Bench, tmp_path: Path, spec: str, message: str) -> None:
    code, _, err = bench("run", "--suite", write_suite(tmp_path), "--methods", spec)
    assert code == 2
    assert re.search(message, err), err


def test_two_of_a_kind_are_fitted_one_after_the_other(
    bench: Bench, base: Path, corpus: Path, tmp_path: Path
) -> None:
    inner = f"whitening[corpus={corpus},kind=zca,of=sbert@{base}]"
    outer = f"whitening[corpus={corpus},of={inner}]"
    records = run(bench, write_suite(tmp_path), inner, outer)
    one, two = (records[str(parse_method_spec(spec)), 0] for spec in (inner, outer))
    assert [entry.rank for entry in two.tasks["pairs"].fits] == [15, 15]
    # White vectors stay white: the second map is a rotation.
    assert two.average == pytest.approx(one.average, abs=1e-6)


def test_seeds_count_where_they_matter(bench: Bench, tmp_path: Path) -> None:
    drawn = "random-dims[dim=5,of=good]"
    specs = ("truncate[dim=5,of=good]", drawn, f"truncate[dim=3,of={drawn}]")
    records = run(bench, write_suite(tmp_path), *specs, seeds=3)
    assert [sum(spec == name for name, _ in records) for spec in specs] == [1, 3, 3]
    assert len({record.model_fingerprint for record in records.values()}) == 7
    assert not any(record.method.trained for record in records.values())
    assert method(drawn).seeded
    assert not method(drawn).trains
    claim = {"name": "x", "claim": "x", "source": "x", "b": "good", "suite": "small.toml"}
    for spec, seeds in zip(specs, (1, 3, 3), strict=True):
        part = find_of_method(Claim.model_validate({**claim, "a": spec}), "small", spec, [])
        assert len(part.missing) == seeds


def test_a_base_is_drawn_with_the_seed_of_what_is_trained_on_it(base: Path) -> None:
    built: Any = build_method(f"truncate[dim=2,of=random-dims[of={base}]]", seed=3)[0]
    np.testing.assert_allclose(
        built.encoder.encode(TEXTS),
        vectors(f"random-dims[dim=2,of={base}]", seed=3),
        rtol=1e-5,
        atol=1e-6,
    )


def test_what_is_learnt_from(corpus: Path) -> None:
    found = lineage(method(f"truncate[dim=2,of=pca-dims[corpus={corpus},of=sct]]"))
    assert {one.info.name for one in found} == {"truncate", "pca-dims", "sct", "minilm-l2"}
    data = make_settings(profile="smoke").data
    texts = {text for one in found[:2] for text in one.training_texts(data)}
    assert {"apple of apple 0", "no apple"} <= texts
    assert not list(method("whitening[fit=test]").training_texts(data))
    assert method("whitening").training_datasets() == ("nli/triplets",)
    assert method("whitening[fit=test]").training_datasets() == ()


def test_bare_folders_are_wrapped_too(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "bare", hidden=8)
    assert vectors(f"truncate[fraction=0.01,of={folder}]").shape == (4, 1)
