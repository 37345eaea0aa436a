"""What a sentence transformer in memory consists of, as a hash."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Libraries whose modules do what their settings, weights and versions say.
_KNOWN = ("peft", "sentence_transformers", "torch", "transformers")
_FAST = "tokenizer.json"


def content_hash(model: SentenceTransformer) -> str | None:
    """Hash weights, settings, tokenizers and prompts of a model.

    Returns:
        Hexadecimal digits of SHA-256; None for a model with code of its own, which may change, and
        for one that will not be written down.
    """
    if not all(_is_known(module) for module in model.modules()):
        return None
    digest = hashlib.sha256()
    try:
        for part in _parts(model):
            digest.update(part)
            digest.update(b"\0")
    except (TypeError, ValueError, OSError, NotImplementedError):
        return None
    return digest.hexdigest()


def _is_known(module: torch.nn.Module) -> bool:
    # The libraries set hooks too.
    hooks = [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]
    return all(_module_of(one).partition(".")[0] in _KNOWN for one in (type(module), *hooks))


def _module_of(code: Any) -> str:
    return str(getattr(getattr(code, "func", code), "__module__", ""))


def _parts(model: SentenceTransformer) -> Iterator[bytes]:
    whole = {
        "prompts": dict(model.prompts),
        "default": model.default_prompt_name,
        "truncated": model.truncate_dim,
        "length": model.max_seq_length,
    }
    yield _json(whole)
    for name, module in model.named_modules():
        yield _json([name, type(module).__module__, type(module).__qualname__, module.extra_repr()])
        yield from _settings(module)
    for name, tensor in model.state_dict().items():
        yield _json([name, str(tensor.dtype), list(tensor.shape)])
        yield _bytes(tensor)


def _settings(module: Any) -> Iterator[bytes]:
    """What a module follows from besides its weights, where it says so."""
    if hasattr(module, "get_config_dict"):
        yield _json(module.get_config_dict())
    if hasattr(getattr(module, "config", None), "to_dict"):
        # Where it was loaded from says nothing of what it is.
        yield _json({**module.config.to_dict(), "_name_or_path": None})
    tokenizer: Any = getattr(module, "tokenizer", None)
    if hasattr(tokenizer, "to_str"):
        yield _without_use(tokenizer.to_str())
    elif tokenizer is not None:
        yield _json(
            [getattr(tokenizer, side, None) for side in ("padding_side", "truncation_side")]
        )
        with tempfile.TemporaryDirectory() as folder:
            save = getattr(tokenizer, "save_pretrained", None) or tokenizer.save
            save(folder)
            for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                yield path.relative_to(folder).as_posix().encode()
                fast = path.name == _FAST
                yield _without_use(path.read_text(encoding="utf-8")) if fast else path.read_bytes()


def _without_use(text: str) -> bytes:
    """A fast tokenizer without what it was last asked to do, which is asked anew each time."""
    return _json({**json.loads(text), "padding": None, "truncation": None})


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode()


def _bytes(tensor: torch.Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()
