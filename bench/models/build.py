"""Building encoders: trained once, kept under a fingerprint of all that made them."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.compute import FULL, Precision
from bench.core.errors import UsageError
from bench.core.files import copy_folder, remove_folder, temporary_folder
from bench.core.fingerprint import fingerprint, source_fingerprint, versions
from bench.core.locks import one_at_a_time
from bench.core.sealed import damage, make_sealed_folder
from bench.core.sources import imported, source_file
from bench.data.access import DataAccess
from bench.encoding.maps import Mapped
from bench.method import BuildContext, Built, Encoder, Method, ModelAccess
from bench.method.contract import EXTRA, SUMMARY_FILE
from bench.method.files import beside
from bench.models.processes import TrainingJob, can_share, train_in_processes
from bench.models.runtime import Runtime
from bench.tracking.trackers import Facts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


_LOADING = "bench.models.checkpoints"
# What methods are made of: all else that they import has no part in their vectors.
_PARTS = (
    "bench.data.build_inputs",
    "bench.data.contamination",
    "bench.data.corpora",
    "bench.data.definitions",
    "bench.data.graded",
    "bench.data.retrieval",
    "bench.encoding.maps",
    "bench.methods",
    "bench.models.checkpoint_files",
    "bench.models.checkpoints",
    "bench.models.every_layer",
    "bench.models.four_bit",
    "bench.models.layers",
    "bench.models.loading",
    "bench.models.translation",
    "bench.tasks.probes.mapped",
    "bench.training",
    "bench.transforms",
)


def code_modules(method: Method) -> list[str]:
    """Modules whose code makes the vectors of a method, its own first.

    They are what its adapter imports of the parts that methods are made of, and of its own package
    where it is another's, or of what lies beside its file, directly or through one another; how
    ``ctx.models`` loads models; and what ``info.sources`` names besides.

    Raises:
        UsageError: The module of the method, or one that it names, has no source.
    """
    module = type(method).__module__
    package = module.partition(".")[0]
    within = (*_PARTS, *((package,) if package != "bench" else ()), *beside(module))
    try:
        modules = [
            name for start in (module, _LOADING) for name in (start, *imported(start, within))
        ]
        for named in method.info.sources:
            source_file(named)
    except ModuleNotFoundError as error:
        raise UsageError(f"method {method.info.name!r}: {error}; correct its sources") from None
    return list(dict.fromkeys([*modules, *method.info.sources]))


def model_fingerprint(
    method: Method, data: DataAccess, models: ModelAccess, seed: int, precision: Precision = FULL
) -> str:
    """Identify the model that a method makes, without making it.

    Args:
        method: The method.
        data: Access to what it reads.
        models: Access to what it starts from.
        seed: Seed of the build.
        precision: Numbers that its training multiplies.

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
            "seed": seed if method.seeded else None,
            "code": [source_fingerprint(module) for module in code_modules(method)],
            "versions": dict(versions(info.requires)),
            **({"precision": precision} if method.trains and precision != FULL else {}),
        }
    )


def build_encoder(
    method: Method, identity: str, models: ModelAccess, seed: int, runtime: Runtime
) -> Built:
    """Build the encoder of a method, or load it if the same model was trained before.

    A trained sentence transformer is saved as an ordinary folder and loaded from there at once,
    so that the first run and all later ones use the same model. What the method leaves in
    ``ctx.extra`` becomes part of the folder. Of a method that maps vectors nothing is kept:
    what it wraps is, and the maps are made again. What a build writes into ``training.json`` of
    its work folder is its report, whether the encoder is kept or not.

    Args:
        method: The method.
        identity: Fingerprint of its model.
        models: Access to other models.
        seed: Seed of the build.
        runtime: What it is built with.

    Raises:
        DataError: What the model was identified by has changed since.
        BenchError: Something that the build needs is missing, or the training failed.
    """
    started = time.perf_counter()
    runtime.refuse_changed()
    cache, progress = runtime.cache, runtime.progress
    if not method.trains or method.wraps is not None:
        cache.work.mkdir(parents=True, exist_ok=True)
        with temporary_folder(cache.work) as scratch:
            with runtime.tracking.trainings(*training_run(method, identity, seed, runtime)):
                encoder = method.build(_context(runtime, models, seed, scratch))
            told = _summary(scratch)
        return _Unkept(encoder, told).built(identity, time.perf_counter() - started)
    folder = cache.models / identity
    if (wrong := lacks_model(folder, runtime.data)) is not None:
        if folder.is_dir():
            progress.note(f"  {folder} is not used, as {wrong}; the model is trained again")
        ctx = _context(runtime, models, seed, cache.work / identity)
        waiting = partial(progress.note, "  another run trains this model; waiting for it")
        run = training_run(method, identity, seed, runtime)
        with one_at_a_time(cache.lock(identity), waiting), runtime.tracking.trainings(*run):
            unkept = _train(method, ctx, runtime, folder)
        if unkept is not None:
            return unkept.built(identity, time.perf_counter() - started)
    encoder = models.load(str(folder))
    return Built(encoder, identity, time.perf_counter() - started, _summary(folder), folder)


def _context(runtime: Runtime, models: ModelAccess, seed: int, workdir: Path) -> BuildContext:
    return BuildContext(
        seed=seed,
        profile=runtime.profile,
        device=runtime.device,
        workdir=workdir,
        data=runtime.data,
        models=models,
        progress=runtime.progress,
        precision=runtime.train_precision,
    )


def training_run(method: Method, identity: str, seed: int, runtime: Runtime) -> tuple[str, Facts]:
    """What trackers call the trainings of a build, and what else they are told of it."""
    name, profile = method.info.name, runtime.profile
    facts: Facts = {"method": name, "profile": profile, "seed": seed, "model": identity}
    return f"{name}-{profile}-seed{seed}-{identity[:8]}", facts


@dataclass(frozen=True)
class _Unkept:
    """An encoder that no folder keeps, and what its build reported."""

    encoder: Encoder | SentenceTransformer
    told: dict[str, Any] | None

    def built(self, identity: str, seconds: float) -> Built:
        mapped = self.encoder
        if not isinstance(mapped, Mapped):
            return Built(mapped, identity, seconds, self.told)
        model = mapped if mapped.model is None else mapped.model
        return Built(model, identity, seconds, mapped.training, mapped=mapped)


def _train(method: Method, ctx: BuildContext, runtime: Runtime, folder: Path) -> _Unkept | None:
    """Train, and keep the model in its folder; the encoder where it cannot be kept."""
    if lacks_model(folder, ctx.data) is None:
        return None
    ctx.workdir.mkdir(parents=True, exist_ok=True)
    unkept = None
    if runtime.processes > 1 and can_share(method):
        _share(method, ctx, runtime, folder)
    else:
        if runtime.processes > 1:
            ctx.progress.note(f"  {method.info.name} trains in one process")
        encoder = method.build(ctx)
        if not keep(encoder, ctx.workdir, folder):
            unkept = _Unkept(encoder, _summary(ctx.workdir))
    remove_folder(ctx.workdir)
    return unkept


def lacks_model(folder: Path, data: DataAccess) -> str | None:
    """Say why the model of a folder cannot be used, or None where it is whole.

    Files that are as they were when they were last read are not read again.
    """
    return damage(folder, data.file_sha256) if folder.is_dir() else "it is not there"


def _share(method: Method, ctx: BuildContext, runtime: Runtime, folder: Path) -> None:
    """Train in several processes, which leave the model in its folder.

    They train one model only: those that it needs are trained here before, each in processes of
    its own, and then they start again.
    """
    job = TrainingJob.of(method, ctx.seed, runtime, workdir=ctx.workdir, model=folder)
    while need := train_in_processes(job, runtime.processes, ctx.progress):
        built = ctx.models.build(need.method, seed=need.seed)
        if built.folder is None:
            raise UsageError(
                f"{method.info.name} learns from {need.method.info.name}, whose model is not "
                "kept, so that several processes cannot share it; leave out --processes"
            )


def keep(encoder: Encoder | SentenceTransformer, workdir: Path, folder: Path) -> bool:
    """Keep a trained sentence transformer, and what its training left; False for others."""
    from sentence_transformers import SentenceTransformer

    if not isinstance(encoder, SentenceTransformer):
        return False

    def fill(temporary: Path) -> None:
        encoder.save_pretrained(str(temporary), create_model_card=False)
        copy_folder(workdir / EXTRA, temporary)
        if (workdir / SUMMARY_FILE).is_file():
            shutil.copy(workdir / SUMMARY_FILE, temporary)

    make_sealed_folder(folder, fill)
    return True


def _summary(folder: Path) -> dict[str, Any] | None:
    path = folder / SUMMARY_FILE
    if not path.is_file():
        return None
    return dict(json.loads(path.read_text(encoding="utf-8")))
