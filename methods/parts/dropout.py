"""Dropout schemes of a training: a schedule of its probability, and a gate that learns it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Self

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Module
from sentence_transformers.sentence_transformer.modules import Dense
from torch import Tensor, nn

from bench.core.errors import UsageError
from bench.methods.parts.dropout_rates import dropout_sites
from bench.training.heads import fresh_linear


def curriculum(t: int, steps: int, p_max: float, p_min: float = 0.0, rate: float = 10.0) -> float:
    """Compute the drop probability p_min + (p_max - p_min)·(1 - e^{-rate·t/steps}).

    With ``p_min`` 0 it is 1 minus the retain probability of Curriculum Dropout (Morerio et al.,
    ICCV 2017, arXiv 1703.06229), at a speed relative to the training's length.

    Args:
        t: Steps done.
        steps: All steps of the training.
        p_max: Probability that it rises to.
        p_min: Probability that it starts with; never above ``p_max``.
        rate: Speed; 10 ends at 0.99995 of the way, 0 stays at the start.
    """
    start = min(p_min, p_max)
    return start - (p_max - start) * math.expm1(-rate * t / steps)


class CurriculumDropout(nn.Module):
    """Calls a loss with the dropout of model and loss on the schedule of ``curriculum``.

    All ``dropout_sites`` rise to the probability that they have when this is made, or those of the
    model to another one. One forward is one step and has one probability, so all views of a batch
    share it. The step is a persistent buffer. ``TrainingDropout`` puts back what there was.

    Args:
        model: The model that the loss trains.
        loss: Loss called with features and labels.
        steps: All steps of this training.
        p_min: Probability that the schedule starts with.
        p_max: Probability that all of the model rises to, or None for those that it has.
        rate: Speed of the schedule.
    """

    step: Tensor

    def __init__(
        self,
        model: SentenceTransformer,
        loss: nn.Module,
        steps: int,
        *,
        p_min: float = 0.0,
        p_max: float | None = None,
        rate: float = 10.0,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self._curriculum = partial(curriculum, steps=steps, p_min=p_min, rate=rate)
        of_model = set(dropout_sites(model))
        self._sites = [
            (site, p_max if p_max is not None and site in of_model else site.rate)
            for site in dropout_sites(model, loss)
        ]

    def forward(self, features: Iterable[Mapping[str, Any]], labels: Tensor | None) -> Tensor:
        """Set the probabilities of this step and compute the loss.

        Args:
            features: Tokens (B, L) of each column.
            labels: What the loss gets as labels.
        """
        # Trainers switch the model alone between training and evaluation.
        if self.model.training:
            t = int(self.step)
            for site, p_max in self._sites:
                site.drop(self._curriculum(t, p_max=p_max))
            self.step += 1
        value: Tensor = self.loss(features, labels)
        return value


class AdaptiveDropout(Module):  # type: ignore[misc, unused-ignore]
    """Drops units of a vector h (B, u) with probabilities that it learns from the vector itself.

    The shape is that of standout (Ba and Frey, NIPS 2013): a unit is kept with probability
    π = sigmoid(W h + b). W is (u, u); b is (u,), starts at logit(1 - p) and is learned too: u² + u
    parameters. A vector becomes h⊙m / mean(π) in training, with m ~ Bernoulli(π), and
    h⊙π / mean(π) at inference. The mean is over the units of a vector and gets no gradient; m
    passes its gradient on to π (straight-through).

    Args:
        width: Size u of the vectors.
        p: Drop probability where W h is 0.
        seed: Seed of W.

    Raises:
        ValueError: ``p`` is not between 0 and 1.
    """

    def __init__(self, width: int, p: float = 0.1, seed: int = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        if not 0 < p < 1:
            raise ValueError(f"p is {p}, but must be between 0 and 1")
        self.width = width
        self.p = p
        self.linear = fresh_linear(width, width, seed)
        nn.init.constant_(self.linear.bias, math.log((1 - p) / p))

    def forward(self, features: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Gate ``sentence_embedding`` (B, u)."""
        vectors = features["sentence_embedding"]
        # Half precision would round the probabilities.
        with torch.autocast(vectors.device.type, enabled=False):
            keep = torch.sigmoid(self.linear(vectors.to(self.linear.weight.dtype)))
        fixed = keep.detach()
        gate = torch.bernoulli(fixed) + (keep - fixed) if self.training else keep
        features["sentence_embedding"] = vectors * gate / fixed.mean(dim=1, keepdim=True)
        return features

    def get_config_dict(self) -> dict[str, Any]:
        """Arguments that a saved gate is made again with."""
        return {"width": self.width, "p": self.p}

    def save(
        self, output_path: str, *args: Any, safe_serialization: bool = True, **kwargs: Any
    ) -> None:
        """Save configuration and weights."""
        self.save_config(output_path)
        self.save_torch_weights(output_path, safe_serialization=safe_serialization)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        init_defaults: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load what ``save`` wrote; the arguments are those of the library's modules."""
        hub: dict[str, Any] = {
            "subfolder": subfolder,
            "token": token,
            "cache_folder": cache_folder,
            "revision": revision,
            "local_files_only": local_files_only,
        }
        gate = cls(**cls.load_config(model_name_or_path, **hub))
        loaded: Self = cls.load_torch_weights(model_name_or_path, model=gate, **hub)
        return loaded


def require_dropout(model: SentenceTransformer, advice: str) -> None:
    """Check that two encodings of one text differ in training.

    Args:
        model: The model.
        advice: What to do where they do not.

    Raises:
        UsageError: All probabilities are 0, and there is no gate.
    """
    gates = any(isinstance(module, AdaptiveDropout) for module in model)
    if not gates and not any(site.rate for site in dropout_sites(model)):
        raise UsageError(
            f"the base has no dropout, so that both views of a sentence are the same; {advice}"
        )


def append_adaptive(model: SentenceTransformer, seed: int, p: float = 0.1) -> None:
    """Append the gate to a model.

    Args:
        model: The model.
        seed: Seed of the weights.
        p: Drop probability that it starts near.
    """
    width = int(model.get_embedding_dimension() or 0)
    model.append(AdaptiveDropout(width, p, seed).to(model.device))


def freeze_adaptive(model: SentenceTransformer) -> None:
    """Replace the gate at the end of a trained model by layers of the library itself.

    The library does not load classes of other packages without ``trust_remote_code``; it loads
    these, and ``thaw_adaptive`` makes the gate of them again, to train it further. The vectors
    become h⊙π / (1 - p), which is a positive factor away from the gate's for each of them, so that
    cosines stay.

    Args:
        model: The model.

    Raises:
        TypeError: The last module of the model is no ``AdaptiveDropout``.
    """
    gate = model[-1]
    if not isinstance(gate, AdaptiveDropout):
        raise TypeError(f"the last module is a {type(gate).__name__}, not an AdaptiveDropout")
    weight, bias = gate.linear.weight.detach(), gate.linear.bias.detach()
    unit = torch.eye(gate.width).to(weight)
    # A gated linear unit multiplies the first half of its input by the sigmoid of the second.
    gated = Dense(
        gate.width,
        2 * gate.width,
        activation_function=nn.GLU(),
        init_weight=torch.cat([unit, weight]),
        init_bias=torch.cat([torch.zeros_like(bias), bias]),
    )
    # It also tells the library the size of the vectors, which the gated unit halves.
    scaled = Dense(
        gate.width,
        gate.width,
        bias=False,
        activation_function=None,
        init_weight=unit / (1 - gate.p),
    )
    model.pop(-1)
    model.extend([gated, scaled])


def thaw_adaptive(model: SentenceTransformer) -> None:
    """Undo ``freeze_adaptive``, on the model itself or on one that was saved and loaded since.

    Args:
        model: The model.

    Raises:
        TypeError: The model does not end with what ``freeze_adaptive`` makes.
    """
    match list(model)[-2:]:
        case [Dense(activation_function=nn.GLU(), linear=gated), Dense(linear=scaled)]:
            width, rate = scaled.out_features, 1 - 1 / scaled.weight[0, 0].item()
        case _:
            raise TypeError("the model does not end with a frozen gate")
    gate = AdaptiveDropout(width, rate).to(gated.weight)
    with torch.no_grad():
        gate.linear.weight.copy_(gated.weight[width:])
        gate.linear.bias.copy_(gated.bias[width:])
    model.pop(-1)
    model.pop(-1)
    model.append(gate)
