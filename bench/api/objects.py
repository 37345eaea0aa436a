"""Methods as people have them in Python: specs, models, objects with ``encode``, and functions."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import UsageError
from bench.core.spec import MethodSpec, parse_method_spec, split_list
from bench.encoding.encoder import as_vectors
from bench.method import Encoder, Method, MethodInfo, given_class, local_class
from bench.method.files import with_files

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

AsClass: TypeAlias = "type[Encoder] | type[Method]"
AsMethod: TypeAlias = "str | SentenceTransformer | Encoder | AsClass | Callable[[list[str]], Any]"
Methods: TypeAlias = "AsMethod | Sequence[AsMethod | tuple[str, AsMethod]] | Mapping[str, AsMethod]"
_OTHERS = re.compile(r"[^A-Za-z0-9_.-]+")


def asked_methods(methods: Methods) -> tuple[list[MethodSpec], dict[str, type[Method]]]:
    """Make specs of what was asked for, and methods of the objects among it.

    Args:
        methods: Specs, objects, pairs of a name and either, or either by name.

    Returns:
        A spec for each, and the class of each object by the name in its spec.

    Raises:
        UsageError: A spec that cannot be read, two objects of one name, or one that encodes
            nothing.
    """
    specs: list[MethodSpec] = []
    classes: dict[str, type[Method]] = {}
    for label, method in _listed(methods):
        if label is not None and not isinstance(label, str):
            raise UsageError(f"{label!r} names a method; give a text")
        if isinstance(method, str):
            texts = map(with_files, split_list(method))
            specs += [_labelled(parse_method_spec(text), label) for text in texts]
            continue
        if label is not None and not label.strip():
            raise UsageError("a method has an empty name; give it one of letters or digits")
        called = label or _own_name(method)
        name = _OTHERS.sub("-", called).strip("-._") or "object"
        if name in classes:
            raise UsageError(
                f"two methods are called {name!r}; name them, as in "
                f"methods={{'{name}-a': …, '{name}-b': …}}"
            )
        classes[name] = _given(name, method)
        specs.append(MethodSpec(name, label=called if called != name else None))
    return specs, classes


def _listed(methods: Methods) -> list[tuple[str | None, Any]]:
    if isinstance(methods, Mapping):
        return [*methods.items()]
    if isinstance(methods, str) or not isinstance(methods, Sequence):
        return [(None, methods)]
    return [_pair(one) for one in methods]


def _pair(one: Any) -> tuple[str | None, Any]:
    if isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str):
        return one
    return None, one


def _labelled(spec: MethodSpec, label: str | None) -> MethodSpec:
    return spec if label is None else replace(spec, label=label)


def _own_name(method: Any) -> str:
    """What an object is called where its user does not say: a function ``function`` at least."""
    if _is_sentence_transformer(method):
        place = getattr(getattr(method[0], "config", None), "_name_or_path", "")
        return Path(place).name or type(method).__name__
    if isinstance(method, type) and isinstance(info := getattr(method, "info", None), MethodInfo):
        return info.name
    name = getattr(method, "__name__", type(method).__name__)
    return "function" if name == "<lambda>" else str(name)


def _given(name: str, method: Any) -> type[Method]:
    """The class of an object.

    Raises:
        UsageError: It encodes nothing, or its vectors cannot be scored as those of a text.
    """
    if isinstance(method, type):
        if issubclass(method, Method):
            if not isinstance(getattr(method, "info", None), MethodInfo):
                raise UsageError(f"{method.__name__} has no info = MethodInfo(...)")
            return local_class(name, method)
        method = _object_of(name, method)
    if _is_sentence_transformer(method) and not _encodes_otherwise(method):
        from bench.models.contents import content_hash

        return given_class(name, method, content_hash(method), is_torch=True)
    return given_class(name, _encoder(name, method), None, is_torch=False)


def _object_of(name: str, cls: type) -> Any:
    """An object of a class that needs nothing to be made.

    Raises:
        UsageError: It needs something.
    """
    try:
        return cls()
    except TypeError as error:
        raise UsageError(
            f"{name!r} is a class, and {cls.__name__}() failed ({error}); hand over an object of it"
        ) from None


def _is_sentence_transformer(method: Any) -> bool:
    # Who made a model with the library has imported it; others need not wait seconds for it.
    library = sys.modules.get("sentence_transformers")
    return library is not None and isinstance(method, library.SentenceTransformer)


def _encodes_otherwise(model: SentenceTransformer) -> bool:
    """Whether a model has an ``encode`` of its own, which tokenising for it would pass by."""
    from sentence_transformers import SentenceTransformer

    return "encode" in vars(model) or type(model).encode is not SentenceTransformer.encode


def _encoder(name: str, method: Any) -> Called:
    library = sys.modules.get("sentence_transformers")
    if library is not None:
        for kind, instead in (("CrossEncoder", "cross"), ("SparseEncoder", "sparse")):
            if isinstance(method, getattr(library, kind)):
                raise UsageError(
                    f"{name!r} is a {kind}: save it with save_pretrained, and name it as "
                    f"'{instead}@FOLDER'"
                )
    encode = getattr(method, "encode", None) or method
    if not callable(encode):
        raise UsageError(
            f"{name!r} of type {type(method).__name__} encodes nothing; a method is a spec such as "
            "'sct', a SentenceTransformer, an object with encode, or a function of a list of texts"
        )
    parameters = _parameters(encode)
    if "task_metadata" in parameters:
        raise UsageError(f"{name!r} is a model of mteb; name it as 'mteb@NAME' in its registry")
    return Called(encode, takes_roles="role" in parameters)


def _parameters(function: Callable[..., Any]) -> Sequence[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        # Functions of other languages have none to show.
        return []


def _as_array(vectors: Any) -> Any:
    """A tensor as an array, of which NumPy has no half precision; all else as it is."""
    if not hasattr(vectors, "detach"):
        return vectors
    tensor = vectors.detach().cpu()
    return (tensor if tensor.is_complex() else tensor.float()).numpy()


class Called:
    """A function from texts to vectors as an encoder.

    Args:
        function: Called with a list of texts; gives an array, tensor or lists of shape (n, d).
        takes_roles: Whether it has a parameter ``role``: ``query``, ``document`` or None.
    """

    def __init__(self, function: Callable[..., Any], *, takes_roles: bool) -> None:
        self._function = function
        self._takes_roles = takes_roles

    def encode(self, texts: Sequence[str], *, role: str | None = None) -> NDArray[np.float32]:
        """Encode n texts to float32 of shape (n, d).

        Raises:
            CellError: The function gives no numbers of that shape.
        """
        named = {"role": role} if self._takes_roles else {}
        vectors = self._function(list(texts), **named)
        if isinstance(vectors, list | tuple):
            vectors = [_as_array(vector) for vector in vectors]
        else:
            vectors = _as_array(vectors)
        return as_vectors(vectors, len(texts))
