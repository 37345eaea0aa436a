"""View makers: how much they change, and that seeds and models decide what."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, BertForMaskedLM

from bench.core.cache import Cache
from bench.core.errors import UsageError
from bench.core.progress import Silent
from bench.data.access import DataAccess
from bench.methods.parts.views import fill_masks, replace_one_word, synonyms
from tests.support.access import local_models
from tests.support.models import tiny_bert

TABLE = {"farm": ("ranch",), "dog": ("hound", "mutt")}


@given(st.lists(st.text(alphabet="farmdog .,", max_size=30)), st.integers(0, 5))
def test_one_word_at_most_is_replaced(sentences: list[str], seed: int) -> None:
    views = replace_one_word(sentences, TABLE, seed)
    assert len(views) == len(sentences)
    for before, after in zip(sentences, views, strict=True):
        old, new = before.split(" "), after.split(" ")
        assert len(old) == len(new)
        assert sum(one != two for one, two in zip(old, new, strict=True)) <= 1


def test_the_rest_of_the_sentence_is_kept() -> None:
    assert replace_one_word(["Old farm, no hay."], TABLE, 0) == ["Old ranch, no hay."]
    assert replace_one_word(["nothing here"], TABLE, 0) == ["nothing here"]
    both = {replace_one_word(["a dog"], TABLE, seed)[0] for seed in range(20)}
    assert both == {"a hound", "a mutt"}


def test_synonyms_of_the_word_net(data_folder: Path, tmp_path: Path) -> None:
    table = synonyms(_access(tmp_path, data_folder))
    assert "auto" in table["car"]
    assert all(word not in others for word, others in table.items())


def test_share_of_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = local_models(tmp_path)
    model, tokenizer = models.masked_lm(str(_masked_lm(tmp_path / "mlm")))
    monkeypatch.setattr(models, "masked_lm", lambda name: (model, tokenizer))
    masked = []
    model.register_forward_pre_hook(
        lambda _, __, inputs: masked.append(inputs["input_ids"] == tokenizer.mask_token_id),
        with_kwargs=True,
    )
    sentences = ["a", "b c d", "abcdefghij", " ".join("abcdefghij" * 6)]

    def views(seed: int) -> list[str]:
        return fill_masks(sentences, "mlm", models, seed=seed, max_seq_length=42, progress=Silent())

    one = views(0)
    assert one == views(0) != views(1)
    assert masked[0].sum(1).tolist() == [1, 1, 2, 6]
    # [CLS], [SEP] and padding are never guessed.
    assert not masked[0][:, 0].any()
    assert not masked[0][0, 2:].any()


def test_models_without_a_head_are_refused(tmp_path: Path) -> None:
    models = local_models(tmp_path)
    with pytest.raises(UsageError, match="has no head for masked language modelling"):
        models.masked_lm(str(tiny_bert(tmp_path / "bare")))
    with pytest.raises(UsageError, match="'minilm-l2' has no masked language model"):
        models.masked_lm("minilm-l2")


def _masked_lm(folder: Path) -> Path:
    tiny_bert(folder)
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


def _access(folder: Path, data: Path | None = None) -> DataAccess:
    cache = Cache(folder / "cache")
    return DataAccess(data, cache.data, cache.hashes(), offline=True)
