"""Token prepending's ablations: each changes what it says, against layers called by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.core.errors import UsageError
from bench.core.spec import parse_method_spec
from bench.method import resolve
from bench.methods.parts.attention import attention_changed
from bench.methods.parts.placeholder import own_places, placeholder_vector
from bench.methods.parts.prepending import PrependingEncoder
from bench.methods.parts.prompts import PROMPTS, Init, Placeholder, Position
from bench.methods.token_prepending import TokenPrepending
from tests.support.prepending import LAYERS, TEXTS, by_hand, encoder, plain_model

pytestmark = pytest.mark.usefixtures("own_cache")

POSITIONS: dict[Position, tuple[str, str]] = {
    "after-colon": (
        'This sentence : <PST> "X." means in one word:"',
        'After thinking step by step , this sentence : <PST> "X." means in one word:"',
    ),
    "before-this-sentence": (
        '<PST> This sentence : "X." means in one word:"',
        'After thinking step by step , <PST> this sentence : "X." means in one word:"',
    ),
    "inside-quote": (
        'This sentence : "<PST> X." means in one word:"',
        'After thinking step by step , this sentence : "<PST> X." means in one word:"',
    ),
    "after-sentence": (
        'This sentence : "X. <PST>" means in one word:"',
        'After thinking step by step , this sentence : "X. <PST>" means in one word:"',
    ),
}
DEFAULTS = {
    "position": "after-colon",
    "placeholder_init": "normal",
    "placeholders": 1,
    "mask_first_layer": "false",
}


def own(made: PrependingEncoder, ids: list[int]) -> list[int]:
    return [i for i, token in enumerate(ids) if token == made._placeholder]


def causal(length: int) -> Tensor:
    return torch.full((length, length), float("-inf")).triu(1)


def unseen(length: int, places: list[int]) -> Tensor:
    """The causal mask of a layer in which only the placeholders themselves see them."""
    mask = causal(length)
    for row in range(length):
        for place in places:
            if row != place:
                mask[row, place] = float("-inf")
    return mask


def seen_within(made: PrependingEncoder, ids: list[int]) -> Tensor:
    """The causal mask, but that tokens between the quotation marks see one another."""
    pieces = [made._tokenizer.decode([token]) for token in ids]
    first, second, _ = [i for i, piece in enumerate(pieces) if piece.strip() == '"']
    mask = causal(len(ids))
    mask[first + 1 : second, first + 1 : second] = 0
    return mask


def reference(folder: Path, made: PrependingEncoder, init: Init = "normal") -> NDArray[np.float32]:
    """Vectors of the texts, with edits and masks made by hand."""
    model, reading = plain_model(folder), made.reading
    vector = placeholder_vector(model, made._tokenizer, init)
    edited, rows = [*range(reading.start, reading.stop)], []
    if reading.resume is not None:
        edited += range(reading.resume, LAYERS)
    with torch.no_grad():
        for ids in made.rows(TEXTS):
            masks: dict[int, Tensor] = {}
            places = own(made, ids) if reading.prepend else []
            if reading.placeholder.masked:
                masks = {0: unseen(len(ids), places)}
            if reading.attention == "sentence":
                masks = dict.fromkeys(range(LAYERS), seen_within(made, ids))
            states = by_hand(model, ids, places, vector, edited if places else [], masks)
            rows.append(states[reading.layer][-1])
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt"])
@pytest.mark.parametrize(
    "options",
    [
        {"position": "before-this-sentence"},
        {"position": "inside-quote"},
        {"position": "after-sentence"},
        {"placeholders": 3},
        {"placeholders": 2, "position": "after-sentence", "mask_first_layer": "true"},
        {"placeholder_init": "space"},
        {"mask_first_layer": "true"},
        {"resume": 3, "stop": 2, "layer": "last"},
    ],
)
def test_vectors_are_those_of_layers_called_by_hand(
    folders: Callable[[str], Path], kind: str, options: dict[str, Any]
) -> None:
    base = {"start": 1, "stop": 3, "layer": 3}
    made = encoder(folders(kind), **{**base, **options})
    vectors = made.encode(TEXTS)
    expected = reference(folders(kind), made, options.get("placeholder_init", "normal"))
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    alone = np.concatenate([made.encode([text]) for text in TEXTS[:4]])
    np.testing.assert_allclose(alone, expected[:4], atol=1e-5)
    usual = encoder(
        folders(kind), **{**base, **{k: v for k, v in options.items() if k in ("stop", "layer")}}
    )
    assert not np.allclose(usual.encode(TEXTS), vectors, atol=1e-3)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "opt"])
def test_the_sentence_sees_all_of_itself_and_no_more(
    folders: Callable[[str], Path], kind: str
) -> None:
    options = {"prepend": "false", "layer": 3}
    made = encoder(folders(kind), attention="sentence", **options)
    vectors, plain = made.encode(TEXTS), encoder(folders(kind), **options).encode(TEXTS)
    alone = np.concatenate([made.encode([text]) for text in TEXTS[:4]])
    np.testing.assert_allclose(alone, vectors[:4], atol=1e-5)
    assert not np.allclose(vectors, plain, atol=1e-3)
    if kind == "llama":
        np.testing.assert_allclose(vectors, reference(folders(kind), made), atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_token_of_both_prompt_and_sentence_is_the_sentence_s(
    folders: Callable[[str], Path], kind: str
) -> None:
    made = encoder(folders(kind), prepend="false", attention="sentence")
    rows = made.rows(TEXTS)
    begins, ends = made._spans(rows)
    for row, begin, end in zip(rows, begins.tolist(), ends.tolist(), strict=True):
        offset = max(map(len, rows)) - len(row)
        before = made._tokenizer.decode(row[: begin - offset], skip_special_tokens=True).strip()
        behind = made._tokenizer.decode(row[end - offset :]).strip()
        assert 'This sentence : "'.startswith(before)
        assert '" means in one word:"'.endswith(behind)
        assert len(behind) > len("means")


@pytest.mark.parametrize(
    "options",
    [{"mask_first_layer": "true"}, {"prepend": "false", "attention": "sentence"}],
)
def test_masks_that_are_added_are_changed_too(
    folders: Callable[[str], Path], options: dict[str, str]
) -> None:
    """Torch's attention has masks of bool, or none; the one that models have themselves adds."""
    made = encoder(folders("llama"), layer=3, **options)
    eager = transformers.AutoModel.from_pretrained(folders("llama"), attn_implementation="eager")
    again = PrependingEncoder(eager, made._tokenizer, made.reading)
    np.testing.assert_allclose(again.encode(TEXTS), made.encode(TEXTS), atol=1e-5)


def test_layers_without_a_mask_are_refused(folders: Callable[[str], Path]) -> None:
    class Layer(nn.Module):
        def forward(self, hidden_states: Tensor) -> Tensor:
            return hidden_states

    model = plain_model(folders("llama"))
    model.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
    pairs = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    with (
        pytest.raises(UsageError, match="the layers of LlamaModel take no attention mask"),
        attention_changed(model, [0], pairs, attends=False),
    ):
        pass


@pytest.mark.parametrize("position", POSITIONS)
def test_where_the_placeholder_stands(position: Position) -> None:
    (eol,), (cot,) = PROMPTS["prompteol"], PROMPTS["cot"]
    placeholder = Placeholder(position)
    made = tuple(prompt.holding(placeholder).around("X") for prompt in (eol, cot))
    assert made == POSITIONS[position]
    two = eol.holding(Placeholder(position, count=2)).around("X <PST>")
    assert two == POSITIONS[position][0].replace("<PST>", "<PST><PST>").replace("X", "X < P S T >")


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
@pytest.mark.parametrize("position", POSITIONS)
def test_each_further_placeholder_is_one_token_more(
    folders: Callable[[str], Path], kind: str, position: str
) -> None:
    one, three = (encoder(folders(kind), position=position, placeholders=n) for n in (1, 3))
    for single, more in zip(one.rows(TEXTS), three.rows(TEXTS), strict=True):
        (place,) = own(one, single)
        assert own(three, more) == [place, place + 1, place + 2]
        assert more[: place + 1] + more[place + 3 :] == single
    long = "word " * 400
    (cut,) = three.rows([long])
    assert len(own(three, cut)) == 3
    assert cut[-5:] == three.rows(["word"])[0][-5:]


def test_look_alikes_in_the_text_are_left_alone() -> None:
    is_placeholder = torch.tensor([[0, 1, 1, 0, 1], [1, 1, 0, 1, 1]], dtype=torch.bool)
    before = own_places(is_placeholder, Placeholder(count=2))
    assert before.tolist() == [[1, 2], [0, 1]]
    behind = own_places(is_placeholder, Placeholder("after-sentence", count=2))
    assert behind.tolist() == [[2, 4], [3, 4]]


def test_embeddings_of_the_placeholder(folders: Callable[[str], Path]) -> None:
    made = encoder(folders("llama"))
    model, tokenizer = made._backbone, made._tokenizer
    kinds: tuple[Init, ...] = ("normal", "uniform", "zeros", "ones", "space")
    vectors = {init: placeholder_vector(model, tokenizer, init) for init in kinds}
    width = model.config.hidden_size
    assert torch.equal(vectors["zeros"], torch.zeros(width))
    assert torch.equal(vectors["ones"], torch.ones(width))
    space = torch.tensor([tokenizer.convert_tokens_to_ids("▁")])
    assert torch.equal(vectors["space"], model.get_input_embeddings()(space)[0])
    drawn = torch.stack(
        [placeholder_vector(model, tokenizer, "uniform", seed) for seed in range(50)]
    )
    assert 0 <= float(drawn.min()) < 0.1
    assert 0.9 < float(drawn.max()) < 1
    assert float(vectors["normal"].min()) < 0
    results = [encoder(folders("llama"), placeholder_init=init).encode(TEXTS) for init in kinds]
    for i, one in enumerate(results):
        assert not any(np.allclose(one, other, atol=1e-4) for other in results[:i])


def test_a_tokenizer_without_a_space(folders: Callable[[str], Path]) -> None:
    class Spaceless:
        def get_vocab(self) -> dict[str, int]:
            return {"a": 0}

    model = plain_model(folders("gemma"))
    with pytest.raises(UsageError, match="needs a token that is a space"):
        placeholder_vector(model, Spaceless(), "space")
    # Gemma scales its embeddings, and so that of a space.
    tokenizer = transformers.AutoTokenizer.from_pretrained(folders("gemma"))
    space = torch.tensor([tokenizer.convert_tokens_to_ids("Ġ")])
    expected = model.get_input_embeddings()(space)[0].detach()
    torch.testing.assert_close(placeholder_vector(model, tokenizer, "space"), expected)


def test_defaults_are_the_published_setting(folders: Callable[[str], Path]) -> None:
    usual = encoder(folders("qwen2"), stop=3, layer=3).encode(TEXTS)
    said = encoder(folders("qwen2"), stop=3, layer=3, **DEFAULTS).encode(TEXTS)
    np.testing.assert_array_equal(said, usual)


def method(options: str) -> TokenPrepending:
    spec = parse_method_spec(f"token-prepending[base=other,{options}]")
    made = resolve(TokenPrepending, spec, "local")
    assert isinstance(made, TokenPrepending)
    return made


def test_edits_begin_again() -> None:
    reading = method("stop=3,layer=7,resume=5").reading(8)
    assert reading.edited(7) == [1, 2, 5, 6]
    assert reading.edited(2) == [1]
    assert method("stop=3,layer=7").reading(8).edited(8) == [1, 2]
    for resume in (3, 7):
        with pytest.raises(UsageError, match=rf"resume={resume} is out of range: .* stop, 3, and"):
            method(f"stop=3,layer=7,resume={resume}").reading(8)


def test_layers_are_chosen_around_where_edits_begin_again() -> None:
    both = method("stop=auto,layer=auto,resume=3").candidates(8)
    assert {stop: [*layers] for stop, layers in both.items()} == {2: [4, 5, 6, 7, 8]}
    stops = method("stop=auto,layer=6,resume=5").candidates(8)
    assert {stop: [*layers] for stop, layers in stops.items()} == {2: [6], 3: [6], 4: [6]}
    layers = method("stop=2,layer=auto,resume=6").candidates(8)
    assert {stop: [*of] for stop, of in layers.items()} == {2: [7, 8]}
    for resume in (2, 8):
        with pytest.raises(UsageError, match=f"resume={resume} is out of range"):
            method(f"stop=auto,layer=auto,resume={resume}").candidates(8)


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        *[(f"prepend=false,{key}={value}", "prepend=true") for key, value in DEFAULTS.items()],
        ("prepend=false,resume=4", "prepend=true"),
        ("attention=sentence", "prepend=false"),
        ("prompt=none,position=inside-quote", "it needs a prompt"),
        ("start=0,placeholder_init=ones", "it needs start=1 or more"),
    ],
)
def test_options_that_do_nothing_are_refused(options: str, refusal: str) -> None:
    with pytest.raises(UsageError, match=f"does nothing here; .*{refusal}"):
        method(options)
