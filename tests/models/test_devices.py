"""Devices and precisions that a run chooses."""

from __future__ import annotations

import pytest
import torch

from bench.core.errors import UsageError
from bench.models import devices


@pytest.fixture
def flags(monkeypatch):
    def have(*names: str) -> None:
        monkeypatch.setattr(devices, "_cpu_flags", lambda: frozenset(names))

    return have


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
@pytest.mark.parametrize("asked", [None, "auto"])
def test_auto_is_the_first_device_that_there_is(monkeypatch, cuda, mps, chosen, asked) -> None:
    monkeypatch.setattr(devices, "_may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert devices.choose_device(asked) == chosen


def test_without_a_driver_torch_is_not_asked(monkeypatch) -> None:
    monkeypatch.setattr(devices, "_may_have_gpu", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("torch was asked"))
    assert devices.choose_device("auto") == "cpu"


@pytest.mark.parametrize("device", ["meta", "nonsense", "cuda:99"])
def test_a_named_device_has_to_be_there(device) -> None:
    with pytest.raises(UsageError, match=f"device '{device}' cannot be used"):
        devices.choose_device(device)


@pytest.mark.parametrize(
    ("has", "asked", "chosen", "noted"),
    [
        (("avx512_bf16",), "bf16", "bf16", False),
        (("bf16",), "auto", "bf16", False),
        (("avx512_fp16",), "auto", "fp32", False),
        (("avx512_fp16",), "fp16", "fp16", False),
        (("avx2",), "bf16", "fp32", True),
        (("avx2",), "fp16", "fp32", True),
        (("avx2",), "auto", "fp32", False),
        (("avx512_bf16",), "fp32", "fp32", False),
    ],
)
def test_a_cpu_computes_what_it_has_instructions_for(flags, has, asked, chosen, noted) -> None:
    flags(*has)
    notes: list[str] = []
    assert devices.choose_precision(asked, "cpu", notes.append) == chosen
    assert [f"the cpu has no instructions for {asked}; fp32 is used"] * noted == notes


def test_an_old_gpu_takes_fp16(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert devices.choose_precision("auto", "cuda:1", pytest.fail) == "fp16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert devices.choose_precision("auto", "cuda", pytest.fail) == "bf16"


def test_flags_of_this_processor_are_read() -> None:
    known = devices._cpu_flags()
    assert all(flag == flag.strip() and " " not in flag for flag in known)


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown precision 'fp64'; choose fp32, bf16, fp16, auto"):
        devices.choose_precision("fp64", "cpu", pytest.fail)  # type: ignore[arg-type]
