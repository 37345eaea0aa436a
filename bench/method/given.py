"""Methods that a caller in Python hands over: encoders that are there, and classes of its own."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import uuid4

from bench.encoding.encoder import Encoder
from bench.method.contract import TORCH_STACK, BuildContext, Method, MethodInfo, ModelAccess

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from bench.data.access import DataAccess


class GivenMethod(Method):
    """An encoder under a name. Each has a class of its own, see ``given_class``.

    Attributes:
        encoder: The encoder.
        content: Hash of all that its vectors follow from, or None where nobody knows.
        takes_prompts: Whether prompts of suites are put before its texts.
    """

    encoder: ClassVar[Encoder | SentenceTransformer]
    content: ClassVar[str | None]
    takes_prompts: ClassVar[bool]

    @property
    def cached(self) -> bool:
        """Whether it is known what its vectors follow from."""
        return self.content is not None

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Its hash; where there is none, it is another model each time."""
        return {"given": self.content or uuid4().hex}

    def build(self, ctx: BuildContext) -> Encoder | SentenceTransformer:
        """Take the encoder as it is, or a copy on the device of the run."""
        encoder = self.encoder
        device = getattr(getattr(encoder, "device", None), "type", None)
        if self.takes_prompts and device != ctx.device.partition(":")[0]:
            copied: Any = deepcopy(encoder)
            moved: SentenceTransformer = copied.to(ctx.device)
            return moved
        return encoder

    def prompt(self, role: str | None, of_suite: str | None) -> str | None:
        """The suite's, for encoders that take prompts."""
        return of_suite if self.takes_prompts else None


def given_class(
    name: str, encoder: Encoder | SentenceTransformer, content: str | None, *, is_torch: bool
) -> type[GivenMethod]:
    """Make the method of an encoder.

    Args:
        name: Its name.
        encoder: The encoder.
        content: Hash of all that its vectors follow from, or None where nobody knows; it is
            encoded again in every run then.
        is_torch: Whether it is a ``SentenceTransformer``.
    """
    info = MethodInfo(
        name=name,
        title="An encoder that was handed over from Python",
        kind="static",
        requires=TORCH_STACK if is_torch else ("numpy",),
    )
    values = {"info": info, "encoder": encoder, "content": content, "takes_prompts": is_torch}
    # Its code is that of this module, whatever the encoder is made of.
    return type("GivenMethod", (GivenMethod,), {**values, "__module__": __name__})


class _Local(Method):
    """A method whose code no file has, as that of a notebook: nothing of it is used again."""

    nonce: ClassVar[str]

    @property
    def cached(self) -> bool:
        """Never, as what it does may change between two runs."""
        return False

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Those of the class, and what tells it from that of every other run."""
        return {**super().inputs(data, models), "given": self.nonce}


def local_class(name: str, cls: type[Method]) -> type[Method]:
    """Make the method of a class that this process alone knows.

    Args:
        name: Its name.
        cls: The class.
    """
    values = {"info": replace(cls.info, name=name), "nonce": uuid4().hex, "__module__": __name__}
    return type(cls.__name__, (_Local, cls), values)
