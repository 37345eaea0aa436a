"""Checkpoints that are not whole, damaged, pickled, or made for something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder
from sentence_transformers.sentence_transformer.modules import Router
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification

from bench.core.errors import DataError, UsageError
from bench.models.checkpoints import load_folder, load_masked_lm
from tests.support.access import local_models
from tests.support.models import tiny_bert, tiny_decoder
from tests.support.notes import Notes
from tests.support.saved_models import SHAPES, WIDTH, of, save, static

Damage = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
LAYER = "encoder.layer.1."


def rewrite(path: Path, damage: Damage) -> None:
    """Change the weights in a file."""
    save_file(damage(load_file(path)), path, metadata={"format": "pt"})


def without(prefix: str) -> Damage:
    """Leave weights out."""
    return lambda weights: {k: v for k, v in weights.items() if not k.startswith(prefix)}


def behind(prefix: str) -> Damage:
    """Put something in front of every name."""
    return lambda weights: {f"{prefix}{name}": tensor for name, tensor in weights.items()}


def with_extra(name: str) -> Damage:
    """Add a weight that no model has."""
    return lambda weights: {**weights, name: torch.zeros(2)}


def widened(name: str) -> Damage:
    """Give one weight another shape."""
    return lambda weights: {**weights, name: torch.zeros(3, 3)}


def load(folder: Path) -> list[str]:
    """Load a folder, and return what was told."""
    notes = Notes()
    load_folder(folder, "cpu", None, notes)
    return notes.found


@pytest.fixture(params=["bare", "saved"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A BERT of two layers, with and without the library's own files around it."""
    if request.param == "bare":
        return tiny_bert(tmp_path / "bare", layers=2)
    return save(SHAPES["mean"], tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without(LAYER), r"weights lack encoder\.layer\.1\.attention.* and 13 more; download"),
        (without("embeddings.word"), r"weights lack embeddings\.word_embeddings\.weight;"),
        (behind("module."), r"lack embeddings.*begin with 'module\.' there: save the model that"),
        (behind("_orig_mod."), r"lack embeddings.*all names begin with '_orig_mod\.' there"),
        (widened("embeddings.LayerNorm.weight"), r"other shapes than .* embeddings\.LayerNorm\.w"),
    ],
)
def test_weights_that_would_be_drawn_at_random_are_named(
    folder: Path, damage: Damage, message: str
) -> None:
    rewrite(folder / "model.safetensors", damage)
    with pytest.raises(DataError, match=message) as caught:
        load(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_the_model_has_no_place_for_are_told(folder: Path) -> None:
    assert load(folder) == []
    rewrite(folder / "model.safetensors", with_extra("cls.extra"))
    (note,) = load(folder)
    assert str(folder) in note
    assert "left out: cls.extra" in note


def test_a_pooler_that_nothing_reads_may_be_missing(folder: Path) -> None:
    before = load_folder(folder, "cpu").encode(["a kettle"])
    rewrite(folder / "model.safetensors", without("pooler."))
    model = load_folder(folder, "cpu")
    assert (model.encode(["a kettle"]) == before).all()
    # A saved folder and a method as a base ask for it later.
    with pytest.raises(UsageError, match="no pooler of its own, or its weights lack one"):
        from bench.models.checkpoints import with_pooling

        with_pooling(model, "pooler")


@pytest.mark.parametrize(
    ("shape", "part", "damage"),
    [
        ("dense", "2_Dense", without("linear.weight")),
        ("dense", "2_Dense", behind("module.")),
        ("residual", "2_Dense", without("residual")),
        ("layer norm", "2_LayerNorm", without("norm.bias")),
        ("layers", "1_WeightedLayerPooling", without("layer_weights")),
        ("static", "saved", behind("module.")),
        ("words", "saved", behind("module.")),
        ("lstm", "1_LSTM", without("encoder.weight_hh_l0")),
        ("cnn", "1_CNN", without("convs.0")),
        ("router", "document_0_Transformer", without(LAYER)),
        ("router", "query_0_StaticEmbedding", behind("module.")),
    ],
)
def test_every_module_has_to_be_whole(
    shape: str, part: str, damage: Damage, tmp_path: Path
) -> None:
    folder = save(SHAPES[shape], tmp_path)
    rewrite(next(tmp_path.rglob(part)) / "model.safetensors", damage)
    with pytest.raises(DataError, match=str(folder)) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def cut(path: Path) -> None:
    """Lose the second half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def point(path: Path) -> None:
    """Leave what Git LFS leaves where its files are not fetched."""
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def remove(path: Path) -> None:
    """Lose a file."""
    path.unlink()


def garble(path: Path) -> None:
    """Leave something that is no JSON."""
    path.write_text('{"a": ')


def empty(path: Path) -> None:
    """Leave an object with nothing in it."""
    path.write_text("{}")


@pytest.mark.parametrize(
    ("shape", "name", "damage"),
    [
        ("dense", "model.safetensors", cut),
        ("dense", "model.safetensors", point),
        ("dense", "model.safetensors", remove),
        ("dense", "2_Dense/model.safetensors", cut),
        ("dense", "2_Dense/model.safetensors", point),
        ("dense", "2_Dense/model.safetensors", remove),
        ("dense", "2_Dense/config.json", remove),
        ("dense", "1_Pooling/config.json", remove),
        ("dense", "1_Pooling/config.json", empty),
        ("dense", "1_Pooling/config.json", garble),
        ("dense", "tokenizer.json", point),
        ("dense", "tokenizer.json", garble),
        ("dense", "tokenizer_config.json", garble),
        ("dense", "config.json", remove),
        ("dense", "config.json", garble),
        ("dense", "modules.json", garble),
        ("dense", "modules.json", empty),
        ("dense", "sentence_bert_config.json", garble),
        ("dense", "config_sentence_transformers.json", garble),
        ("static", "model.safetensors", cut),
        ("static", "tokenizer.json", remove),
        ("bag of words", "0_BoW/config.json", remove),
        ("words", "wordembedding_config.json", remove),
        ("words", "whitespacetokenizer_config.json", garble),
        ("router", "router_config.json", remove),
        ("router", "document_0_Transformer/model.safetensors", cut),
        ("router", "document_1_Pooling/config.json", remove),
    ],
)
def test_the_damaged_file_is_named(
    shape: str, name: str, damage: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = save(SHAPES[shape], tmp_path)
    path = folder / name
    damage(path)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shard_that_the_index_names_has_to_be_there(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "bert")
    model = transformers.AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert load(folder) == []
    shard = sorted(folder.glob("model-*.safetensors"))[-1]
    shard.unlink()
    with pytest.raises(DataError, match=f"{shard} is missing"):
        load(folder)


class Runs:
    """Runs something when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("ran", "w")


@pytest.mark.parametrize("part", ["pytorch_model.bin", "2_Dense/pytorch_model.bin"])
@pytest.mark.parametrize("content", ["program", "nothing"])
def test_pickled_programs_are_refused_in_our_own_words(
    part: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save(SHAPES["dense"], tmp_path)
    pickled = folder / part
    pickled.with_name("model.safetensors").unlink()
    torch.save({"x": Runs()} if content == "program" else {}, pickled)
    with pytest.raises(DataError, match=f"{pickled} (is pickled|holds no weights)") as caught:
        load(folder)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("part", ["pytorch_model.bin", "2_Dense/pytorch_model.bin"])
def test_tensors_of_the_older_format_are_read(part: str, tmp_path: Path) -> None:
    """As published models of 2021 have them alone."""
    folder = save(SHAPES["dense"], tmp_path)
    expected = load_folder(folder, "cpu").encode(["one text"])
    weights = folder / part
    torch.save(load_file(weights.with_name("model.safetensors")), weights)
    weights.with_name("model.safetensors").unlink()
    assert (load_folder(folder, "cpu").encode(["one text"]) == expected).all()


@pytest.mark.parametrize("kind", ["bert", "llama", "gpt2", "qwen2"])
@pytest.mark.parametrize("settings", [True, False])
def test_a_tokenizer_without_a_vocabulary_is_missed(
    kind: str, settings: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    tiny_bert(folder) if kind == "bert" else tiny_decoder(folder, kind)
    (folder / "tokenizer.json").unlink()
    if not settings:
        (folder / "tokenizer_config.json").unlink()
    with pytest.raises(DataError, match=f"{folder} has no tokenizer"):
        load(folder)
    (folder / "vocab.json").write_text('{"<s>": 0, "a": 1}')
    with pytest.raises(DataError, match=f"{folder} has no tokenizer"):
        load(folder)


def test_a_tokenizer_of_bytes_needs_no_vocabulary(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    config = BertConfig(
        vocab_size=384,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    transformers.BertModel(config).save_pretrained(folder)
    transformers.ByT5Tokenizer().save_pretrained(folder)
    for path in folder.glob("tokenizer.json"):
        path.unlink()
    assert load(folder) == []


def test_a_classifier_that_is_scored_by_single_texts_is_told(tmp_path: Path) -> None:
    bare = tiny_bert(tmp_path / "bare")
    BertForSequenceClassification.from_pretrained(bare, num_labels=1).save_pretrained(bare)
    notes = load(bare)
    assert any("is a cross-encoder or another classifier" in note for note in notes)
    CrossEncoder(str(bare), device="cpu").save_pretrained(str(tmp_path / "saved"))
    notes = load(tmp_path / "saved")
    assert any("is a cross-encoder or another classifier" in note for note in notes)
    for pooling in ("mean", "cls"):
        loaded = load_folder(tmp_path / "saved", "cpu", pooling)
        assert loaded[1].pooling_mode == pooling


def test_a_head_alone_may_be_missing_where_a_language_model_is_asked_for(tmp_path: Path) -> None:
    folder = tiny_bert(tmp_path / "bert", layers=2)
    with pytest.raises(UsageError, match="has no head"):
        load_masked_lm(folder, "it", "cpu")
    BertForMaskedLM(BertConfig.from_pretrained(folder)).save_pretrained(folder)
    load_masked_lm(folder, "it", "cpu")
    rewrite(folder / "model.safetensors", without(f"bert.{LAYER}"))
    with pytest.raises(DataError, match=r"lack bert\.encoder\.layer\.1\."):
        load_masked_lm(folder, "it", "cpu")


def test_an_activation_that_is_code_is_not_replaced(tmp_path: Path) -> None:
    folder = save(SHAPES["dense"], tmp_path)
    path = folder / "2_Dense" / "config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps({**settings, "activation_function": "my_code.Act"}))
    with pytest.raises(DataError, match=r"names the activation my_code\.Act"):
        load(folder)


def test_tokens_are_pooled_only_where_there_are_some(tmp_path: Path) -> None:
    from bench.models.checkpoints import with_pooling

    router = Router.for_query_document([static(tmp_path / "q")], [static(tmp_path / "d")])
    for first in (static(tmp_path / "s"), router):
        with pytest.raises(UsageError, match="has no tokens to pool"):
            with_pooling(of(first), "cls")


def test_what_an_adapter_is_for_has_to_be_whole_too(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = SHAPES["mean"](tmp_path / "base")
    settings = peft.LoraConfig(task_type="FEATURE_EXTRACTION", r=2, target_modules=["query"])
    model.add_adapter(settings)
    for name, parameter in model.named_parameters():
        if "lora" in name:
            torch.nn.init.ones_(parameter)
    folder = tmp_path / "adapter"
    model.save_pretrained(str(folder), create_model_card=False)
    expected = model.encode(["a kettle boils"])
    assert abs(load_folder(folder, "cpu").encode(["a kettle boils"]) - expected).max() < 1e-5
    before = local_models(tmp_path).fingerprint(str(folder))
    rewrite(folder / "adapter_model.safetensors", lambda weights: dict([*weights.items()][1:]))
    with pytest.raises(DataError, match=r"weights lack .*lora"):
        load(folder)
    model.save_pretrained(str(folder), create_model_card=False)
    rewrite(tmp_path / "base" / "model.safetensors", without(LAYER))
    assert local_models(tmp_path).fingerprint(str(folder)) != before
    with pytest.raises(DataError, match=r"weights lack encoder\.layer\.1"):
        load(folder)


def test_a_prompt_that_is_no_text_is_refused(tmp_path: Path) -> None:
    folder = save(SHAPES["dense"], tmp_path)
    path = folder / "config_sentence_transformers.json"
    content = json.loads(path.read_text()) | {"prompts": {"q": 5}, "default_prompt_name": "q"}
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"{folder}: prompt 'q' is not a text"):
        load(folder)


def test_a_bare_folder_of_model2vec_is_told_how_to_be_saved(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tiny_bert(folder)
    (folder / "config.json").write_text('{"model_type": "model2vec", "normalize": true}')
    with pytest.raises(DataError, match=r"StaticEmbedding\.from_model2vec, and save"):
        load(folder)
