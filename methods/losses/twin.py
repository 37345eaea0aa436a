"""Losses of twin towers and of their distillation (JTCSE, arXiv 2505.02366).

The paper extends TNCSE (AAAI 2025, arXiv 2503.12739). Rows are interleaved: 2i and 2i + 1 are the
two views of one sentence, and each other's partners.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn import functional

from bench.methods.parts.twin import TowerPair, TwinPass, towers
from bench.training.gather import gather_rows
from bench.training.heads import fresh_linear

# The authors' constant for cosines below zero; here for all below it.
LEAST_COSINE = 1e-4
# Weights of contrast and of distance in distillation.
CONTRAST, DISTANCE = 0.01, 0.99
_TINY = 1e-12


def interleave(first: Tensor, second: Tensor) -> Tensor:
    """Mix two views of b sentences, (b, u) each, into partners (2b, u)."""
    return torch.stack([first, second], dim=1).flatten(0, 1)


def partners(rows: int) -> Tensor:
    """Number of the partner of each of ``rows`` interleaved rows.

    Raises:
        ValueError: The number of rows is odd.
    """
    if rows % 2:
        raise ValueError(f"{rows} rows are not pairs")
    return torch.arange(rows) ^ 1


def interaction_nce(u: Tensor, v: Tensor, temperature: float) -> Tensor:
    """Contrast the rows of one tower with those of the other; a scalar.

    It is the mean over i of -log(e^{cos(u_i, v_p)/τ} / Σ_{j≠i} e^{cos(u_i, v_j)/τ}), with p the
    partner of i.

    Args:
        u: Anchors (2b, d), interleaved.
        v: Candidates (2b, d), interleaved.
        temperature: Temperature τ.
    """
    logits = functional.normalize(u, dim=1) @ functional.normalize(v, dim=1).T / temperature
    own = torch.eye(len(u), dtype=torch.bool, device=u.device)
    target = partners(len(u)).to(u.device)
    return functional.cross_entropy(logits.masked_fill(own, float("-inf")), target)


def info_nce(z: Tensor, temperature: float) -> Tensor:
    """Contrast the rows (2b, d) of one tower with each other; a scalar."""
    return interaction_nce(z, z, temperature)


def norm_ratio(p: Tensor, q: Tensor) -> Tensor:
    """Compute ‖p - q‖ / (‖p‖ + ‖q‖) of each row, (n, d) to (n,); 0 where both are 0.

    With ‖q‖ = k‖p‖ and t the cosine it is sqrt(1 + k² - 2kt) / (1 + k).
    """
    lengths = vector_norm(p, dim=1) + vector_norm(q, dim=1)
    ratio: Tensor = vector_norm(p - q, dim=1) / lengths.clamp(min=_TINY)
    return ratio


def modulus_term(h_x: Tensor, h_y: Tensor, p_x: Tensor, p_y: Tensor) -> Tensor:
    """Compute L_TN(X, Y), the tensor-modulus term of ordered towers; a scalar.

    It is the mean over even rows i of -log(cos(h_x_i, h_y_{i+1})) · m_i, where m_i is half the
    norm ratio of p_x_i and p_y_{i+1}. Cosines below 1e-4 count as 1e-4, without a gradient.

    Args:
        h_x: Vectors of tower X (2b, d), interleaved.
        h_y: Vectors of tower Y (2b, d), interleaved.
        p_x: Pooler outputs of tower X (2b, d).
        p_y: Pooler outputs of tower Y (2b, d).
    """
    cosine = functional.cosine_similarity(h_x[0::2], h_y[1::2], dim=1)
    direction = -cosine.clamp(LEAST_COSINE, 1.0).log()
    return (direction * norm_ratio(p_x[0::2], p_y[1::2]) / 2).mean()


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute 0.01·L_nce of the rows t1, s1, t2, s2, … + 0.99·mean|s - t|; a scalar.

    The authors' own loss is not published.

    Args:
        student: Vectors of the student (b, d).
        teacher: Vectors of the teacher (b, d), which get no gradient.
        temperature: Temperature of the contrast.
    """
    teacher = teacher.detach()
    contrast = info_nce(interleave(teacher, student), temperature)
    return CONTRAST * contrast + DISTANCE * (student - teacher).abs().mean()


class TwinLoss(nn.Module):
    """The sum of L_NCE, L_ICNCE and L_ICTM over batches of two views.

    L_NCE contrasts each tower with itself. L_ICNCE contrasts tower A with tower B, or B with A as
    a coin decides at each step, on their cross-attention outputs and on their vectors. L_ICTM is
    L_TN(A, B) + L_TN(B, A), of the vectors and of what a pooler, linear and tanh, makes of them.
    That is a tower's own pooler where it was ever trained, else a fresh one for training only,
    with the same start in both towers.

    In several processes rows are those of all of them, see ``gather_rows``.

    Args:
        model: Twin with vectors of size u.
        temperature: Temperature τ.
        cross_layers: Layers that attend across, see ``TwinPass``; with 0 of them L_ICNCE has no
            part on cross-attention outputs.
        interaction: Whether L_ICNCE has its part on the towers' vectors.
        modulus: Whether there is L_ICTM.
        seed: Seed of the coin and of fresh poolers.
    """

    step: Tensor

    def __init__(
        self,
        model: SentenceTransformer,
        *,
        temperature: float,
        cross_layers: int = 1,
        interaction: bool = True,
        modulus: bool = True,
        seed: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.poolers = nn.ModuleList(
            _pooler(tower, seed) for tower in (towers(model) if modulus else ())
        )
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self._encode = TwinPass(model, cross_layers=cross_layers)
        self._interaction = interaction
        self._temperature = temperature
        self._seed = seed

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor | None) -> Tensor:
        """Encode both views with both towers and compute the loss.

        Each view has its own forward pass, so that equal texts get different dropout masks.

        Args:
            features: Tokens (b, L) of the two views of each sentence.
            labels: Ignored.
        """
        first, second = (self._encode(self.model, view) for view in features)
        # Half precision would round the logits, which reach 1 / τ.
        with torch.autocast(first.own[0].device.type, enabled=False):
            crossed = None
            if first.crossed is not None and second.crossed is not None:
                crossed = _interleaved(first.crossed, second.crossed)
            terms = self.terms(_interleaved(first.own, second.own), crossed)
        if self.model.training:
            self.step += 1
        return torch.stack([*terms.values()]).sum()

    def terms(self, own: TowerPair, crossed: TowerPair | None) -> dict[str, Tensor]:
        """Compute the terms of the loss that are switched on: ``nce``, ``icnce``, ``ictm``.

        Args:
            own: Vectors of towers A and B, (2b, u) each, interleaved.
            crossed: Their cross-attention outputs, (2b, u) each, interleaved, or None.
        """
        losses = {"nce": self._summed([(tower, tower) for tower in own])}
        across = [pair for pair in (crossed, own if self._interaction else None) if pair]
        if across:
            swapped = coin(self._seed, int(self.step))
            losses["icnce"] = self._summed([(b, a) if swapped else (a, b) for a, b in across])
        if len(self.poolers):
            p_a, p_b = (pool(tower) for pool, tower in zip(self.poolers, own, strict=True))
            losses["ictm"] = modulus_term(*own, p_a, p_b) + modulus_term(*own[::-1], p_b, p_a)
        return losses

    def _summed(self, pairs: list[TowerPair]) -> Tensor:
        return torch.stack([interaction_nce(u, v, self._temperature) for u, v in pairs]).sum()


class TwinDistillation(nn.Module):
    """Distils the sum of two towers into one encoder.

    Args:
        model: Student with vectors of size u.
        teacher: Vectors of the teacher for all N rows, float32 (N, u).
        temperature: Temperature of the contrast.

    Raises:
        ValueError: Student and teacher have vectors of different sizes.
    """

    teacher: Tensor

    def __init__(self, model: SentenceTransformer, teacher: Tensor, temperature: float) -> None:
        super().__init__()
        width = model.get_embedding_dimension()
        if width != teacher.shape[1]:
            raise ValueError(f"the student has {width} dimensions, the teacher {teacher.shape[1]}")
        self.model = model
        # Made anew from the teacher after an interruption, so no part of checkpoints.
        self.register_buffer("teacher", teacher, persistent=False)
        self._temperature = temperature

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor) -> Tensor:
        """Encode the sentences and compute the loss.

        Args:
            features: Tokens (b, L) of the sentences.
            labels: Numbers of the rows (b,), which choose the teacher's vectors.
        """
        (view,) = features
        student = self.model(dict(view))["sentence_embedding"]
        with torch.autocast(student.device.type, enabled=False):
            own, teacher = gather_rows(student.float()), self.teacher[labels.long()]
            return distillation_loss(own, gather_rows(teacher), self._temperature)


def coin(seed: int, step: int) -> bool:
    """Toss a fair coin for a step, the same one whenever that step is taken."""
    return random.Random(f"{seed}/{step}").random() < 0.5


def _interleaved(first: TowerPair, second: TowerPair) -> TowerPair:
    a, b = (
        interleave(gather_rows(left.float()), gather_rows(right.float()))
        for left, right in zip(first, second, strict=True)
    )
    return a, b


def _pooler(tower: SentenceTransformer, seed: int) -> nn.Module:
    transformer: Any = tower[0]
    linear = getattr(getattr(transformer.auto_model, "pooler", None), "dense", None)
    # Poolers start with biases of zero, in checkpoints that never trained theirs as in the library.
    if linear is None or not linear.bias.any():
        width = int(tower.get_embedding_dimension() or 0)
        linear = fresh_linear(width, width, seed)
    return nn.Sequential(linear, nn.Tanh())
