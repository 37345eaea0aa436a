"""Any model behind an address: servers of embeddings that speak as OpenAI's does."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from bench.core.errors import DataError, UsageError
from bench.encoding.changing import refuse_other
from bench.method import BuildContext, Method, MethodInfo, ModelAccess
from bench.method.contract import SUMMARY_FILE
from bench.methods.parts.endpoint import EmbeddingClient
from bench.methods.parts.role_prompts import RolePrompts, chosen_prompt

if TYPE_CHECKING:
    from bench.data.access import DataAccess

_PROBE = "The kettle is on, and it rains again."
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EXAMPLE = "api[base_url=http://127.0.0.1:8000/v1,model=NAME]"
_NEEDED = f"an address and the name of a model: {_EXAMPLE}"


class Api(Method):
    """A model that a server runs: vLLM, TEI, Ollama, llama.cpp, or a service that is paid for.

    What answers at an address may change without a word, so that the identity of such a model is
    what it is asked for: address, name, dimensions, prompts and ``revision``. A text that is always
    the same goes along with every request, and its first vector is kept; another one, in the same
    run or a later one, is an error, never a mixture of two models.
    """

    info = MethodInfo(
        name="api",
        title="Any server of embeddings that speaks as OpenAI's does",
        kind="supervised",
        requires=(),
        example=f"--suite sts7 --methods '{_EXAMPLE}'",
    )

    class Config(RolePrompts):
        """Where the server is, and how it is asked.

        Attributes:
            base_url: Its address, up to and without ``/embeddings``.
            model: Name of the model there.
            dimensions: Length of the vectors that is asked for, or None for the model's own.
            revision: Any name for what answers there now; another one makes another model.
            key_env: Environment variable that holds the key; None where the server wants none.
            batch_size: Most texts of a request, of which one is always the same.
            retries: Tries after the first, where the server is busy, breaks or is away.
            per_minute: Most requests a minute, or None for as many as it answers.
        """

        base_url: str | None = None
        model: str | None = None
        dimensions: int | None = Field(None, ge=1)
        revision: str | None = None
        # How a server is asked makes no other model.
        key_env: str | None = Field(None, exclude=True)
        batch_size: int = Field(32, ge=1, exclude=True)
        retries: int = Field(5, ge=0, exclude=True)
        per_minute: int | None = Field(None, ge=1, exclude=True)

        @field_validator("base_url")
        @classmethod
        def _address(cls, address: str | None) -> str | None:
            if address is None:
                return None
            parts = urlsplit(address)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("expected an address such as http://127.0.0.1:8000/v1")
            if parts.username or parts.password or parts.query or parts.fragment:
                raise ValueError(
                    "an address with a password or a query would be kept in records; leave that "
                    "out, and name the variable that holds the key as key_env"
                )
            return address.rstrip("/").removesuffix("/embeddings")

        @field_validator("key_env")
        @classmethod
        def _variable(cls, name: str | None) -> str | None:
            if name is not None and not _VARIABLE.fullmatch(name):
                raise ValueError("expected the name of an environment variable, not a key")
            return name

    config: Config

    def inputs(self, data: DataAccess, models: ModelAccess) -> Mapping[str, Any]:
        """Nothing but what is asked for.

        Raises:
            UsageError: No address or no model is named.
        """
        self._server()
        return {}

    def _server(self) -> tuple[str, str]:
        """Its address, and the name of the model there."""
        if self.config.base_url is None or self.config.model is None:
            raise UsageError(f"api needs {_NEEDED}")
        return self.config.base_url, self.config.model

    def build(self, ctx: BuildContext) -> ServedEncoder:
        """Ask the server for the first vector.

        Raises:
            UsageError: No address or no model is named, or the key is not set.
            DataError: The network is out of bounds.
            CellError: The server is not there, or refuses.
        """
        config = self.config
        base_url, model = self._server()
        if ctx.data.offline and urlsplit(base_url).hostname not in _LOOPBACK:
            raise DataError(f"{base_url} cannot be asked offline; allow the network")
        client = EmbeddingClient(
            base_url,
            model,
            dimensions=config.dimensions,
            key=_key(config.key_env),
            retries=config.retries,
            per_minute=config.per_minute,
            note=ctx.progress.note,
        )
        encoder = ServedEncoder(client, config)
        summary = json.dumps({"endpoint": encoder.facts()}, ensure_ascii=False)
        (ctx.workdir / SUMMARY_FILE).write_text(summary, encoding="utf-8")
        return encoder

    def prompt(self, role: str | None, of_suite: str | None) -> str | None:
        """The suite's, unless the settings have one for the role."""
        return of_suite if chosen_prompt(self.config, role) is None else None


class ServedEncoder:
    """Vectors of a server.

    Args:
        client: Asks it.
        config: How it is asked.

    Attributes:
        name: What it is called in messages.
        most_texts: Texts of a request.
        probe: Vector (d,) of a text that is always the same.

    Raises:
        CellError: The server is not there, or refuses.
    """

    def __init__(self, client: EmbeddingClient, config: Api.Config) -> None:
        self.name = f"{config.model} at {config.base_url}"
        # A server may take no more, so that the one which is always the same is among them.
        self.most_texts = max(1, config.batch_size - 1)
        self.probe: NDArray[np.float32] = client.embed([_PROBE])[0]
        self._client, self._config = client, config

    @property
    def tokens_used(self) -> int | None:
        """Tokens that the server has counted so far; None where it counts none."""
        return self._client.tokens

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode n texts to float32 of shape (n, d).

        Raises:
            CellError: The server is gone, refuses, or answers something else, perhaps by another
                model than before.
        """
        prompt = chosen_prompt(self._config, role) or ""
        starts = range(0, len(texts), self.most_texts)
        parts = [
            self._asked([prompt + text for text in texts[start : start + self.most_texts]])
            for start in starts
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.probe)), np.float32)

    def _asked(self, texts: list[str]) -> NDArray[np.float32]:
        if self._config.batch_size == 1:
            vectors, (probe,) = self._client.embed(texts), self._client.embed([_PROBE])
        else:
            *_, probe = vectors = self._client.embed([*texts, _PROBE])
        refuse_other(self.name, self.probe, probe)
        return vectors[: len(texts)]

    def facts(self) -> dict[str, Any]:
        """What a record says of the server, JSON values."""
        digest = hashlib.sha256(self.probe.astype("<f4").tobytes()).hexdigest()
        return {
            "base_url": self._config.base_url,
            "model": self._config.model,
            "told_model": self._client.told_model,
            "revision": self._config.revision,
            "probe_sha256": digest,
            "identity": "what was asked for; the weights behind the address are not known",
        }


def _key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UsageError(f"the environment variable {variable}, which key_env names, is not set")
    return key
