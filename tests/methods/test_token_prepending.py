"""Token prepending: what it edits, where it stops, and what it leaves as it was.

The numbers of invariants are those of the method's specification.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from bench.methods.parts.placeholder import placeholder_vector, prepending
from bench.methods.parts.prepending import PrependingEncoder
from bench.methods.parts.prompts import PLACEHOLDER, PROMPTS, Placeholder
from bench.methods.parts.read_layers import states_at
from bench.models.layers import find_blocks
from tests.support.prepending import (
    LAYERS,
    TEXTS,
    by_hand,
    embedded,
    encoder,
    place_of,
    plain_model,
)

pytestmark = pytest.mark.usefixtures("own_cache")


def reference(folder: Path, made: PrependingEncoder) -> NDArray[np.float32]:
    model, reading = plain_model(folder), made.reading
    vector, rows = placeholder_vector(model, None), []
    with torch.no_grad():
        for ids in made.rows(TEXTS):
            places = [place_of(made, ids)] if reading.prepend else []
            edited = range(reading.start, reading.stop)
            states = by_hand(model, ids, places, vector, edited)[reading.layer]
            rows.append(states[-1] if reading.pooling == "lasttoken" else states.mean(0))
    return torch.stack(rows).numpy()


# Invariants 5 and 6.
@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2", "opt"])
@pytest.mark.parametrize(
    "options",
    [
        {"start": 1, "stop": 3, "layer": 3},
        {"start": 0, "stop": 4, "layer": "last"},
        {"start": 2, "stop": 3, "layer": -2, "pooling": "mean"},
        {"start": 1, "stop": 4, "layer": 2, "pooling": "mean"},
        {"prepend": "false", "layer": 2},
    ],
)
def test_vectors_are_those_of_layers_called_by_hand(
    folders: Callable[[str], Path], kind: str, options: dict[str, Any]
) -> None:
    made = encoder(folders(kind), **options)
    expected = reference(folders(kind), made)
    assert len({len(row) for row in made.rows(TEXTS)}) > 5
    together = made.encode(TEXTS)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together, expected, atol=1e-5)
    alone = np.concatenate([made.encode([text]) for text in TEXTS[:8]])
    np.testing.assert_allclose(alone, expected[:8], atol=1e-5)
    np.testing.assert_array_equal(made.encode(TEXTS), together)


@pytest.mark.parametrize("kind", ["mistral", "qwen3", "gemma", "gemma2", "gpt_neox"])
def test_other_decoders(folders: Callable[[str], Path], kind: str) -> None:
    made = encoder(folders(kind), start=1, stop=3, layer=3)
    together = made.encode(TEXTS)
    np.testing.assert_allclose(made.encode(TEXTS[5:6]), together[5:6], atol=1e-5)
    unedited = encoder(folders(kind), start=3, stop=3, layer=3)
    assert not np.allclose(unedited.encode(TEXTS), together, atol=1e-3)
    model, ids = plain_model(folders(kind)), unedited.rows(TEXTS[5:6])[0]
    place = place_of(unedited, ids)
    embeddings = embedded(model, ids, [place], placeholder_vector(model, None))
    with torch.no_grad():
        states = model(inputs_embeds=embeddings, output_hidden_states=True).hidden_states
    np.testing.assert_allclose(unedited.encode(TEXTS[5:6])[0], states[3][0, -1], atol=1e-5)


def test_without_edits_it_is_the_model_on_the_same_prompt(folders: Callable[[str], Path]) -> None:
    """Invariant 1."""
    folder = folders("llama")
    model = plain_model(folder)
    for start, stop in ((2, 2), (3, 1)):
        made = encoder(folder, start=start, stop=stop, layer=3)
        ids = made.rows(TEXTS[:1])[0]
        embeddings = embedded(model, ids, [place_of(made, ids)], placeholder_vector(model, None))
        with torch.inference_mode():
            states = model(
                inputs_embeds=embeddings,
                attention_mask=torch.ones(1, len(ids), dtype=torch.long),
                output_hidden_states=True,
            ).hidden_states
        np.testing.assert_array_equal(made.encode(TEXTS[:1])[0], states[3][0, -1])
        assert made.reading.edited(3) == []


@contextmanager
def recorded(model: Any) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """What goes into each layer and what comes out, the very tensors, to see edits in place."""
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []

    def into(module: Any, args: Any, kwargs: Any) -> None:
        inputs.append(args[0] if args else kwargs["hidden_states"])

    def out(module: Any, args: Any, output: Any) -> None:
        outputs.append(output[0] if isinstance(output, tuple) else output)

    handles = [
        layer.register_forward_pre_hook(into, with_kwargs=True) for layer in find_blocks(model)[1]
    ]
    handles += [layer.register_forward_hook(out) for layer in find_blocks(model)[1]]
    yield inputs, outputs
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_edits_change_the_placeholder_and_nothing_before_it(
    folders: Callable[[str], Path], kind: str
) -> None:
    """Invariants 2 and 3."""
    model = plain_model(folders(kind))
    ids = torch.tensor([[5, 6, 7, 8, 9, 10], [9, 8, 5, 6, 7, 5]])
    places, vector = torch.tensor([[2], [3]]), placeholder_vector(model, None)
    rows = torch.arange(2)
    columns = places[:, 0]
    with torch.inference_mode():
        with prepending(model, places, vector, []), recorded(model) as (_, plain):
            model(input_ids=ids)
        with prepending(model, places, vector, [1, 2]), recorded(model) as (inputs, outputs):
            model(input_ids=ids)
    assert len(inputs) == len(outputs) == LAYERS
    for layer in range(1, LAYERS):
        given_, made = inputs[layer], outputs[layer - 1]
        kept = torch.ones(2, 6, dtype=torch.bool)
        if layer in (1, 2):
            assert torch.equal(given_[rows, columns], made[:, -1])
            assert not torch.equal(given_[rows, columns], made[rows, columns])
            kept[rows, columns] = False
        assert torch.equal(given_[kept], made[kept])
    for row, place in enumerate(columns):
        for with_edits, without in zip(outputs, plain, strict=True):
            assert torch.equal(with_edits[row, :place], without[row, :place])
        assert not torch.allclose(outputs[-1][row, place:], plain[-1][row, place:], atol=1e-4)


def test_the_first_word_sees_the_last_one(folders: Callable[[str], Path]) -> None:
    """Invariant 4."""
    model = plain_model(folders("llama"))
    places, vector = torch.tensor([[2]]), placeholder_vector(model, None)
    first_word, found = 3, {}
    for stop in (0, 2):
        for last in (20, 30):
            ids = torch.tensor([[5, 6, 7, 11, 12, last, 40]])
            with torch.inference_mode(), prepending(model, places, vector, range(1, stop)):
                found[stop, last] = model(input_ids=ids).last_hidden_state[0, first_word]
    assert torch.equal(found[0, 20], found[0, 30])
    assert not torch.allclose(found[2, 20], found[2, 30], atol=1e-3)


def test_nothing_is_computed_behind_the_layer(folders: Callable[[str], Path]) -> None:
    """Invariant 6: it stops there, and what it returns is what a full run has there."""
    model = plain_model(folders("opt"))
    features = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    with torch.inference_mode():
        full = model(**features, output_hidden_states=True).hidden_states
        for layer in range(LAYERS + 1):
            with recorded(model) as (_, outputs):
                found = states_at(model, features, layer)
            assert len(outputs) == layer
            assert torch.equal(found, full[layer])


def hooks(model: Any) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_the_model_is_as_before(folders: Callable[[str], Path]) -> None:
    made = encoder(folders("llama"), start=0, stop=4, layer=3)
    model = made._backbone
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    plain = plain_model(folders("llama"))
    ids = torch.tensor([[5, 6, 7, 8]])
    made.encode(TEXTS)
    with (
        pytest.raises(RuntimeError, match="cut off"),
        prepending(model, torch.tensor([[1]]), placeholder_vector(model, None), range(4)),
    ):
        assert hooks(model) == LAYERS + 1
        raise RuntimeError("cut off")
    with pytest.raises(ValueError, match="input_ids"):
        states_at(model, {"unheard_of": ids}, 2)
    assert hooks(model) == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with torch.inference_mode():
        assert torch.equal(model(ids).last_hidden_state, plain(ids).last_hidden_state)


def test_the_placeholder_s_embedding(folders: Callable[[str], Path]) -> None:
    """Invariant 7: where its first state is overwritten at once it cannot matter."""
    model = plain_model(folders("gemma"))
    one, other = placeholder_vector(model, None, seed=1), placeholder_vector(model, None, seed=2)
    assert not torch.equal(one, other)
    # Gemma multiplies its embeddings by the root of their width.
    drawn = torch.stack([placeholder_vector(model, None, seed=i) for i in range(99)])
    assert 2.0 < float(drawn.std()) < 6.0
    made = encoder(folders("llama"), start=0, stop=2, layer=3)
    later = encoder(folders("llama"), start=1, stop=2, layer=3)
    for built, equal in ((made, True), (later, False)):
        again = PrependingEncoder(built._backbone, built._tokenizer, built.reading, seed=1)
        assert np.array_equal(again.encode(TEXTS), built.encode(TEXTS)) == equal


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_placeholder_in_its_place(
    folders: Callable[[str], Path], kind: str, data: st.DataObject
) -> None:
    """Invariant 8."""
    parts = data.draw(st.lists(st.one_of(st.text(max_size=6), st.just(PLACEHOLDER)), max_size=5))
    text = "".join(parts)
    made = _kept(folders(kind))
    (row,), (usual,) = made.rows([text]), made.rows(["hello"])
    place = place_of(made, usual)
    assert row.count(made._placeholder) == 1
    assert row[: place + 1] == usual[: place + 1]
    assert row[-5:] == usual[-5:]


_MADE: dict[Path, PrependingEncoder] = {}


def _kept(folder: Path) -> PrependingEncoder:
    if folder not in _MADE:
        _MADE[folder] = encoder(folder)
    return _MADE[folder]


def test_a_text_with_the_placeholder_keeps_its_other_words(folders: Callable[[str], Path]) -> None:
    made = _kept(folders("qwen2"))
    one, other = made.encode([f"red {PLACEHOLDER} kettle", f"red {PLACEHOLDER} dog"])
    assert not np.allclose(one, other, atol=1e-4)
    assert PROMPTS["none"][0].holding(Placeholder()).around("a <pst> b") == "<PST> a < p s t > b"
    assert PROMPTS["none"][0].around("a <pst> b") == "a <pst> b"


@pytest.mark.parametrize("prepend", ["true", "false"])
def test_eight_prompts_are_averaged(folders: Callable[[str], Path], prepend: str) -> None:
    """Invariant 9."""
    made = encoder(folders("qwen2"), prompt="metaeol", prepend=prepend, max_seq_length=20)
    assert len(PROMPTS["metaeol-ours"]) == 8
    rows = made.rows(TEXTS)
    expected = []
    for number, text in enumerate(TEXTS):
        own = made.rows([text])
        assert rows[8 * number : 8 * number + 8] == own
        expected.append(made._vectors(own, [made.reading.layer])[0].mean(0))
    np.testing.assert_allclose(made.encode(TEXTS), expected, atol=1e-5)
    assert len({tuple(row) for row in rows[:8]}) == 8
