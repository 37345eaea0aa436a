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
class Part:
    """One module of a checkpoint.

    Attributes:
        folder: Where its files are.
        kind: Name of its class, without the module.
    """

    folder: Path
    kind: str


def parts(folder: Path) -> list[Part]:
    """The modules of a checkpoint, those within a router too; a bare transformer is one.

    Raises:
        DataError: A list of modules is damaged.
    """
    listed = folder / "modules.json"
    if not listed.is_file():
        return [Part(folder, "Transformer")]
    found = []
    for entry in _read(listed, list):
        try:
            part = Part(folder / entry["path"], _kind(entry["type"]))
        except (KeyError, TypeError):
            raise DataError(f"{listed} is damaged: a module has no path or type") from None
        found += [part, *_routed(part)]
    return found


def refuse_damaged(folder: Path) -> None:
    """Check the files that the modules of a checkpoint are read from.

    Raises:
        DataError: One is missing, damaged, a pointer to a file kept elsewhere, or holds a program.
    """
    for part in parts(folder):
        for path in _files(part.folder):
            if _is_pointer(path):
                raise DataError(
                    f"{path} is a pointer of Git LFS and not the file itself; run git lfs pull "
                    "where it was cloned, or download it again"
                )
        _check_settings(part)
        if part.kind in _WITH_WEIGHTS:
            _check_weights(part.folder)
        if part.kind == "StaticEmbedding" and not (part.folder / "tokenizer.json").is_file():
            raise DataError(f"{part.folder / 'tokenizer.json'} is missing")
    for base in filter(is_folder, adapted(folder)):
        refuse_damaged(Path(base))


def without_vocabulary(folder: Path) -> Path | None:
    """Folder of the first transformer of a checkpoint beside which no vocabulary lies, or None."""
    folders = [part.folder for part in parts(folder) if part.kind == "Transformer"]
    return next((one for one in folders if not _has_vocabulary(one)), None)


def adapted(folder: Path) -> list[str]:
    """Folders or hub ids of the models that adapters in a checkpoint are for, which it has not.

    Raises:
        DataError: A file that names them is damaged.
    """
    found = [part.folder / _ADAPTER for part in parts(folder)]
    return [
        str(_read(path, dict).get("base_model_name_or_path")) for path in found if path.is_file()
    ]


def damaged_json(folder: Path) -> Path | None:
    """The first JSON file of a checkpoint that cannot be read, or None."""
    paths = [folder, *(part.folder for part in parts(folder))]
    for path in dict.fromkeys(one for folder in paths for one in sorted(folder.glob("*.json"))):
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
    path = folder / _CONFIG
    names = _read(path, dict).get("architectures") if path.is_file() else None
    return any(str(name).endswith("ForSequenceClassification") for name in names or ())


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


def _routed(part: Part) -> Iterator[Part]:
    """The modules within a router; none for others."""
    if part.kind not in ("Router", "Asym"):
        return
    names = ("router_config.json", _CONFIG)
    listed = next((part.folder / name for name in names if (part.folder / name).is_file()), None)
    if listed is None:
        raise DataError(f"{part.folder / names[0]} is missing")
    types = _read(listed, dict).get("types")
    if not isinstance(types, dict):
        raise DataError(f"{listed} is damaged: it names no modules")
    for name, kind in types.items():
        yield Part(part.folder / name, _kind(kind))


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


def _check_settings(part: Part) -> None:
    name = _SETTINGS.get(part.kind)
    if name is None:
        return
    path = part.folder / name
    if part.kind == "Transformer" and (part.folder / _ADAPTER).is_file():
        return
    if not path.is_file():
        raise DataError(f"{path} is missing; it has the settings of {part.kind}")
    settings = _read(path, dict)
    if part.kind == "Pooling" and not any(key.startswith("pooling_mode") for key in settings):
        raise DataError(f"{path} is damaged: it names no pooling_mode")
    activation = str(settings.get("activation_function") or "torch.")
    if part.kind == "Dense" and not activation.startswith("torch."):
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
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:
        raise DataError(
            f"{path} is pickled and holds more than tensors, or is damaged; loading it could run a "
            "program, so it is not read: if you trust it, save the model as safetensors"
        ) from None
    if not found:
        raise DataError(f"{path} holds no weights; download or save it again")


def _read(path: Path, kind: type) -> Any:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    if not isinstance(found, kind):
        raise DataError(
            f"{path} is damaged: it is not a JSON {'list' if kind is list else 'object'}"
        )
    return found
