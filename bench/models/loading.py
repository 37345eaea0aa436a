"""What transformers found and did not find in a checkpoint, asked whenever it loads one."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import DataError
from bench.core.progress import Progress
from bench.models.checkpoint_files import damaged_json, without_vocabulary

_SHOWN = 3
# The library's loader is one for all threads.
_LOCK = threading.RLock()


@dataclass(frozen=True)
class Report:
    """How the weights of a checkpoint fit a model.

    Attributes:
        model: The model.
        missing: Names that the model has and the weights lack: the library draws them at random.
        unexpected: Names that the weights have and the model does not.
        mismatched: Names of another shape in both, which are drawn at random too.
    """

    model: Any
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]


@contextmanager
def reports() -> Iterator[list[Report]]:
    """Get a report of every model that transformers loads meanwhile, also on behalf of others."""
    from transformers import PreTrainedModel

    own: Any = PreTrainedModel.__dict__["from_pretrained"]
    load_reports: list[Report] = []

    def from_pretrained(cls: Any, *args: Any, **options: Any) -> Any:
        told = options.pop("output_loading_info", False)
        if (options.get("adapter_kwargs") or {}).get("_adapter_model_path"):
            # The report on an adapter says nothing of the model below, which comes first here.
            below = {name: value for name, value in options.items() if name != "adapter_kwargs"}
            from_pretrained(cls, *args, **below)
        # What does not fit is in the report then, by name, and not in the library's own words.
        options["ignore_mismatched_sizes"] = True
        model, info = own.__func__(cls, *args, output_loading_info=True, **options)
        mismatched = [name for name, *_ in info["mismatched_keys"]]
        missing = set(info["missing_keys"]) - set(mismatched)
        names = (missing, info["unexpected_keys"], mismatched)
        load_reports.append(Report(model, *(tuple(sorted(keys)) for keys in names)))
        return (model, info) if told else model

    with _LOCK:
        type.__setattr__(PreTrainedModel, "from_pretrained", classmethod(from_pretrained))
        try:
            yield load_reports
        finally:
            type.__setattr__(PreTrainedModel, "from_pretrained", own)


@contextmanager
def no_remote_code(name: str) -> Iterator[None]:
    """Keep libraries from running code that a checkpoint brings along, whoever allows it.

    Args:
        name: The checkpoint, for the message.

    Raises:
        DataError: It cannot be loaded without.
    """
    from transformers import dynamic_module_utils

    def refused(*_: Any, **__: Any) -> Any:
        raise DataError(f"{name} needs to run code of its own checkpoint, which is never done here")

    own = dynamic_module_utils.get_cached_module_file
    with _LOCK:
        dynamic_module_utils.get_cached_module_file = refused
        try:
            yield
        finally:
            dynamic_module_utils.get_cached_module_file = own


@contextmanager
def told_by_name(folder: Path) -> Iterator[None]:
    """Turn whatever a library raises about a checkpoint into one line that names it.

    Raises:
        DataError: The library raised something.
    """
    import torch

    try:
        yield
    except (DataError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if (bare := without_vocabulary(folder)) is not None:
            raise _no_vocabulary(bare) from error
        culprit = damaged_json(folder) or folder
        said = " ".join(str(error).split()) or "nothing more is known"
        raise DataError(
            f"{culprit} cannot be loaded: {type(error).__name__}: {said[:300]}"
        ) from error


def refuse_random(folder: Path, load_reports: Sequence[Report], progress: Progress) -> None:
    """Check that all of a model is of its checkpoint, and tell what of that was left out.

    A pooler that is missing and that nothing reads is taken off the model, so that no later use
    of it is random.

    Raises:
        DataError: Weights are missing, or of another shape.
    """
    for report in load_reports:
        missing = _but_for_pooler(report)
        if missing:
            raise DataError(
                f"{folder}: the weights lack {shown(missing)}; {_advice(missing, report)}"
            )
        if report.mismatched:
            raise DataError(
                f"{folder}: the weights have other shapes than config.json says: "
                f"{shown(report.mismatched)}; download or save it again"
            )
        if report.unexpected:
            progress.note(
                f"  {folder}: weights that the model does not use are left out: "
                f"{shown(report.unexpected)}"
            )


def refuse_without_vocabulary(folder: Path, transformers: Collection[Any]) -> None:
    """Check that tokenizers have what they were saved with.

    Args:
        folder: The checkpoint.
        transformers: The modules of it that are transformers.

    Raises:
        DataError: One has no vocabulary, so that all words are unknown to it.
    """
    bare = without_vocabulary(folder)
    # Those that read bytes or characters have no files.
    needing = [
        module
        for module in transformers
        if getattr(module.tokenizer, "vocab_files_names", None) != {}
    ]
    if bare is not None and len(needing) == len(transformers):
        raise _no_vocabulary(bare)


def shown(names: Sequence[str]) -> str:
    """The first few of several names, and how many there are besides."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _no_vocabulary(folder: Path) -> DataError:
    return DataError(
        f"{folder} has no tokenizer: neither tokenizer.json nor another vocabulary is there; save "
        "the tokenizer with the model, or download it again"
    )


def _but_for_pooler(report: Report) -> tuple[str, ...]:
    """Names that are missing, after a pooler that is has been taken off."""
    missing = tuple(name for name in report.missing if not name.startswith("pooler."))
    if len(missing) < len(report.missing) and not missing:
        report.model.pooler = None
    return missing


def _advice(missing: Sequence[str], report: Report) -> str:
    """What may have gone wrong: all names may have something in front that a wrapper put there."""
    for name in report.unexpected:
        prefix = name.removesuffix(missing[0])
        if prefix not in ("", name) and all(key.startswith(prefix) for key in report.unexpected):
            return f"all names begin with {prefix!r} there: save the model that the wrapper holds"
    return "download or save it again"
