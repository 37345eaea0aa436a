"""Self-supervised cross-view training (Limkonchotiwat et al., TACL 2023, arXiv 2311.03228).

Each view's projected vector must reproduce, over a queue of references, the similarity
distribution that the other view's un-projected vector has; no gradient flows into references.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional

DivergenceKind = Literal["kl", "ce"]
ViewPairing = Literal["cross", "identical"]
ProjectorKind = Literal["mlp", "residual", "none"]
WIDENING = 10
BLOCKS = 3
_NORM_TOLERANCE = 1e-3


class Projector(nn.Sequential):
    """Three chained blocks Linear(u, 10u), ReLU, Linear(10u, u): 60u² + 33u parameters.

    Args:
        width: Size u of the vectors, (B, u) in and out.
    """

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        for _ in range(BLOCKS):
            layers += [nn.Linear(width, WIDENING * width), nn.ReLU()]
            layers += [nn.Linear(WIDENING * width, width)]
        super().__init__(*layers)


class Residual(nn.Module):
    """A vector with what a module makes of it added, which at first is little: x + P(x).

    Args:
        module: The module P, (B, u) in and out.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, vectors: Tensor) -> Tensor:
        """Add, (B, u) to (B, u)."""
        added: Tensor = vectors + self.module(vectors)
        return added


def make_projector(kind: ProjectorKind, width: int, seed: int) -> nn.Module:
    """Make what projects the online branch.

    Args:
        kind: ``mlp`` is the paper's, which begins far from the identity; ``residual`` adds it to
            its input, and begins near; ``none`` is the identity (ablation).
        width: Size u of the vectors.
        seed: Seed of the weights.
    """
    if kind == "none":
        return nn.Identity()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        projector = Projector(width)
    return Residual(projector) if kind == "residual" else projector


class RingQueue(nn.Module):
    """First-in-first-out queue of unit rows in a ring buffer; starts with random rows.

    Args:
        size: Rows K; 0 for a queue that stays empty.
        width: Size u of a row.
        generator: Source of the random start.
    """

    rows: Tensor
    position: Tensor

    def __init__(self, size: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        start = torch.randn(size, width, generator=generator, dtype=torch.float32)
        self.register_buffer("rows", functional.normalize(start, dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, rows: Tensor) -> None:
        """Replace the oldest rows by new unit rows (B, u), in order; the last K where B > K.

        Raises:
            ValueError: A row does not have norm 1.
        """
        # NaN passes, so that the training can report it as what it is: a loss that diverged.
        if ((rows.float().norm(dim=1) - 1).abs() > _NORM_TOLERANCE).any():
            raise ValueError("a queue takes rows of norm 1 only; normalise them first")
        size = len(self.rows)
        if size == 0:
            return
        rows = rows[-size:].to(self.rows)
        places = (self.position + torch.arange(len(rows), device=self.rows.device)) % size
        self.rows[places] = rows
        self.position.copy_((self.position + len(rows)) % size)

    def ordered(self) -> Tensor:
        """All rows (K, u), the oldest first."""
        return torch.roll(self.rows, -int(self.position), dims=0)


def cross_view_loss(
    z1: Tensor,
    z2: Tensor,
    r1: Tensor,
    r2: Tensor,
    d1: Tensor,
    d2: Tensor,
    *,
    tau_ref: float,
    tau_on: float,
    kind: DivergenceKind = "kl",
    view: ViewPairing = "cross",
    half: bool = False,
) -> Tensor:
    """Compute equation 2 from unit rows; a scalar.

    With candidates C_i = [D_i; R_i] and SR(v, C, τ) = softmax(v·c / τ over C), it is
    KL(SR(r1, C1, tau_ref) ‖ SR(z2, C1, tau_on)) + KL(SR(r2, C2, tau_ref) ‖ SR(z1, C2, tau_on)).
    A student is scored against the candidates of its target's view.

    Args:
        z1: Projected vectors of view 1 (B, u); only z1 and z2 get a gradient.
        z2: Projected vectors of view 2 (B, u).
        r1: References of view 1 (B, u).
        r2: References of view 2 (B, u).
        d1: Queue of view 1 (K, u), without this batch.
        d2: Queue of view 2 (K, u), without this batch.
        tau_ref: Temperature of the references.
        tau_on: Temperature of the online branch.
        kind: ``ce`` leaves out the entropy of the targets, which has no gradient.
        view: ``identical`` lets each view learn from itself, z1 from r1 (ablation).
        half: Halve the sum, as the paper does and the authors' code does not.
    """
    student_of_1, student_of_2 = (z2, z1) if view == "cross" else (z1, z2)
    terms = []
    for reference, queue, student in ((r1, d1, student_of_1), (r2, d2, student_of_2)):
        # A copy, since the queue moves on before the backward pass needs these rows.
        candidates = torch.cat([queue, reference.to(queue)]).detach()
        log_p = _log_similarities(reference.detach(), candidates, tau_ref)
        log_q = _log_similarities(student, candidates, tau_on)
        terms.append(_divergence(log_p, log_q, kind))
    total = terms[0] + terms[1]
    return total / 2 if half else total


def _log_similarities(vectors: Tensor, candidates: Tensor, tau: float) -> Tensor:
    # Half precision would round away what temperatures of 0.02 tell apart.
    with torch.autocast(vectors.device.type, enabled=False):
        return functional.log_softmax(vectors.float() @ candidates.float().T / tau, dim=1)


def _divergence(log_p: Tensor, log_q: Tensor, kind: DivergenceKind) -> Tensor:
    terms = log_p.exp() * (-log_q if kind == "ce" else log_p - log_q)
    return terms.sum(dim=1).mean()


@dataclass(frozen=True)
class CrossViewSettings:
    """Settings of both losses over views, with a teacher and without.

    Attributes:
        queue_size: Rows K of each queue; 0 leaves the batch alone as candidates.
        tau_ref: Temperature of the references.
        tau_on: Temperature of the online branch.
        half: Halve the sum, as the paper does.
        kind: ``kl`` or ``ce``.
        view: ``cross``, or ``identical`` (ablation).
        shared_queue: One queue for both views (ablation).
        frozen_queue: Never enqueue (ablation).
        projector: Kind of the projector of the online branch; without one z = f(x) (ablation).
    """

    queue_size: int
    tau_ref: float
    tau_on: float
    half: bool = False
    kind: DivergenceKind = "kl"
    view: ViewPairing = "cross"
    shared_queue: bool = False
    frozen_queue: bool = False
    projector: ProjectorKind = "mlp"


class ViewsLoss(nn.Module):
    """What both losses over views do: project, compare with references, and queue these.

    Args:
        model: Sentence transformer with vectors of size u.
        settings: Settings.
        seed: Seed of projector and queues.
    """

    def __init__(self, model: SentenceTransformer, settings: CrossViewSettings, seed: int) -> None:
        super().__init__()
        self.model = model
        width, size = int(model.get_embedding_dimension() or 0), settings.queue_size
        self.projector = make_projector(settings.projector, width, seed)
        generator = torch.Generator().manual_seed(seed)
        self.queue1 = RingQueue(size, width, generator)
        self.queue2 = self.queue1 if settings.shared_queue else RingQueue(size, width, generator)
        self._frozen_queue = settings.frozen_queue
        self._loss = partial(
            cross_view_loss,
            tau_ref=settings.tau_ref,
            tau_on=settings.tau_on,
            kind=settings.kind,
            view=settings.view,
            half=settings.half,
        )

    def online(self, view: Mapping[str, Any]) -> Tensor:
        """Unit rows z = h(f(x)) of shape (B, u), with gradient."""
        vectors = self.model(dict(view))["sentence_embedding"]
        return functional.normalize(self.projector(vectors).float(), dim=1)

    def fill(self, r1: Tensor, r2: Tensor) -> None:
        """Begin with some references (n, u) in the queues in place of random rows."""
        self.queue1.enqueue(functional.normalize(r1.float(), dim=1))
        if self.queue2 is not self.queue1:
            self.queue2.enqueue(functional.normalize(r2.float(), dim=1))

    def compare(self, z1: Tensor, z2: Tensor, r1: Tensor, r2: Tensor) -> Tensor:
        """Compute the loss of unit rows (B, u), then enqueue the references in training."""
        loss = self._loss(z1, z2, r1, r2, self.queue1.rows, self.queue2.rows)
        # Trainers switch the model alone between training and evaluation.
        if self.model.training and not self._frozen_queue:
            self.queue1.enqueue(r1)
            self.queue2.enqueue(r2)
        return loss


class CrossViewLoss(ViewsLoss):
    """The SCT loss over batches of two views, with projector and queues.

    Args:
        model: Sentence transformer with vectors of size u.
        settings: Settings.
        seed: Seed of projector and queues.
        momentum: References come from a copy of the model that keeps this share of its own
            weights at every step, instead of from the model itself (ablation).
    """

    def __init__(
        self,
        model: SentenceTransformer,
        settings: CrossViewSettings,
        *,
        seed: int,
        momentum: float | None = None,
    ) -> None:
        super().__init__(model, settings, seed)
        self.reference = None if momentum is None else _copy_of_trained(model)
        self._momentum = momentum

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor | None) -> Tensor:
        """Encode both views twice, online and as references, and compute the loss.

        Args:
            features: Tokens of view 1 and view 2, (B, L) each.
            labels: Ignored.
        """
        first, second = features
        z1, z2 = (self.online(view) for view in (first, second))
        self._update_reference()
        r1, r2 = (self.references(view) for view in (first, second))
        return self.compare(z1, z2, r1, r2)

    @torch.no_grad()
    def references(self, view: Mapping[str, Any]) -> Tensor:
        """Unit rows r = f(x) of shape (B, u); in training with dropout, as the authors have it."""
        encoder = self.model if self.reference is None else self.reference
        vectors = encoder(dict(view))["sentence_embedding"]
        return functional.normalize(vectors.float(), dim=1)

    @torch.no_grad()
    def _update_reference(self) -> None:
        if self.reference is None or self._momentum is None:
            return
        self.reference.train(self.model.training)
        if self.model.training:
            pairs = zip(self.reference.parameters(), self.model.parameters(), strict=True)
            for own, new in pairs:
                if own is not new:
                    own.lerp_(new, 1 - self._momentum)


def _copy_of_trained(model: SentenceTransformer) -> SentenceTransformer:
    """A model with weights of its own where they are trained; frozen ones are shared."""
    frozen: dict[int, Any] = {id(p): p for p in model.parameters() if not p.requires_grad}
    return deepcopy(model, frozen).requires_grad_(False)
