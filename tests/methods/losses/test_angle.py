"""AnglE's loss against complex numbers in NumPy and the library's, and what holds of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sentence_transformers.sentence_transformer import losses as library
from torch import Tensor

from bench.methods.losses.angle import AngleObjective, angle_loss
from bench.methods.losses.in_batch import InBatchLoss
from tests.support.processes import in_two_processes

B, U = 5, 8
VECTORS = torch.randn(3, B, U, generator=torch.Generator().manual_seed(4))
GRADES = torch.tensor([0.0, 1.0, 0.5, 0.5, 0.2])
LABELS = torch.zeros(B)


def complex_scores(first: Tensor, second: Tensor) -> NDArray[np.float64]:
    """|Re + Im| of the quotients z / w of all complex numbers of a pair, at the length 1."""
    x, y = first.double().numpy(), second.double().numpy()
    half = x.shape[1] // 2
    z, w = x[:, :half] + 1j * x[:, half:], y[:, :half] + 1j * y[:, half:]
    # The authors divide by the squared length of all w, not by that of each.
    quotients = z * w.conj() / (np.abs(w) ** 2).sum(axis=1, keepdims=True)
    lengths = np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    sums = quotients.sum(axis=1) / lengths
    return np.abs(sums.real + sums.imag)


def reference(scores: NDArray[np.float64], labels: Tensor, scale: float) -> float:
    """Every pair of pairs, one after the other."""
    total, grades = 1.0, labels.tolist()
    for i, less in enumerate(grades):
        for j, more in enumerate(grades):
            if less < more:
                total += float(np.exp(scale * (scores[i] - scores[j])))
    return float(np.log(total))


@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_complex_numbers(scale: float) -> None:
    loss = angle_loss(VECTORS[0], VECTORS[1], GRADES, scale=scale).item()
    expected = reference(complex_scores(VECTORS[0], VECTORS[1]), GRADES, scale)
    assert loss == pytest.approx(expected, rel=1e-5)


def objective(in_batch: float = 0.0, angle: float = 1.0, scale: float = 20.0) -> AngleObjective:
    return AngleObjective(
        lambda columns, labels: columns[0].square().sum(),
        in_batch_weight=in_batch,
        angle_weight=angle,
        angle_scale=scale,
    )


def test_triplets_equal_the_library() -> None:
    ours = objective().from_vectors([*VECTORS], LABELS)
    no_model: object = None
    theirs = library.AnglELoss(no_model).compute_loss_from_embeddings([*VECTORS], None)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


def test_the_weights() -> None:
    columns = [*VECTORS]
    angle, contrast = objective().from_vectors(columns, LABELS), VECTORS[0].square().sum()
    both = objective(30.0, 2.0).from_vectors(columns, LABELS)
    assert both.item() == pytest.approx(30 * contrast.item() + 2 * angle.item(), rel=1e-6)


def test_the_authors_in_batch_negatives_are_those_of_simcse() -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import BoW

    model = SentenceTransformer(modules=[BoW(["a"])], device="cpu")
    ours = InBatchLoss(model, temperature=0.05, head=False, seed=0).from_vectors([*VECTORS], LABELS)
    anchors, *rest = (vectors.double().numpy() for vectors in VECTORS)
    targets = np.concatenate(rest)
    cosines = anchors @ targets.T / np.linalg.norm(anchors, axis=1)[:, None]
    logits = 20 * cosines / np.linalg.norm(targets, axis=1)
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits))
    assert ours.item() == pytest.approx(expected, rel=1e-5)


def test_lengths_of_vectors_do_not_count() -> None:
    usual = angle_loss(VECTORS[0], VECTORS[1], GRADES, scale=20.0)
    other = angle_loss(3 * VECTORS[0], VECTORS[1] / 7, GRADES, scale=20.0)
    torch.testing.assert_close(usual, other)


def test_equal_grades_rank_nothing() -> None:
    assert angle_loss(VECTORS[0], VECTORS[1], torch.ones(B), scale=20.0).item() == 0


def test_equal_texts_score_1_and_the_order_of_the_pairs_is_nothing() -> None:
    same = torch.cat([VECTORS[0], VECTORS[0]])
    others = torch.cat([VECTORS[0], VECTORS[1]])
    labels = torch.cat([torch.ones(B), torch.zeros(B)])
    scores = np.concatenate([np.ones(B), complex_scores(VECTORS[0], VECTORS[1])])
    loss = angle_loss(same, others, labels, scale=5.0)
    assert loss.item() == pytest.approx(reference(scores, labels, 5.0), rel=1e-5)
    order = torch.randperm(2 * B, generator=torch.Generator().manual_seed(0))
    shuffled = angle_loss(same[order], others[order], labels[order], scale=5.0)
    torch.testing.assert_close(loss, shuffled)


def test_a_step_draws_positives_nearer_than_negatives() -> None:
    columns = [vectors.clone().requires_grad_() for vectors in VECTORS]
    before = objective().from_vectors(columns, LABELS)
    before.backward()
    with torch.no_grad():
        moved = [vectors - 0.01 * vectors.grad for vectors in columns]
    margins = [
        np.mean(complex_scores(one, two) - complex_scores(one, three))
        for one, two, three in (VECTORS, moved)
    ]
    assert margins[1] > margins[0]
    assert objective().from_vectors(moved, LABELS) < before


def test_the_last_of_an_odd_number_has_no_imaginary_part() -> None:
    odd = [vectors[:, :3] for vectors in VECTORS[:2]]
    even = [torch.stack([v[:, 0], v[:, 1], v[:, 2], torch.zeros(B)], dim=1) for v in VECTORS[:2]]
    found = angle_loss(*odd, GRADES, scale=20.0)
    torch.testing.assert_close(found, angle_loss(*even, GRADES, scale=20.0))


def process(rank: int, _: object) -> float:
    """The loss of a process that has 2 of 5 pairs, or the other 3."""
    own = slice(0, 2) if rank == 0 else slice(2, B)
    return angle_loss(VECTORS[0][own], VECTORS[1][own], GRADES[own], scale=20.0).item()


@pytest.mark.nightly
def test_pairs_of_two_processes_are_those_of_one(tmp_path: object) -> None:
    whole = angle_loss(VECTORS[0], VECTORS[1], GRADES, scale=20.0).item()
    assert in_two_processes(process, tmp_path) == pytest.approx([whole, whole], rel=1e-6)
