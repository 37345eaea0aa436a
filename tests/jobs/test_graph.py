"""Jobs of a run and parts of it: each training once, whatever the order of the methods."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from bench.core.spec import parse_method_spec
from bench.execution.cells import Cell
from bench.execution.plan import plan
from bench.execution.settings import Settings, make_settings
from bench.jobs.durations import NOMINAL, known_seconds
from bench.jobs.graph import components, make_jobs
from bench.jobs.job import Job
from bench.jobs.shards import RunShard, part_of
from bench.suite import load_suites
from tests.support.suites import write_suite

MLM = "minilm-l2-mlm"
METHODS = [
    "random",
    "tfidf",
    "minilm-l2",
    "simcse",
    f"simcse[base={MLM}]",
    f"sct[base={MLM}]",
    "whitening[of=simcse]",
    f"truncate[dim=64,of=simcse[base={MLM}]]",
]


@pytest.fixture
def settings(tmp_path: Path, own_cache: None) -> Settings:
    return make_settings(profile="smoke", output=tmp_path / "out", offline=True)


def cells_of(methods: list[str], settings: Settings, folder: Path, seeds: int = 2) -> list[Cell]:
    suites = load_suites(str(write_suite(folder)))
    return plan(suites, [parse_method_spec(text) for text in methods], seeds, settings)


def by_title(jobs: list[Job]) -> dict[str, Job]:
    return {job.title: job for job in jobs}


def test_a_base_that_methods_share_is_a_job_before_them(settings: Settings, tmp_path: Path) -> None:
    jobs = by_title(make_jobs(cells_of(METHODS, settings, tmp_path), settings))
    for seed in (0, 1):
        base = jobs[f"{MLM}  seed {seed}"]
        assert base.trains is not None
        for name in ("simcse", "sct"):
            trained = jobs[f"{name}[base={MLM}]  seed {seed}"]
            assert trained.after == {base.identity}
            assert [model.identity for model in trained.needs] == [base.identity]
        assert jobs[f"simcse  seed {seed}"].after == frozenset()
    assert jobs["random  seed 0"].trains is None
    assert jobs["minilm-l2  seed 0"].trains is None


def test_maps_of_vectors_are_in_the_job_of_their_model(settings: Settings, tmp_path: Path) -> None:
    jobs = by_title(make_jobs(cells_of(METHODS, settings, tmp_path), settings))
    cells = {cell.spec for cell in jobs["simcse  seed 0"].cells}
    assert cells == {"simcse", "whitening[of=simcse]"}
    cells = {cell.spec for cell in jobs[f"simcse[base={MLM}]  seed 1"].cells}
    assert cells == {f"simcse[base={MLM}]", f"truncate[dim=64,of=simcse[base={MLM}]]"}


def test_parts_of_an_encoding_come_between_the_training_and_the_cells(
    settings: Settings, tmp_path: Path
) -> None:
    methods = ["random", f"simcse[base={MLM}]", f"whitening[of=simcse[base={MLM}]]", "minilm-l2"]
    jobs = make_jobs(cells_of(methods, settings, tmp_path, seeds=1), settings, 3)
    titled = by_title(jobs)
    name = f"simcse[base={MLM}]  seed 0"
    training, cells = (job for job in jobs if job.title == name)
    parts = [titled[f"{name}, part {number} of 3"] for number in (1, 2, 3)]
    assert [part.part for part in parts] == [(0, 3), (1, 3), (2, 3)]
    assert (training.trains is not None, training.cells, cells.trains) == (True, (), None)
    for part in parts:
        assert part.after == {training.identity}
        assert training.identity in {model.identity for model in part.needs}
    assert cells.after == {training.identity, *(part.identity for part in parts)}
    assert len(cells.cells) == 2
    # What loads in no time, and what needs no model, is not worth it.
    assert "random  seed 0, part 1 of 3" not in titled
    assert titled["minilm-l2  seed 0, part 1 of 3"].after == frozenset()
    assert all(Job.load(json.loads(json.dumps(job.dump()))) == job for job in jobs)
    seconds = known_seconds(jobs, settings)
    assert seconds[parts[0].identity] == pytest.approx(2 * NOMINAL["cell"] / 2 / 3)
    assert seconds[cells.identity] == pytest.approx(2 * NOMINAL["cell"] / 2)


def test_a_map_alone_trains_its_model_and_waits_for_the_base(
    settings: Settings, tmp_path: Path
) -> None:
    methods = [f"whitening[of=simcse[base={MLM}]]"]
    waiting = [
        cell
        for cell in cells_of(methods, settings, tmp_path, seeds=1)
        if "whitening" in str(cell.spec)
    ]
    base, mapped = make_jobs(waiting, settings)
    assert (base.title, base.cells) == (f"{MLM}  seed 0", ())
    assert mapped.after == {base.identity}
    assert mapped.trains is not None
    assert mapped.trains.spec == f"simcse[base={MLM}]"


def test_no_model_is_trained_by_two_jobs(settings: Settings, tmp_path: Path) -> None:
    jobs = make_jobs(cells_of(METHODS, settings, tmp_path), settings)
    trained = Counter(job.trains.identity for job in jobs if job.trains is not None)
    assert set(trained.values()) == {1}
    done = set[str]()
    for job in jobs:
        assert job.after <= done
        done.add(job.identity)


def test_a_job_is_the_same_after_a_trip_through_json(settings: Settings, tmp_path: Path) -> None:
    for job in make_jobs(cells_of(METHODS, settings, tmp_path), settings):
        assert Job.load(job.dump()) == job


@pytest.mark.parametrize("count", [1, 2, 3, 5, 40])
def test_parts_are_the_whole_and_no_training_is_in_two(
    settings: Settings, tmp_path: Path, count: int
) -> None:
    cells = cells_of(METHODS, settings, tmp_path)
    parts = [part_of(cells, RunShard(number, count), settings) for number in range(1, count + 1)]
    assert Counter(cell.path for part in parts for cell in part) == Counter(
        cell.path for cell in cells
    )
    trained = [
        {job.trains.identity for job in make_jobs(part, settings) if job.trains is not None}
        for part in parts
    ]
    assert sum(map(len, trained)) == len(set().union(*trained))
    if count == 2:
        # Both have something to train, as it is the trainings that take time.
        assert all(trained)


def test_parts_do_not_depend_on_the_order_of_methods(settings: Settings, tmp_path: Path) -> None:
    cells = cells_of(METHODS, settings, tmp_path)
    expected = [{cell.path for cell in part_of(cells, RunShard(n, 3), settings)} for n in (1, 2, 3)]
    for seed in range(5):
        methods = METHODS.copy()
        random.Random(seed).shuffle(methods)
        shuffled = cells_of(methods, settings, tmp_path)
        found = [
            {cell.path for cell in part_of(shuffled, RunShard(n, 3), settings)} for n in (1, 2, 3)
        ]
        assert found == expected


def test_cells_that_share_a_trained_model_belong_together(
    settings: Settings, tmp_path: Path
) -> None:
    groups = components(cells_of(METHODS, settings, tmp_path), settings)
    names = [{(str(cell.spec), cell.seed) for cell in group} for group in groups]
    assert {(MLM, 0), (f"simcse[base={MLM}]", 0), (f"sct[base={MLM}]", 0)} <= next(
        group for group in names if (MLM, 0) in group
    )
    # The base without training is shared too, and nothing is lost where it is loaded twice.
    assert {("minilm-l2", 0)} in names
