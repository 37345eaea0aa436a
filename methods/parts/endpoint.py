"""A client of servers that embed texts as OpenAI's do: vLLM, TEI, Ollama, llama.cpp and others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util import Retry

from bench.core.errors import CellError, first_problem

_CONNECT, _ANSWER = 10, 600
# Of a wait that a server asks for; longer ones are told instead.
_LONGEST = 120
_BACKOFF = 0.5
_AGAIN = (408, 429, 500, 502, 503, 504)
_SHOWN, _FEW = 200, 6


class _Bearer(AuthBase):
    """Sends a key, or nothing: without it the library would look for one in the user's files."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class _Patient(Retry):
    """Tells of each try that failed, and waits no longer than is bearable."""

    note: Callable[[str], None]

    def new(self, **settings: Any) -> _Patient:
        retry = super().new(**settings)
        retry.note = self.note
        return retry

    def increment(self, *request: Any, **outcome: Any) -> _Patient:
        retry = super().increment(*request, **outcome)
        response, error = outcome.get("response"), outcome.get("error")
        what = f"answered {response.status}" if response is not None else _cause(error)
        self.note(f"  the server {what}; asked again, {retry.total} more tries after this one")
        return retry

    def get_retry_after(self, response: Any) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, _LONGEST)


class _Item(BaseModel):
    embedding: list[float]
    index: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Embeddings(BaseModel):
    data: list[_Item]
    model: str | None = None
    usage: _Usage | None = None


class EmbeddingClient:
    """Asks a server for vectors, again where it is busy or was away.

    Args:
        base_url: Its address, up to and without ``/embeddings``.
        model: Name of the model there.
        dimensions: Length that is asked for, or None for the model's own.
        key: What it is told to be let in, or None.
        retries: Tries after the first one.
        per_minute: Most requests a minute, or None.
        note: Where a try that failed is told.

    Attributes:
        tokens: Tokens that the server has counted so far; None where it counts none.
        told_model: Name of the model that it gave in its last answer, or None.
        dimension: Length of its vectors, or None before the first.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        dimensions: int | None = None,
        key: str | None = None,
        retries: int = 5,
        per_minute: int | None = None,
        note: Callable[[str], None],
    ) -> None:
        self.tokens: int | None = None
        self.told_model: str | None = None
        self.dimension = dimensions
        self._url, self._model = f"{base_url}/embeddings", model
        self._asked, self._key = dimensions, key
        self._tries, self._pause = retries + 1, 60 / per_minute if per_minute else 0.0
        self._free_at = 0.0
        self._session = _session(key, retries, note)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Ask once for the vectors of n texts, (n, d).

        Raises:
            CellError: The server is not there, refuses, or answers something else; what it says is
                told without the key.
        """
        asked = {} if self._asked is None else {"dimensions": self._asked}
        body: dict[str, Any] = {
            "model": self._model,
            "input": [*texts],
            "encoding_format": "float",
            **asked,
        }
        self._wait()
        try:
            response = self._session.post(
                self._url, json=body, timeout=(_CONNECT, _ANSWER), allow_redirects=False
            )
        except requests.RequestException as error:
            tries = "once" if self._tries == 1 else f"{self._tries} times"
            raise CellError(
                f"{self._url} {_cause(error)}, asked {tries}; what was received is kept: once the "
                "server is back, run the same command again"
            ) from None
        if response.status_code != requests.codes.ok:
            raise CellError(self._refusal(response))
        return self._vectors(response.content, len(texts))

    def _wait(self) -> None:
        """Let no more requests out in a minute than are allowed."""
        if self._pause:
            time.sleep(max(0.0, self._free_at - time.monotonic()))
            self._free_at = time.monotonic() + self._pause

    def _refusal(self, response: requests.Response) -> str:
        said = " ".join(_message(response).split())
        if self._key:
            said = said.replace(self._key, "…")
        told = f"{self._url} answered {response.status_code}{f': {said[:_SHOWN]}' if said else ''}"
        return f"{told}; {self._advice(response)}"

    def _advice(self, response: requests.Response) -> str:
        code = response.status_code
        if code in _AGAIN:
            wait = response.headers.get("Retry-After")
            later = f"in {wait} s" if wait and wait.isdigit() else "later"
            return (
                f"it was asked {self._tries} times; what was received is kept: run the same "
                f"command again {later}"
            )
        if code in (401, 403):
            if self._key:
                return "the key that the variable of key_env holds is refused"
            return "name the environment variable that holds the key, as key_env=OPENAI_API_KEY"
        if code in (301, 302, 307, 308):
            return f"write the address that it names as base_url: {response.headers['Location']}"
        if code == 404:
            return f"look at base_url, which usually ends in /v1, and at model={self._model}"
        return "look at base_url, model and dimensions"

    def _vectors(self, content: bytes, texts: int) -> NDArray[np.float32]:
        try:
            answer = _Embeddings.model_validate_json(content)
        except ValidationError as error:
            place, message = first_problem(error)
            raise self._wrong(
                f"is not of OpenAI's form ({place or 'all of it'}: {message}); look at base_url, "
                "which usually ends in /v1"
            ) from None
        numbers = [
            place if one.index is None else one.index for place, one in enumerate(answer.data)
        ]
        if sorted(numbers) != list(range(texts)):
            raise self._wrong(
                f"has {len(numbers)} vectors for {texts} texts, numbered {_few(numbers)}, where "
                "each text has one"
            )
        lengths = {len(one.embedding) for one in answer.data}
        self.dimension = self.dimension or min(lengths)
        if lengths != {self.dimension}:
            raise self._wrong(self._other_length(lengths))
        vectors = np.empty((texts, self.dimension), dtype=np.float32)
        for number, item in zip(numbers, answer.data, strict=True):
            vectors[number] = item.embedding
        self._count(answer)
        return vectors

    def _other_length(self, lengths: set[int]) -> str:
        got = " and ".join(map(str, sorted(lengths)))
        if self._asked is None:
            return f"has vectors of {got} numbers, and earlier ones had {self.dimension}"
        return (
            f"has vectors of {got} numbers where dimensions={self._asked} was asked for; the model "
            f"cannot be shortened there, but truncate[dim={self._asked},of=…] can do it here"
        )

    def _count(self, answer: _Embeddings) -> None:
        self.told_model = answer.model
        usage = answer.usage or _Usage()
        spent = usage.prompt_tokens if usage.total_tokens is None else usage.total_tokens
        if spent is not None:
            self.tokens = (self.tokens or 0) + spent

    def _wrong(self, how: str) -> CellError:
        return CellError(f"what {self._url} answers {how}")


def _few(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_FEW]))
    return f"{shown}, …" if len(numbers) > _FEW else shown


def _session(key: str | None, retries: int, note: Callable[[str], None]) -> requests.Session:
    session = requests.Session()
    session.auth = _Bearer(key)
    retry = _Patient(
        total=retries,
        status_forcelist=_AGAIN,
        allowed_methods={"POST"},
        backoff_factor=_BACKOFF,
        raise_on_status=False,
    )
    retry.note = note
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _cause(error: BaseException | None) -> str:
    """What keeps a server from answering, in the words of the system where it has some."""
    inner = error
    while inner is not None and (inner.__cause__ or inner.__context__) is not None:
        inner = inner.__cause__ or inner.__context__
    if isinstance(inner, TimeoutError):
        return "does not answer in time"
    said = getattr(inner, "strerror", None) or type(inner).__name__
    return f"cannot be reached ({said})"


def _message(response: requests.Response) -> str:
    """What a server says of an error, in any of the usual forms."""
    try:
        said = response.json()
    except requests.JSONDecodeError:
        return response.text[:_SHOWN]
    for key in ("error", "message", "detail"):
        said = said.get(key, said) if isinstance(said, dict) else said
    return str(said)
