"""Batches that several devices share; two of them may be the processor itself."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from bench.core.cache import Cache
from bench.core.errors import UsageError
from bench.core.progress import Silent
from bench.encoding.compute import Conversions
from bench.encoding.encode import encode_columns
from bench.encoding.encoder import Column
from bench.encoding.sharing import shared
from bench.models.processes import check_processes
from bench.models.runtime import Runtime
from tests.support.models import tiny_sentence_transformer

TEXTS = [f"text number {i} " + "word " * (i % 9) for i in range(40)]


def test_items_come_in_order_each_with_what_its_turn_makes_of_it() -> None:
    for workers in (1, 2, 3):
        made = shared(iter(range(10)), [lambda x, n=n: (x, n) for n in range(workers)])
        assert list(made) == [(i, (i, i % workers)) for i in range(10)]


def test_workers_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=20)

    def wait(item: int) -> int:
        both.wait()
        return item

    assert len(list(shared(iter(range(4)), [wait, wait]))) == 4


def test_what_a_worker_raises_comes_in_its_place() -> None:
    def halve(item: int) -> float:
        return 1 / (item - 3)

    seen: list[int] = []
    with pytest.raises(ZeroDivisionError):
        seen.extend(item for item, _ in shared(iter(range(10)), [halve, halve]))
    assert seen == [0, 1, 2]


def _encoded(model: SentenceTransformer, devices: list[str], folder: Path) -> Any:
    made = Conversions("torch", None, folder / "exports", Silent(), devices).get(model, "m")
    used = {id(one): 0 for one in (made.encoder, *made.copies)}

    def count(module: Any, *_: Any) -> None:
        used[id(module)] += 1

    hooks = [one.register_forward_hook(count) for one in (made.encoder, *made.copies)]
    columns = {("task", "text"): Column(TEXTS)}
    result = encode_columns(
        made.encoder,
        columns,
        model_fingerprint="m",
        folder=folder,
        progress=Silent(),
        batch_size=4,
        compute=made.compute,
        copies=made.copies,
    )
    for hook in hooks:
        hook.remove()
    return result, list(used.values()), made


def test_devices_share_the_batches_of_an_encoding_and_change_no_vector(tmp_path: Path) -> None:
    model = tiny_sentence_transformer(tmp_path / "tiny")
    alone, count, _ = _encoded(model, ["cpu"], tmp_path / "alone")
    assert count == [10]
    both, counts, made = _encoded(model, ["cpu", "cpu"], tmp_path / "both")
    assert counts == [5, 5]
    assert both.tokens == alone.tokens
    np.testing.assert_array_equal(both.vectors["task", "text"], alone.vectors["task", "text"])
    assert made.encoder is model
    assert made.copies[0].tokenizer is model.tokenizer
    weights = zip(made.copies[0].parameters(), model.parameters(), strict=True)
    assert all(a is not b and torch.equal(a, b) for a, b in weights)


def _devices(device: str, processes: int, data: Any, folder: Path) -> list[str]:
    return Runtime(
        profile="local",
        device=device,
        cache=Cache(folder),
        data=data,
        progress=Silent(),
        processes=processes,
    ).devices


def test_as_many_gpus_encode_as_processes_train(tmp_path: Path) -> None:
    assert _devices("cuda", 3, None, tmp_path) == ["cuda:0", "cuda:1", "cuda:2"]
    assert _devices("cuda", 1, None, tmp_path) == ["cuda"]
    assert _devices("cpu", 4, None, tmp_path) == ["cpu"]


def test_more_processes_than_gpus_are_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    check_processes(2, "cuda")
    with pytest.raises(UsageError, match="--processes 4 needs as many GPUs, this machine has 2"):
        check_processes(4, "cuda")
    check_processes(4, "cpu")


def test_nothing_is_left_running_where_the_rest_is_not_wanted() -> None:
    before = threading.active_count()
    made = shared(iter(range(100)), [lambda x: x, lambda x: x])
    next(made)
    made.close()
    assert threading.active_count() == before
