"""Models by name: registered methods, folders, and checkpoints of the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy, deepcopy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import DataError, UsageError
from bench.core.files import is_folder
from bench.core.fingerprint import fingerprint
from bench.encoding.maps import Mapped
from bench.method import Built, Encoder, GivenMethod, Method, named_method
from bench.models.build import build_encoder, model_fingerprint
from bench.models.checkpoint_files import adapted
from bench.models.checkpoints import load_folder, load_masked_lm, snapshot, with_model, with_pooling
from bench.models.runtime import Runtime

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder

# Neither organisations nor models begin with a full stop, as folders here do.
_HUB_ID = re.compile(r"(\w[\w.-]*(?:/[\w.-]+)?)(?:@([\w./-]+))?")


class Models:
    """Loads and identifies models, see ``bench.method.ModelAccess``.

    A name is a method spec (``minilm-l2``), an existing folder, or a hub id with an optional
    revision (``org/name@revision``).

    Args:
        runtime: What they are built and encode with.
        seed: Seed of trained bases.
    """

    def __init__(self, runtime: Runtime, seed: int = 0) -> None:
        self._runtime = runtime
        self._seed = seed
        self._identities: dict[tuple[int, int], tuple[ref[Method], str]] = {}
        self._methods: dict[str, Method] = {}

    def load(
        self,
        name: str,
        *,
        pooling: str | None = None,
        seed: int | None = None,
        load_in_4bit: bool = False,
    ) -> SentenceTransformer:
        """Load a model.

        Args:
            name: Method spec, folder or hub id.
            pooling: For a method: the pooling it is rebuilt with, without further modules. For
                a bare transformer: its pooling, mean by default. A saved sentence transformer
                keeps its own.
            seed: For a method: its seed and that of every base it trains, by default the build's.
            load_in_4bit: Quantise linear layers while they are loaded, see
                ``bench.models.four_bit``. For a method that trains, a folder or a hub id.

        Raises:
            DataError: There is no such model, it is damaged or not whole, or its tokenizer has no
                token to pad with.
            UsageError: The method is not a transformer, or is fitted to each task; or there are no
                weights of 4 bits here.
        """
        method = self._method(name)
        if method is None:
            return self._from_folder(self._folder(name), name, pooling, load_in_4bit=load_in_4bit)
        if load_in_4bit:
            model = self._from_folder(self.seeded(seed).folder(name), name, load_in_4bit=True)
            return with_pooling(model, pooling) if pooling else model
        from sentence_transformers import SentenceTransformer

        built = self.seeded(seed).build(method)
        encoder = built.encoder
        if isinstance(method, GivenMethod):
            # What is made of it is not to change what somebody else holds.
            encoder = deepcopy(encoder)
        if not isinstance(encoder, SentenceTransformer):
            if built.mapped is not None:
                built.mapped.refuse_per_task()
            raise UsageError(f"method {name!r} is not a transformer; it cannot be a base")
        return with_pooling(encoder, pooling) if pooling else encoder

    def _from_folder(
        self, folder: Path, name: str, pooling: str | None = None, *, load_in_4bit: bool
    ) -> SentenceTransformer:
        runtime = self._runtime
        four_bit = runtime.train_precision if load_in_4bit else None
        model = load_folder(folder, runtime.device, pooling, runtime.progress, four_bit=four_bit)
        return _padding(model, name)

    def cross_encoder(self, name: str) -> CrossEncoder:
        """Load a cross-encoder.

        Args:
            name: Folder or hub id.

        Raises:
            DataError: There is no such model, it is damaged, or no cross-encoder.
            UsageError: It gives several numbers a pair.
        """
        from bench.models.scorers import load_cross_encoder

        return load_cross_encoder(self._folder(name), self._runtime.device, self._runtime.progress)

    def sparse_encoder(self, name: str) -> SparseEncoder:
        """Load a sparse encoder.

        Args:
            name: Folder or hub id.

        Raises:
            DataError: There is no such model, it is damaged, or no sparse encoder.
        """
        from bench.models.scorers import load_sparse_encoder

        return load_sparse_encoder(self._folder(name), self._runtime.device, self._runtime.progress)

    def masked_lm(self, name: str) -> tuple[Any, Any]:
        """Load a masked language model and its tokenizer.

        Args:
            name: Method that keeps one in its folder ``mlm``, folder, or hub id.

        Raises:
            DataError: There is no such model.
            UsageError: It has no head for masked language modelling.
        """
        method = self._method(name)
        if method is None:
            return load_masked_lm(self._folder(name), name, self._runtime.device)
        built = self.build(method)
        folder = (built.folder or Path()) / "mlm"
        if built.folder is None or not folder.is_dir():
            raise UsageError(f"method {name!r} has no masked language model; use minilm-l2-mlm")
        return load_masked_lm(folder, name, self._runtime.device)

    def folder(self, name: str) -> Path:
        """Train a method, or find its model, and return the folder that it is kept in.

        Raises:
            UsageError: The method does not train.
        """
        method = self._method(name)
        folder = None if method is None else self.build(method).folder
        if folder is None:
            raise UsageError(f"method {name!r} does not train, so no model of it is kept")
        return folder

    def kept(self, identity: str) -> Path:
        """Folder for what a method learns from the rows of a task, which may not exist yet."""
        return self._runtime.cache.models / identity

    def vectors(self, name: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, through the store that runs use.

        Args:
            name: Method spec, folder or hub id.
            texts: The texts.

        Returns:
            Float32 of shape (n, d).

        Raises:
            DataError: There is no such model.
            UsageError: It is fitted to each task.
            CellError: Its vectors hold NaN or infinity.
        """
        mapped = self.mapped(name)
        mapped.refuse_per_task()
        return mapped.apply_done(mapped.embed(texts)).astype(np.float32)

    def mapped(self, name: str) -> Mapped:
        """Build a model as its innermost encoder and the maps of its vectors, if any.

        Raises:
            DataError: There is no such model.
        """
        method = self._method(name)
        built = None if method is None else self.build(method)
        if built is not None and built.mapped is not None:
            return built.mapped
        encoder = self.load(name) if built is None else built.encoder
        identity = self.fingerprint(name) if built is None else built.fingerprint
        training = None if built is None else built.training
        return Mapped(encoder, identity, partial(self._embed, encoder, identity), training)

    def _embed(
        self, encoder: Encoder | SentenceTransformer, identity: str, texts: Sequence[str]
    ) -> NDArray[np.float32]:
        from bench.encoding.encode import encode_columns
        from bench.encoding.encoder import Column

        key = ("training", "text")
        encoded = encode_columns(
            encoder,
            {key: Column(list(texts))},
            model_fingerprint=identity,
            folder=self._runtime.cache.vectors,
            progress=self._runtime.progress,
        )
        return encoded.vectors[key]

    def build(self, method: Method, *, seed: int | None = None) -> Built:
        """Build a method, or find its model.

        Args:
            method: The method, which may be one that no name refers to.
            seed: Seed of it and of every base it trains, by default the one of bases.
        """
        models = self.seeded(seed)
        return build_encoder(
            method, models.identity(method), models, models._seed_of(method), self._runtime
        )

    def seeded(self, seed: int | None) -> Self:
        """The same with another seed of trained bases; None keeps the one that it has."""
        if seed is None:
            return self
        models = copy(self)
        models._seed = seed
        return models

    def fingerprint(self, name: str, *, seed: int | None = None) -> str:
        """Identify a model, as ``load`` makes it with the same seed, without loading it.

        Raises:
            DataError: There is no such model.
        """
        method = self._method(name)
        if method is not None:
            return self.seeded(seed).identity(method)
        folder = self._folder(name)
        if is_folder(name):
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            hashes = [
                [str(path.relative_to(folder)), self._runtime.data.file_sha256(path)]
                for path in files
            ]
            # What was trained from a folder before one had to be whole is not used again.
            below = [self.fingerprint(base) for base in adapted(folder)]
            return fingerprint({"whole": hashes, **({"below": below} if below else {})})
        return f"{name.partition('@')[0]}@{folder.name}"

    def identity(self, method: Method) -> str:
        """Identify the model of a method, which may have no name, without making it.

        It is worked out once for each method object, as methods may differ in more than their
        settings; ``Runtime.refuse_changed`` tells where that would differ now.

        Raises:
            DataError: Data or a model that it needs is missing.
        """
        seed = self._seed_of(method)
        known, identity = self._identities.get((id(method), seed), (None, ""))
        if known is None or known() is not method:
            identity = model_fingerprint(
                method, self._runtime.data, self, seed, self._runtime.train_precision
            )
            self._identities[id(method), seed] = ref(method), identity
        return identity

    def _seed_of(self, method: Method) -> int:
        return self._seed if method.seeded else 0

    def _method(self, name: str) -> Method | None:
        method = self._methods.get(name) or named_method(name, self._runtime.profile)
        if method is not None:
            self._methods[name] = method
        return method

    def _folder(self, name: str) -> Path:
        if is_folder(name):
            return with_model(Path(name))
        hub = _HUB_ID.fullmatch(name)
        if hub is None:
            raise DataError(f"{name!r} is neither a method, an existing folder nor a hub id")
        return self._runtime.data.model_folder(name, partial(snapshot, hub[1], hub[2]))


def _padding(model: SentenceTransformer, name: str) -> SentenceTransformer:
    """Let a decoder pad with the token that ends a text; what is padded is masked."""
    from sentence_transformers.sentence_transformer.modules import Transformer

    for module in model.modules():
        tokenizer: Any = module.tokenizer if isinstance(module, Transformer) else None
        if getattr(tokenizer, "pad_token", "") is None:
            if tokenizer.eos_token is None:
                raise DataError(
                    f"the tokenizer of {name} has neither a padding nor an end-of-text token"
                )
            tokenizer.pad_token = tokenizer.eos_token
    return model
