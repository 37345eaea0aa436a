"""Files of a checkpoint: what is missing or damaged is named before anything is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from bench.core.errors import DataError
from bench.core.files import is_folder

UNUSED = ("*.onnx", "onnx/*", "openvino/*", "coreml/*", "*.h5", "*.msgpack", "*.ot", "*.tflite")
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"
_ADAPTER = "adapter_config.json"
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "*.model", "*.tiktoken", "tekken.json", "*.codes")
_POINTER = b"version https://git-lfs"
_LARGEST_POINTER = 1024
# What modules cannot be made without; those that do without are not named here.
_SETTINGS = {
    "BoW": _CONFIG,
    "CNN": "cnn_config.json",
    "Dense": _CONFIG,
    "LSTM": "lstm_config.json",
    "LayerNorm": _CONFIG,
    "Pooling": _CONFIG,
    "Transformer": _CONFIG,
    "WeightedLayerPooling": _CONFIG,
    "WordEmbeddings": "wordembedding_config.json",
    "WordWeights": _CONFIG,
}
_WITH_WEIGHTS = frozenset(
    {
        "CNN",
        "Dense",
        "LSTM",
        "LayerNorm",
        "StaticEmbedding",
        "Transformer",
        "WeightedLayerPooling",
        "WordEmbeddings",
    }
)


@dataclass(frozen=True)
class SavedModule:
    """One module of a checkpoint.

    Attributes:
        folder: Where its files are.
        kind: Name of its class, without the module.
    """

    folder: Path
    kind: str


def saved_modules(folder: Path) -> list[SavedModule]:
    """The modules of a checkpoint, those within a router too; a bare transformer is one.

    Raises:
        DataError: A list of modules is damaged.
    """
    listed = folder / "modules.json"
    if not listed.is_file():
        return [SavedModule(folder, "Transformer")]
    modules = []
    for entry in _read(listed, list):
        try:
            module = SavedModule(folder / entry["path"], _kind(entry["type"]))
        except (KeyError, TypeError):
            raise DataError(f"{listed} is damaged: a module has no path or type") from None
        modules += [module, *_routed(module)]
    return modules


def refuse_damaged(folder: Path) -> None:
    """Check the files that the modules of a checkpoint are read from.

    Raises:
        DataError: One is missing, damaged, a pointer to a file kept elsewhere, or holds a program.
    """
    for module in saved_modules(folder):
        for path in _files(module.folder):
            if _is_pointer(path):
                raise DataError(
                    f"{path} is a pointer of Git LFS and not the file itself; run git lfs pull "
                    "where it was cloned, or download it again"
                )
        _check_settings(module)
        if module.kind in _WITH_WEIGHTS:
            _check_weights(module.folder)
        if module.kind == "StaticEmbedding" and not (module.folder / "tokenizer.json").is_file():
            raise DataError(f"{module.folder / 'tokenizer.json'} is missing")
    for base in filter(is_folder, adapted(folder)):
        refuse_damaged(Path(base))


def without_vocabulary(folder: Path) -> Path | None:
    """Folder of the first transformer of a checkpoint beside which no vocabulary lies, or None."""
    folders = [module.folder for module in saved_modules(folder) if module.kind == "Transformer"]
    return next((path for path in folders if not _has_vocabulary(path)), None)


def adapted(folder: Path) -> list[str]:
    """Folders or hub ids of the models that adapters in a checkpoint are for, which it has not.

    Raises:
        DataError: A file that names them is damaged.
    """
    settings = [module.folder / _ADAPTER for module in saved_modules(folder)]
    return [
        str(_read(path, dict).get("base_model_name_or_path")) for path in settings if path.is_file()
    ]


def damaged_json(folder: Path) -> Path | None:
    """The first JSON file of a checkpoint that cannot be read, or None."""
    folders = [folder, *(module.folder for module in saved_modules(folder))]
    paths = (path for folder in folders for path in sorted(folder.glob("*.json")))
    for path in dict.fromkeys(paths):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return path
    return None


def model_type(folder: Path) -> str:
    """The kind of model that a checkpoint says it is, e.g. ``CrossEncoder``.

    Raises:
        DataError: The file that says so is damaged.
    """
    path = folder / "config_sentence_transformers.json"
    if not path.is_file():
        return "SentenceTransformer"
    return str(_read(path, dict).get("model_type", "SentenceTransformer"))


def is_model2vec(folder: Path) -> bool:
    """Whether a folder is model2vec's own, which has no modules.

    Raises:
        DataError: The file that says so is damaged.
    """
    path = folder / _CONFIG
    if (folder / "modules.json").is_file() or not path.is_file():
        return False
    return bool(_read(path, dict).get("model_type") == "model2vec")


def is_classifier(folder: Path) -> bool:
    """Whether a checkpoint is that of a cross-encoder or of another classifier of texts."""
    if (folder / "modules.json").is_file():
        return model_type(folder) == "CrossEncoder"
    return _has_head(folder, "ForSequenceClassification")


def is_masked_lm(folder: Path) -> bool:
    """Whether a checkpoint of transformers is that of a masked language model."""
    return _has_head(folder, "ForMaskedLM")


def _has_head(folder: Path, head: str) -> bool:
    path = folder / _CONFIG
    names = _read(path, dict).get("architectures") if path.is_file() else None
    return any(str(name).endswith(head) for name in names or ())


def weight_files(folder: Path) -> list[Path]:
    """Files of weights in the folder of a module, which all are there.

    Raises:
        DataError: There are none, or one is missing.
    """
    index = folder / _INDEX
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if index.is_file():
        shards = sorted({str(name) for name in _read(index, dict).get("weight_map", {}).values()})
        for shard in shards:
            if not (folder / shard).is_file():
                raise DataError(f"{folder / shard} is missing, though {index.name} names it")
        if shards:
            return [folder / shard for shard in shards]
    if (folder / _ADAPTER).is_file() and (folder / "adapter_model.safetensors").is_file():
        return [folder / "adapter_model.safetensors"]
    pickled = sorted(folder.glob("pytorch_model*.bin"))
    if pickled:
        return pickled
    raise DataError(f"{folder / _WEIGHTS} is missing; download or save the model again")


def _routed(module: SavedModule) -> Iterator[SavedModule]:
    """The modules within a router; none for others."""
    if module.kind not in ("Router", "Asym"):
        return
    names = ("router_config.json", _CONFIG)
    listed = next(
        (module.folder / name for name in names if (module.folder / name).is_file()), None
    )
    if listed is None:
        raise DataError(f"{module.folder / names[0]} is missing")
    types = _read(listed, dict).get("types")
    if not isinstance(types, dict):
        raise DataError(f"{listed} is damaged: it names no modules")
    for name, kind in types.items():
        yield SavedModule(module.folder / name, _kind(kind))


def _has_vocabulary(folder: Path) -> bool:
    # Of a byte-level vocabulary alone, without its merges, every letter would be a token.
    merged = all((folder / name).is_file() for name in ("vocab.json", "merges.txt"))
    return merged or any(any(folder.glob(pattern)) for pattern in _VOCABULARIES)


def _kind(name: object) -> str:
    return str(name).rpartition(".")[2]


def _files(folder: Path) -> Iterator[Path]:
    """Files in the folder of a module that may be read."""
    have_weights = any(folder.glob("*.safetensors"))
    for path in sorted(folder.glob("*")):
        skipped = (*UNUSED, *PICKLED) if have_weights else UNUSED
        if path.is_file() and not any(fnmatch(path.name, pattern) for pattern in skipped):
            yield path


def _is_pointer(path: Path) -> bool:
    if path.stat().st_size > _LARGEST_POINTER:
        return False
    return path.read_bytes().startswith(_POINTER)


def _check_settings(module: SavedModule) -> None:
    name = _SETTINGS.get(module.kind)
    if name is None:
        return
    path = module.folder / name
    if module.kind == "Transformer" and (module.folder / _ADAPTER).is_file():
        return
    if not path.is_file():
        raise DataError(f"{path} is missing; it has the settings of {module.kind}")
    settings = _read(path, dict)
    if module.kind == "Pooling" and not any(key.startswith("pooling_mode") for key in settings):
        raise DataError(f"{path} is damaged: it names no pooling_mode")
    activation = str(settings.get("activation_function") or "torch.")
    if module.kind == "Dense" and not activation.startswith("torch."):
        raise DataError(
            f"{path} names the activation {activation}, which is code that is not run; save "
            "the model with an activation of torch"
        )


def _check_weights(folder: Path) -> None:
    for path in weight_files(folder):
        if path.suffix == ".bin":
            _check_pickled(path)
            continue
        try:
            with safe_open(path, "np") as weights:
                empty = not weights.keys()
        except (SafetensorError, OSError) as error:
            raise DataError(f"{path} is damaged: {error}; download or save it again") from None
        if empty:
            raise DataError(f"{path} holds no weights; download or save it again")


def _check_pickled(path: Path) -> None:
    """Read weights of the older format as tensors alone, which runs nothing."""
    import torch

    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        raise DataError(
            f"{path} is pickled and holds more than tensors, or is damaged; loading it could run a "
            "program, so it is not read: if you trust it, save the model as safetensors"
        ) from None
    if not weights:
        raise DataError(f"{path} holds no weights; download or save it again")


def _read(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    if not isinstance(content, kind):
        raise DataError(
            f"{path} is damaged: it is not a JSON {'list' if kind is list else 'object'}"
        )
    return content
