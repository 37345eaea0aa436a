"""minBERT: what it learns, what it predicts, and what it says it has seen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.api import build_method, make_settings
from bench.core.errors import BenchError, CellError, DataError, UsageError
from bench.core.spec import parse_method_spec
from bench.data.access import in_fixed_split
from bench.data.catalog import Dataset, catalog
from bench.data.rows import Row, rows_sha256, write_rows
from bench.execution.settings import Settings
from bench.method import LabelledTexts, Method, resolve
from bench.methods.minbert import MinBert, MinBertEncoder
from bench.models.checkpoints import load_folder
from bench.records.files import find_records, read_record
from tests.support.classifiers import asked
from tests.support.models import tiny_bert
from tests.support.suites import Bench

LETTERS = "aekqz"
LEARNS = {"pooling": "mean", "lr": 2e-2, "epochs": 8}
SETS = {"classification/sst5": "label", "paraphrase/quora": "label", "sts/stsb": "score"}


def word(letter: str, rng: random.Random) -> str:
    return letter * rng.randint(3, 8)


def made(name: str, split: str, n: int) -> list[Row]:
    """Texts of one letter, which is the class; pairs are alike if their letters are."""
    rng = random.Random(f"{name}{split}")
    rows: list[Row] = []
    for i in range(n):
        one, two = rng.sample(LETTERS, 2)
        if name == "classification/sst5":
            rows.append({"text": word(LETTERS[i % 5], rng), "label": i % 5})
            continue
        alike = i % 2
        pair = {"sentence1": word(one, rng), "sentence2": word(one if alike else two, rng)}
        rows.append({**pair, SETS[name]: alike if name == "paraphrase/quora" else 5.0 * alike})
    return rows


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with small sets under the names of the real ones."""
    folder = tmp_path / "data"
    for name, sizes in (
        ("classification/sst5", {"train": 100, "dev": 20, "test": 50}),
        ("paraphrase/quora", {"dev": 200}),
        ("sts/stsb", {"train": 60, "dev": 20, "test": 40}),
    ):
        columns = [*made(name, "x", 1)[0]]
        splits = {}
        for split, size in sizes.items():
            rows = made(name, split, size)
            write_rows(folder / name / f"{split}.jsonl.gz", rows)
            splits[split] = {"rows": size, "sha256": rows_sha256(rows, columns)}
        entry = {"licence": "CC0 for tests", "columns": columns, "splits": splits}
        monkeypatch.setitem(catalog(), name, Dataset.model_validate(entry))  # type: ignore[arg-type]
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BENCH_DATA", str(folder))
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny_bert(tmp_path / "tiny")


def spec(base: Path | str, **options: Any) -> str:
    settings = {"base": base, "lr": 5e-3, "batch_size": 16, "epochs": 4, **options}
    return f"minbert[{','.join(f'{name}={value}' for name, value in settings.items())}]"


def fitted(base: Path | str, seed: int = 0, **options: Any) -> MinBertEncoder:
    built, _ = build_method(spec(base, **options), seed=seed)
    assert isinstance(built.encoder, MinBertEncoder)
    return built.encoder


def method(text: str) -> tuple[Method, Settings]:
    return resolve(MinBert, parse_method_spec(text), "local"), make_settings(profile="local")


def labelled(rows: list[Row]) -> LabelledTexts:
    *columns, label = rows[0]
    return LabelledTexts(
        [tuple(row[name] for name in columns) for row in rows], [row[label] for row in rows]
    )


def predicted(encoder: MinBertEncoder, name: str, n: int = 60) -> tuple[list[Any], list[Any]]:
    """Predictions of new rows, and what is right."""
    rows = labelled(made(name, "new", n))
    train = labelled(made(name, "train", 20))
    return list(asked(encoder, rows.texts, train).labels), list(rows.labels)


def accuracy(encoder: MinBertEncoder, name: str) -> float:
    return float(np.mean([one == two for one, two in zip(*predicted(encoder, name), strict=True)]))


@pytest.mark.parametrize("tasks", ["single", "multi"])
def test_all_tasks_are_learned(data: Path, base: Path, tasks: str) -> None:
    encoder = fitted(base, tasks=tasks, **LEARNS)
    assert accuracy(encoder, "classification/sst5") > 0.8
    assert accuracy(encoder, "paraphrase/quora") > 0.8
    scores, gold = predicted(encoder, "sts/stsb")
    assert np.corrcoef(scores, gold)[0, 1] > 0.8
    assert all(0 < score < 5 for score in scores)
    models = {id(one.model) for one in encoder._trained.values()}
    assert len(models) == {"single": 3, "multi": 1}[tasks]


def test_vectors_are_those_that_similarity_is_scored_by(data: Path, base: Path) -> None:
    encoder = fitted(base, max_steps=3)
    texts = ["aaa", "eeee 7"]
    similarity, sentiment = (encoder._trained[name] for name in ("similarity", "sentiment"))
    np.testing.assert_allclose(encoder.encode(texts), similarity.model.encode(texts), atol=1e-6)
    assert not np.allclose(encoder.encode(texts), sentiment.model.encode(texts), atol=1e-4)


def test_predicting_drops_nothing(data: Path, base: Path) -> None:
    one = fitted(base, max_steps=1, head_dropout=0.9)._trained["sentiment"]
    texts = [("aaa",), ("eeee",)]
    np.testing.assert_array_equal(one.outputs(texts), one.outputs(texts))


@pytest.mark.parametrize("pooling", ["pooler", "mean"])
def test_cosines_are_those_of_the_base(data: Path, base: Path, pooling: str) -> None:
    options = {} if pooling == "pooler" else {"pooling": pooling}
    encoder = fitted(base, sts="cosine", dropout="adaptive", epochs=1, **options)
    scores, _ = predicted(encoder, "sts/stsb")
    texts = labelled(made("sts/stsb", "new", 60)).texts
    vectors = [load_folder(base, "cpu", pooling).encode(list(one)) for one in zip(*texts)]  # noqa: B905
    one, two = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in vectors)
    np.testing.assert_allclose(np.array(scores) / 5, (one * two).sum(1), atol=1e-5)
    assert set(encoder._trained) == {"sentiment", "paraphrase", "similarity"}


def test_a_base_that_is_a_method_keeps_its_own_modules(
    data: Path, base: Path, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.tsv"
    corpus.write_text("".join(f"text {i}\tthe text {i}\tno text {i}\n" for i in range(20)))
    own = f"sup-simcse[base={base},corpus={corpus},dev=false,batch_size=4,head=true]"
    start, _ = build_method(own)
    encoder = fitted(own, sts="cosine", max_steps=2)
    texts = ["aaa", "eeee 7"]
    np.testing.assert_allclose(encoder.encode(texts), start.encoder.encode(texts), atol=1e-6)
    plain = fitted(own, sts="cosine", max_steps=2, pooling="mean")
    assert not np.allclose(plain.encode(texts), start.encoder.encode(texts), atol=1e-3)


@pytest.mark.nightly
def test_seeds_repeat(data: Path, base: Path) -> None:
    # Nothing is kept of a build, so every one of them trains.
    first, again, other = (
        predicted(fitted(base, tasks="multi", max_steps=4, seed=seed), "sts/stsb")
        for seed in (0, 0, 1)
    )
    assert again == first
    assert other != first


@pytest.mark.nightly
def test_a_build_that_was_cut_off_goes_on(
    data: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = predicted(fitted(base, epochs=1, head_dropout=0.2), "sts/stsb")
    head = MinBert._head

    def dies(self: MinBert, task: Any, *given: Any) -> Any:
        if task.name == "similarity":
            raise KeyboardInterrupt
        return head(self, task, *given)

    monkeypatch.setattr(MinBert, "_head", dies)
    with pytest.raises(KeyboardInterrupt):
        fitted(base, epochs=1, head_dropout=0.2)
    monkeypatch.setattr(MinBert, "_head", head)
    steps = _count_steps(monkeypatch)
    assert predicted(fitted(base, epochs=1, head_dropout=0.2), "sts/stsb") == expected
    assert steps == ["similarity"] * 4


def _count_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the tasks whose loss is computed from now on, one a step."""
    from bench.methods.losses.task_heads import TaskLoss

    names = {
        "SentimentHead": "sentiment",
        "ParaphraseHead": "paraphrase",
        "SimilarityHead": "similarity",
    }
    steps: list[str] = []
    forward = TaskLoss.forward

    def counted(self: TaskLoss, *given: Any) -> Any:
        steps.append(names[type(self.head).__name__])
        return forward(self, *given)

    monkeypatch.setattr(TaskLoss, "forward", counted)
    return steps


@pytest.mark.nightly
def test_dropout_schemes(data: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.methods.parts import dropout

    steps = []
    made_schedule = dropout.CurriculumDropout.__init__

    def noted(self: Any, model: Any, loss: Any, total: int, **options: Any) -> None:
        steps.append(total)
        made_schedule(self, model, loss, total, **options)
        sites = {site.module for site, _ in self._sites}
        assert {one for one in loss.modules() if type(one).__name__ == "Dropout"} <= sites

    monkeypatch.setattr(dropout.CurriculumDropout, "__init__", noted)
    standard, curriculum, adaptive = (
        fitted(base, max_steps=3, tasks="multi", dropout=one)
        for one in ("standard", "curriculum", "adaptive")
    )
    assert steps == [3]
    found = [predicted(one, "sts/stsb")[0] for one in (standard, curriculum, adaptive)]
    assert found[0] != found[1]
    sizes = [
        sum(one.numel() for one in encoder._trained["similarity"].model.parameters())
        for encoder in (standard, adaptive)
    ]
    assert sizes[1] - sizes[0] == 16 * 16 + 16


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        ([("one",), ("two",)], [0, 1]),
        ([("one",), ("two",)], ["odd", "even"]),
        ([("one",)] * 6, [0, 1, 2, 3, 4, 5]),
        ([("one", "two")] * 3, [0, 1, 2]),
        ([("one", "two")] * 2, ["yes", "no"]),
    ],
)
def test_other_tasks_are_refused(texts: Any, labels: Any) -> None:
    with pytest.raises(CellError, match=r"no head for labels .* in suite minbert only"):
        asked(MinBertEncoder({}), texts, LabelledTexts(texts, labels))


def test_what_it_reads_is_told(data: Path, base: Path) -> None:
    single, settings = method(spec(base))
    cosine, _ = method(spec(base, sts="cosine"))
    models = settings.models
    inputs = single.inputs(settings.data, models)
    refs = ["classification/sst5:train", "paraphrase/quora:dev#train", "sts/stsb:train"]
    assert [*inputs] == ["base", *refs]
    assert all(inputs[ref] == settings.data.sha256(ref) for ref in refs)
    assert [*cosine.inputs(settings.data, models)] == ["base", *refs[:2]]
    assert single.training_datasets() == tuple(SETS)
    assert cosine.training_datasets() == tuple(SETS)[:2]


def quora(part: str) -> list[Row]:
    rows = made("paraphrase/quora", "dev", 200)
    return [row for row in rows if in_fixed_split(row, [*row], part)]


def texts_of(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        yield from (value for value in row.values() if isinstance(value, str))


def test_the_training_texts_are_those_that_are_trained_on(data: Path, base: Path) -> None:
    single, settings = method(spec(base))
    expected = [
        *made("classification/sst5", "train", 100),
        *quora("train"),
        *made("sts/stsb", "train", 60),
    ]
    assert sorted(single.training_texts(settings.data)) == sorted(texts_of(expected))
    few, _ = method(spec(base, sentences=10))
    found = [*few.training_texts(settings.data)]
    assert len(found) == 10 + 20 + 20
    assert set(found) <= set(texts_of(expected))
    # Files may be in the order of their genres.
    assert found[:10] != [*texts_of(expected[:10])]


def test_a_checkpoint_is_refused(data: Path, base: Path) -> None:
    with pytest.raises(UsageError, match=r"write minbert\[base=.*tiny\]"):
        build_method(f"minbert@{base}")


def test_the_suite_is_scored(bench: Bench, data: Path, base: Path, tmp_path: Path) -> None:
    text = spec(base, tasks="multi", **LEARNS)
    code, _, err = bench("run", "--suite", "minbert", "--methods", text, "--data", data)
    assert code == 0, err
    (path,) = find_records([tmp_path / "results"])
    record = read_record(path)
    assert [*record.tasks] == ["SST5", "Quora", "STS-B"]
    assert [one.metric for one in record.tasks.values()] == ["accuracy", "accuracy", "Pearson"]
    assert record.average == pytest.approx(np.mean([one.main for one in record.tasks.values()]))
    assert all(one.main > 0.6 for one in record.tasks.values())
    assert all(one.in_domain for one in record.tasks.values())


def test_the_settings_are_those_of_the_starter_code() -> None:
    # CS224N's starter code, repository gpoesia/minbert-default-final-project;
    # those of the report (arXiv 2501.13758) are not known.
    config = MinBert.Config()
    assert (config.base, config.pooling) == ("bert-base-uncased", None)
    assert (config.lr, config.batch_size, config.epochs) == (1e-5, 8, 10)
    assert (config.head_dropout, config.sentences, config.max_steps) == (0.3, None, -1)
    settings = MinBert(config)._train_settings()
    assert (settings.adam_epsilon, settings.weight_decay) == (1e-6, 0.0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("lr", 0.01), ("batch_size", 4), ("epochs", 3.0), ("max_steps", 9), ("max_seq_length", 17)],
)
def test_settings_reach_the_trainer(name: str, value: Any) -> None:
    usual, changed = (
        getattr(MinBert(MinBert.Config.model_validate(given))._train_settings(), name)
        for given in ({}, {name: value})
    )
    assert changed == value != usual


def test_other_paraphrases(data: Path, base: Path, tmp_path: Path) -> None:
    _, settings = method(spec(base))
    ref = "paraphrase/quora:dev#test"
    other, _ = method(spec(base, paraphrases=ref))
    assert ref in other.inputs(settings.data, settings.models)
    assert {*texts_of(quora("test"))} <= {*other.training_texts(settings.data)}
    path = tmp_path / "pairs.tsv"
    path.write_text("sentence1\tsentence2\tlabel\n" + "one\ttwo\t1\nthree\tfour\t0\n" * 9)
    of_file, _ = method(spec(base, paraphrases=path))
    assert {"one", "four"} <= {*of_file.training_texts(settings.data)}
    assert of_file.training_datasets() == ("classification/sst5", "sts/stsb")
    before = of_file.inputs(settings.data, settings.models)[str(path)]
    path.write_text(path.read_text() + "five\tsix\t0\n")
    assert (
        method(spec(base, paraphrases=path))[0].inputs(
            make_settings(profile="local").data, settings.models
        )[str(path)]
        != before
    )


def test_a_build_tells_its_rows(data: Path, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("sentence1\tsentence2\tlabel\n" + "one\ttwo\t1\nthree\tfour\t0\n" * 9)
    built, _ = build_method(spec(base, paraphrases=path, max_steps=2, sentences=15))
    assert built.training is not None
    sets = built.training["sets"]
    assert sets["paraphrase"] == {"from": str(path), "rows": 15, "in_an_epoch": 15}
    assert sets["sentiment"]["from"] == "classification/sst5:train"
    stages = built.training["stages"]
    assert [*stages] == ["sentiment", "paraphrase", "similarity"]
    assert built.training["seconds"] == sum(one["seconds"] for one in stages.values()) > 0
    several, _ = build_method(spec(base, tasks="multi", max_steps=2))
    assert several.training is not None
    whole = len(quora("train"))
    expected = {"from": "paraphrase/quora:dev#train", "rows": whole, "in_an_epoch": 100}
    assert several.training["sets"]["paraphrase"] == expected
    assert [*several.training["stages"]] == ["sentiment-paraphrase-similarity"]


@pytest.mark.parametrize(
    ("paraphrases", "error", "message"),
    [
        ("paraphrase/quora:train", UsageError, "has no split 'train'"),
        ("sts/stsb:train", UsageError, "has no column 'label', which the paraphrase task needs"),
        ("no.tsv", DataError, "no.tsv: no such file; the paraphrase task takes one"),
    ],
)
def test_what_cannot_be_paraphrases(
    data: Path, base: Path, paraphrases: str, error: type[BenchError], message: str
) -> None:
    with pytest.raises(error, match=message):
        build_method(spec(base, paraphrases=paraphrases))


def test_labels_of_paraphrases_are_checked(data: Path, base: Path, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("sentence1\tsentence2\tlabel\none\ttwo\t1\none\ttwo\t2\n")
    with pytest.raises(DataError, match=r"row 2 has the label 2; the paraphrase task has 0, 1"):
        build_method(spec(base, paraphrases=path))
