"""Building encoders: trained once, kept under a fingerprint of all that made them."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cache import Cache
from bench.data.access import DataAccess
from bench.files import make_folder_atomic
from bench.fingerprint import fingerprint, source_fingerprint, versions
from bench.method import BuildContext, Encoder, Method, ModelAccess
from bench.progress import Progress

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SUMMARY = "training.json"


@dataclass(frozen=True)
class Built:
    """A built encoder.

    Attributes:
        encoder: The encoder.
        fingerprint: Identity of the model.
        seconds: Time it took now, little where the model was trained before.
        training: What its training reported, or None where nothing was trained.
        folder: Where a trained sentence transformer is kept.
    """

    encoder: Encoder | SentenceTransformer
    fingerprint: str
    seconds: float
    training: dict[str, Any] | None = None
    folder: Path | None = None


def model_fingerprint(method: Method, data: DataAccess, models: ModelAccess, seed: int) -> str:
    """Identify the model that a method makes, without making it.

    Raises:
        DataError: Data or a model that it needs is missing.
    """
    info = method.info
    return fingerprint(
        {
            "name": info.name,
            "class": type(method).__qualname__,
            "config": method.config.model_dump(mode="json"),
            "checkpoint": method.checkpoint,
            "inputs": dict(method.inputs(data, models)),
            "seed": seed if method.trains else None,
            "code": [source_fingerprint(m) for m in (type(method).__module__, *info.sources)],
            "versions": dict(versions(info.requires)),
        }
    )


def build_encoder(
    method: Method,
    *,
    cache: Cache,
    data: DataAccess,
    models: ModelAccess,
    seed: int,
    profile: str,
    device: str,
    progress: Progress,
) -> Built:
    """Build the encoder of a method, or load it if the same model was trained before.

    A trained sentence transformer is saved as an ordinary folder and loaded from there at once,
    so that the first run and all later ones use the same model. What the method leaves in
    ``workdir/extra`` becomes part of the folder.

    Args:
        method: The method.
        cache: Trained models and unfinished trainings.
        data: Access to rows and texts.
        models: Access to other models.
        seed: Seed of the build.
        profile: Name of the profile.
        device: Torch device.
        progress: Where long work reports.

    Raises:
        BenchError: Something that the build needs is missing, or the training failed.
    """
    started = time.perf_counter()
    identity = model_fingerprint(method, data, models, seed)
    folder, workdir = cache.models / identity, cache.work / identity
    if not (method.trains and folder.is_dir()):
        workdir.mkdir(parents=True, exist_ok=True)
        ctx = BuildContext(seed, profile, device, workdir, data, models, progress)
        encoder = method.build(ctx)
        kept = method.trains and _keep(encoder, workdir, folder)
        shutil.rmtree(workdir)
        if not kept:
            return Built(encoder, identity, time.perf_counter() - started)
    encoder = models.load(str(folder))
    return Built(encoder, identity, time.perf_counter() - started, _summary(folder), folder)


def _keep(encoder: Encoder | SentenceTransformer, workdir: Path, folder: Path) -> bool:
    from sentence_transformers import SentenceTransformer

    if not isinstance(encoder, SentenceTransformer):
        return False

    def fill(temporary: Path) -> None:
        encoder.save_pretrained(str(temporary), create_model_card=False)
        if (workdir / "extra").is_dir():
            shutil.copytree(workdir / "extra", temporary, dirs_exist_ok=True)
        if (workdir / _SUMMARY).is_file():
            shutil.copy(workdir / _SUMMARY, temporary)

    make_folder_atomic(folder, fill)
    return True


def _summary(folder: Path) -> dict[str, Any] | None:
    path = folder / _SUMMARY
    if not path.is_file():
        return None
    return dict(json.loads(path.read_text(encoding="utf-8")))
