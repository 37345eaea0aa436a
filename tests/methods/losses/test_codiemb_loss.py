"""The loss of CoDiEmb: batches of both tasks, CoSENT in the place of its own, and instructions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from bench.methods.losses.graded import cosent_loss
from bench.methods.losses.multi_positive import Paired, PromptTokens, multi_positive_loss
from bench.methods.parts.mixture import Instructions
from tests.methods.losses.test_listwise_losses import TAU, TEXTS, encoded, features, make
from tests.support.models import tiny_bert


@pytest.fixture
def model(tmp_path: Path) -> SentenceTransformer:
    """A tiny model of three layers without dropout."""
    tiny_bert(tmp_path / "tiny", layers=3)
    return SentenceTransformer(str(tmp_path / "tiny"), device="cpu").eval()


@pytest.mark.parametrize("middle", [False, True])
def test_a_batch_of_both_tasks_weighs_them_by_rows(
    model: SentenceTransformer, middle: bool
) -> None:
    texts = [[*column, *reversed(column)] for column in TEXTS]
    labels = torch.tensor([0.3, -1.0, 1.0, -1.0, 0.6, 0.0])
    loss = make(model, middle=middle)

    def of(rows: list[int]) -> Tensor:
        batch = features(model, [[column[i] for i in rows] for column in texts])
        found: Tensor = loss(batch, labels[rows])
        return found

    expected = (2 * of([1, 3]) + 4 * of([0, 2, 4, 5])) / 6
    torch.testing.assert_close(of([0, 1, 2, 3, 4, 5]), expected, atol=1e-5, rtol=1e-5)


def test_cosent_stands_in_the_place_of_the_losses_over_the_order(
    model: SentenceTransformer,
) -> None:
    grades = torch.tensor([1.0, 0.3, 0.6])
    batch = features(model, TEXTS)
    first, second = (encoded(model, texts) for texts in TEXTS[:2])
    expected = cosent_loss(torch.cosine_similarity(first, second), grades)
    found = make(model, cosent=True)(batch, grades)
    torch.testing.assert_close(found.detach(), expected, atol=1e-4, rtol=1e-4)
    contrast = torch.full((3,), -1.0)
    torch.testing.assert_close(
        make(model, cosent=True)(batch, contrast), make(model)(batch, contrast)
    )


def test_instructions_are_read_but_not_averaged(model: SentenceTransformer) -> None:
    """As by the model itself, which encodes with prompts."""
    instructions = Instructions("for this: ", "like: ")
    model.prompts = {"query": instructions.query, "sts": instructions.pair}
    model.set_pooling_include_prompt(False)
    tokens = PromptTokens.of(model, instructions)
    assert tokens.query > tokens.pair > 1
    loss = make(model, prompts=tokens)
    before_query, before_pair = instructions.query, instructions.pair

    def prompted(prompt: str, column: int) -> tuple[list[str], Tensor]:
        # Those of a query have none before its answers.
        vectors = model.encode(TEXTS[column], prompt=prompt)
        return [prompt + text for text in TEXTS[column]], torch.from_numpy(vectors)

    asked, first = prompted(before_query, 0)
    answers = [encoded(model, TEXTS[i]) for i in (1, 2)]
    found = loss(features(model, [asked, *TEXTS[1:3]]), torch.full((3,), -1.0))
    none = first[:0]
    stacked = torch.stack(answers, dim=1)
    expected = multi_positive_loss(first, stacked, none, temperature=TAU)
    torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=1e-5)

    pairs, vectors = zip(*(prompted(before_pair, i) for i in (0, 1, 1)), strict=True)
    grades = torch.tensor([1.0, 0.3, 0.6])
    expected = loss.sts_loss(Paired(vectors[:2]), grades)
    torch.testing.assert_close(
        loss(features(model, [*pairs]), grades), expected, atol=1e-4, rtol=1e-4
    )

    # The first row is a query, the others are pairs that are contrasted.
    batch = [[one[0], *other[1:]] for one, other in zip([asked, *TEXTS[1:3]], pairs, strict=True)]
    columns = [
        torch.cat([one[:1], other[1:]])
        for one, other in zip([first, *answers], vectors, strict=True)
    ]
    found = loss(features(model, batch), torch.tensor([-1.0, -2.0, -2.0]))
    stacked = torch.stack(columns[1:], dim=1)
    expected = multi_positive_loss(columns[0], stacked, none, temperature=TAU)
    torch.testing.assert_close(found.detach(), expected, atol=1e-5, rtol=1e-5)
    without = make(model)(features(model, batch), torch.tensor([-1.0, -2.0, -2.0]))
    assert not torch.allclose(without, found, atol=1e-4)
