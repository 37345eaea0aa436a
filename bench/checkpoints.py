"""Checkpoints: transformers in folders and on the hub, and how they become encoders."""

from __future__ import annotations

from functools import cache as memoize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import DataError, UsageError, first_line
from bench.progress import quiet_libraries
from bench.registry import METHODS, did_you_mean, names

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

POOLER = "pooler"
_UNUSED = ["*.onnx", "onnx/*", "openvino/*", "coreml/*", "*.h5", "*.msgpack", "*.ot", "*.tflite"]
_PICKLED = "pytorch_model*.bin"


def with_pooling(model: SentenceTransformer, pooling: str) -> SentenceTransformer:
    """Rebuild a model as its transformer and one pooling, e.g. to train it unnormalised.

    ``pooler`` is the first token through the transformer's own pooler, a linear layer and tanh.

    Raises:
        UsageError: There is no such pooling, or the transformer has no pooler.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    known = (*Pooling.POOLING_MODES, POOLER)
    if pooling not in known:
        raise UsageError(f"unknown pooling {pooling!r}; choose {', '.join(known)}")
    transformer: Any = model[0]
    width = transformer.get_embedding_dimension()
    modules = [transformer, Pooling(width, "cls" if pooling == POOLER else pooling)]
    if pooling == POOLER:
        modules.append(_pooler(transformer))
    return SentenceTransformer(modules=modules, device=str(model.device))


def _refuse_without_pooler(folder: Path) -> None:
    """Refuse weights without a pooler, which the library would make up at random."""
    from safetensors import safe_open

    path = folder / "model.safetensors"
    if not path.is_file():
        return
    with safe_open(path, "pt") as weights:
        if not any(name.endswith("pooler.dense.weight") for name in weights.keys()):  # noqa: SIM118 - no mapping
            raise UsageError(
                f"{folder} has no weights of a pooler; load it with sbert[pooling=cls]"
            )


def _pooler(transformer: Any) -> Any:
    from sentence_transformers.sentence_transformer.modules import Dense

    linear = getattr(getattr(transformer.model, "pooler", None), "dense", None)
    if linear is None:
        kind = type(transformer.model).__name__
        raise UsageError(f"{kind} has no pooler of its own; name another pooling")
    weight, bias = linear.weight.detach().clone(), linear.bias.detach().clone()
    out, width = weight.shape
    return Dense(width, out, init_weight=weight, init_bias=bias)


def with_model(folder: Path) -> Path:
    """Check that a folder holds a model.

    Raises:
        DataError: It has neither modules.json nor config.json.
    """
    if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
        raise DataError(f"{folder} holds no model: it has neither modules.json nor config.json")
    return folder


@memoize
def snapshot(repository: str, revision: str | None, offline: bool) -> Path:
    """Fetch a repository of the hub, without pickled weights where it has others.

    Args:
        repository: ``org/name`` or ``name``.
        revision: Branch, tag or commit, or None for the default branch.
        offline: Use only what the local hub cache has.

    Raises:
        DataError: It cannot be fetched, or is not in the cache.
    """
    from huggingface_hub import snapshot_download

    quiet_libraries()

    def fetch(ignored: list[str]) -> Path:
        return Path(
            snapshot_download(
                repository, revision=revision, local_files_only=offline, ignore_patterns=ignored
            )
        )

    name = f"{repository}@{revision}" if revision else repository
    try:
        folder = fetch([*_UNUSED, _PICKLED])
        return folder if any(folder.glob("*.safetensors")) else fetch(_UNUSED)
    except Exception as error:
        near = did_you_mean(repository, names(METHODS)) if "/" not in repository else ""
        hint = near or "allow the hub once, or pass a folder"
        if offline:
            raise DataError(
                f"{name} is not in the local hub cache and offline, so it was not fetched; {hint}"
            ) from None
        raise DataError(f"{name} cannot be fetched ({type(error).__name__}); {hint}") from None


def load_folder(folder: Path, device: str, pooling: str | None = None) -> SentenceTransformer:
    """Load a sentence transformer as saved, or a bare transformer with a pooling.

    Args:
        folder: Where the model is.
        device: Torch device.
        pooling: Pooling of a bare transformer, mean by default.

    Raises:
        DataError: There is no model, or it is damaged.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Transformer

    quiet_libraries()
    try:
        if (with_model(folder) / "modules.json").is_file():
            return SentenceTransformer(
                str(folder), device=device, trust_remote_code=False, local_files_only=True
            )
        if pooling == POOLER:
            _refuse_without_pooler(folder)
        bare = SentenceTransformer(modules=[Transformer(str(folder))], device=device)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be loaded: {first_line(error)}") from error
    return with_pooling(bare, pooling or "mean")


def load_masked_lm(folder: Path, name: str, device: str) -> tuple[Any, Any]:
    """Load a masked language model, in eval mode, and its tokenizer.

    Args:
        folder: Where they are.
        name: What the user called them.
        device: Torch device.

    Raises:
        DataError: There is no model, or it is damaged.
        UsageError: The weights have no head for masked language modelling.
    """
    import transformers

    quiet_libraries()
    try:
        model, report = transformers.AutoModelForMaskedLM.from_pretrained(
            folder, output_loading_info=True, trust_remote_code=False, local_files_only=True
        )
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be loaded: {first_line(error)}") from error
    if report["missing_keys"]:
        raise UsageError(f"{name!r} has no head for masked language modelling; use minilm-l2-mlm")
    return model.to(device).eval(), tokenizer
