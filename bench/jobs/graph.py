"""Which jobs a run has, which of them come before others, and which cells belong together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from bench.core.errors import UsageError
from bench.core.fingerprint import fingerprint
from bench.execution.cells import Cell, encoder_of, encoding_model
from bench.execution.parts import may_share
from bench.execution.settings import Settings
from bench.jobs.job import CellKey, Job, ModelKey
from bench.method import named_method
from bench.models.build import lacks_model


def make_jobs(cells: Sequence[Cell], settings: Settings, parts: int = 1) -> list[Job]:
    """Group cells by the model that encodes for them.

    A trained model that several of them start or learn from, and that is not in the cache, is a
    job of its own where no cell asks for it, so that it is trained once.

    Args:
        cells: Cells that are to run.
        settings: Settings of the run.
        parts: How many jobs share the encoding of a model, where that can be.

    Returns:
        The jobs, each behind those that it comes after.

    Raises:
        DataError: Data or a model that they need is missing.
        UsageError: A model learns from itself.
    """
    members = defaultdict[str, list[Cell]](list)
    for cell in cells:
        members[encoder_of(cell, settings)[0]].append(cell)
    jobs = dict[str, Job]()
    for identity, rows in members.items():
        job = _job(identity, rows, settings)
        spread = _spread(job, parts) if parts > 1 and may_share(rows[0]) else [job]
        jobs |= {one.identity: one for one in spread}
    for model in [model for job in jobs.values() for model in job.needs]:
        if model.identity not in jobs and _is_missing(model, settings):
            jobs[model.identity] = _training(model, settings)
    return list(_in_order(jobs))


def _job(identity: str, rows: Sequence[Cell], settings: Settings) -> Job:
    cell = rows[0]
    spec, method = encoding_model(cell)
    needs = {
        model.identity: model
        for row in rows
        for model in _learnt_from(row, settings)
        if model.identity != identity
    }
    trained = method is not None and method.trains
    own = ModelKey(spec, cell.seed, identity)
    return Job(
        identity,
        _title(own),
        cells=tuple(CellKey.of(row) for row in rows),
        trains=own if trained and _is_missing(own, settings) else None,
        needs=tuple(needs.values()),
        after=_missing(needs.values(), settings),
    )


def _spread(job: Job, parts: int) -> Iterator[Job]:
    """Jobs that encode parts of the texts of a job, and the job behind them."""
    needs = job.needs if job.trains is None else (*job.needs, job.trains)
    after = job.after if job.trains is None else frozenset({job.trains.identity})
    names = [fingerprint([job.identity, number, parts]) for number in range(parts)]
    for number, name in enumerate(names):
        title = f"{job.title}, part {number + 1} of {parts}"
        yield Job(name, title, job.cells, None, needs, after, (number, parts))
    # Where the model is to be trained, the job of its own name does that before them.
    name = fingerprint([job.identity, parts])
    yield Job(name, job.title, job.cells, None, needs, after | set(names))


def _training(model: ModelKey, settings: Settings) -> Job:
    """A job that trains a model, which no cell asks for."""
    ancestors = _trained(model.spec, model.seed, settings)
    needs = tuple(one for one in ancestors if one.identity != model.identity)
    return Job(model.identity, _title(model), (), model, needs, _missing(needs, settings))


def _title(model: ModelKey) -> str:
    return f"{model.spec}  seed {model.seed}"


def _learnt_from(cell: Cell, settings: Settings) -> Iterator[ModelKey]:
    """Trained models that the method of a cell starts or learns from."""
    for name in cell.method.parents:
        yield from _trained(name, cell.seed, settings)


def _trained(name: str, seed: int, settings: Settings) -> Iterator[ModelKey]:
    """A model, if it is trained under this name, behind those that it learns from."""
    method = named_method(name, settings.profile)
    if method is None:
        return
    for parent in method.parents:
        yield from _trained(parent, seed, settings)
    if method.trains and method.wraps is None:
        identity = settings.models.seeded(seed).fingerprint(name)
        yield ModelKey(name, seed if method.seeded else 0, identity)


def _missing(models: Iterable[ModelKey], settings: Settings) -> frozenset[str]:
    return frozenset(model.identity for model in models if _is_missing(model, settings))


def _is_missing(model: ModelKey, settings: Settings) -> bool:
    return lacks_model(settings.cache.models / model.identity, settings.data) is not None


def _in_order(jobs: Mapping[str, Job]) -> Iterator[Job]:
    done = set[str]()
    waiting = list(jobs.values())
    while waiting:
        ready = [job for job in waiting if job.after <= done]
        if not ready:
            raise UsageError(f"{waiting[0].title} learns from itself by way of others")
        yield from ready
        done |= {job.identity for job in ready}
        waiting = [job for job in waiting if job.identity not in done]


def components(cells: Sequence[Cell], settings: Settings) -> list[list[Cell]]:
    """Cells that share a trained model, directly or by way of others, together.

    Args:
        cells: All cells of a run, those that are complete too.
        settings: Settings of the run.

    Returns:
        Groups in the order of the specs and seeds in them, however the cells were ordered.
    """
    # Imported late, as it brings SciPy, which only a run that is split needs.
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ordered = sorted(cells, key=_order)
    numbers = dict[str, int]()
    edges = [
        (row, numbers.setdefault(model, len(numbers)))
        for row, cell in enumerate(ordered)
        for model in _models(cell, settings)
    ]
    rows, models = np.array(edges).T
    size = len(ordered) + len(numbers)
    links = coo_array((np.ones(len(edges)), (rows, models + len(ordered))), shape=(size, size))
    _, labels = connected_components(links, directed=False)
    groups = defaultdict[int, list[Cell]](list)
    for cell, label in zip(ordered, labels, strict=False):
        groups[int(label)].append(cell)
    return list(groups.values())


def _models(cell: Cell, settings: Settings) -> set[str]:
    """The model that encodes for a cell, and the trained ones that it learns from."""
    learnt = {model.identity for model in _learnt_from(cell, settings)}
    return {encoder_of(cell, settings)[0], *learnt}


def _order(cell: Cell) -> tuple[str, int, str]:
    return str(cell.spec), cell.seed, cell.suite.name
