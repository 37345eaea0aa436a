"""Drop probabilities of a model: where they are, and others while it is trained."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

from sentence_transformers import SentenceTransformer
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState

from bench.core.errors import UsageError


@dataclass(frozen=True)
class DropoutSite:
    """A module that drops units in training.

    Attributes:
        module: The module.
        name: Its attribute that has the probability.
    """

    module: nn.Module
    name: str

    @property
    def rate(self) -> float:
        """The drop probability."""
        return float(getattr(self.module, self.name))

    def drop(self, rate: float) -> None:
        """Drop with another probability from now on."""
        setattr(self.module, self.name, rate)


def dropout_sites(*modules: nn.Module) -> list[DropoutSite]:
    """Find all modules that drop units, each once, also those whose probability is 0.

    They are ``torch.nn.Dropout``, and what has a number of its own that torch is handed in every
    forward pass, such as the attention of Llama, Mistral, Qwen2, OPT and ModernBERT.

    Args:
        modules: A model, a loss.
    """
    inner = dict.fromkeys(chain.from_iterable(module.modules() for module in modules))
    return [DropoutSite(module, name) for module in inner for name in _rates(module)]


def _rates(module: nn.Module) -> list[str]:
    if isinstance(module, nn.Dropout):
        return ["p"]
    numbers = ((name, value) for name, value in vars(module).items() if name.endswith("dropout"))
    return [name for name, value in numbers if type(value) in (int, float)]


class TrainingDropout(TrainerCallback):
    """Drops with one probability everywhere in a model while it is trained.

    What the model had is put back when the training ends, and its configuration is never changed,
    so that what is saved has the probabilities of its base.

    Args:
        model: The model.
        rate: The probability, or None for those that it has: then what others change meanwhile is
            put back.

    Raises:
        UsageError: There is a rate above 0, and the model has nothing that drops.
    """

    def __init__(self, model: SentenceTransformer, rate: float | None) -> None:
        self._own = [(site, site.rate) for site in dropout_sites(model)]
        self._rate = rate
        if rate and not self._own:
            raise UsageError(f"the base has nothing that drops units; leave out the rate {rate}")

    def on_train_begin(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Set the probability."""
        if self._rate is not None:
            for site, _ in self._own:
                site.drop(self._rate)

    def on_train_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Put back what there was."""
        for site, rate in self._own:
            site.drop(rate)
