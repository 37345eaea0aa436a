"""Devices and precisions: what this machine has, and what of it a run uses."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, get_args

from bench.core.compute import FULL, PACKAGES, AskedPrecision, Backend, Precision
from bench.core.errors import UsageError, first_line


class ComputeOptions(TypedDict, total=False):
    """On what and how models are trained and encode; each may be left out.

    Attributes:
        device: Torch device; by default the first there is of CUDA, MPS and the CPU.
        backend: What runs transformers: ``torch``, ``onnx`` or ``openvino``.
        precision: What they compute in: ``fp32``, ``bf16``, ``fp16``, or ``auto`` for the fastest
            that the device has; by default what their weights are saved in.
        train_precision: What trainings multiply, likewise, fp32 by default; weights stay fp32.
    """

    device: str | None
    backend: Backend
    precision: AskedPrecision | None
    train_precision: AskedPrecision


@dataclass(frozen=True)
class ChosenCompute:
    """What of ``ComputeOptions`` this machine has."""

    device: str
    backend: Backend
    precision: Precision | None
    train_precision: Precision


# Drivers of NVIDIA, of AMD, and of Windows' subsystem for Linux make these.
_GPU_NODES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
# Names of the instructions of x86 and of ARM that multiply such numbers, as Linux lists them.
_INSTRUCTIONS = {
    "bf16": frozenset({"avx512_bf16", "amx_bf16", "bf16"}),
    "fp16": frozenset({"avx512_fp16", "amx_fp16", "asimdhp"}),
}


def choose_compute(options: ComputeOptions, note: Callable[[str], None]) -> ChosenCompute:
    """Choose on what and how a run computes.

    Args:
        options: What was asked for.
        note: Told what the device has not, and what is taken instead.

    Raises:
        UsageError: An unknown value, a device that cannot be used, or a backend that is not
            installed or cannot do what is asked.
    """
    backend = options.get("backend", "torch")
    if backend not in PACKAGES:
        raise UsageError(f"unknown backend {backend!r}; choose {', '.join(PACKAGES)}")
    device = choose_device(options.get("device"), backend)
    asked = options.get("precision")
    if asked == "auto" and backend == "onnx":
        asked = FULL
    precision = None if asked is None else choose_precision(asked, device, note)
    check_backend(backend, precision, device)
    train = choose_precision(options.get("train_precision", FULL), device, note)
    return ChosenCompute(device, backend, precision, train)


def choose_device(asked: str | None, backend: Backend = "torch") -> str:
    """Choose where models are trained and encode.

    Args:
        asked: A torch device, or None or ``auto`` for the first there is of CUDA, MPS and the CPU.
        backend: What runs the transformer; OpenVINO knows no torch device but the CPU.

    Raises:
        UsageError: torch knows no such device, or cannot use it.
    """
    if asked not in (None, "auto"):
        check_device(str(asked))
        return str(asked)
    if backend == "openvino" or not _may_have_gpu():
        return "cpu"
    # Imported late, as a machine without a GPU need not wait seconds for it.
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _may_have_gpu() -> bool:
    if sys.platform == "linux":
        return any(Path(node).exists() for node in _GPU_NODES)
    return sys.platform != "darwin" or platform.machine() == "arm64"


def check_device(device: str) -> None:
    """Refuse a device that this machine has not, before anything is built or encoded for it.

    Raises:
        UsageError: torch knows no such device, or cannot use it.
    """
    if device == "cpu":
        return
    # Imported late, as a run on the CPU whose cells are complete never needs it.
    import torch

    try:
        if torch.device(device).type == "meta":
            raise ValueError("it computes nothing")
        torch.zeros(1, device=device)
    except (AssertionError, NotImplementedError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"device {device!r} cannot be used: {first_line(error)}; leave --device out for the "
            "best that there is"
        ) from None


def check_backend(backend: Backend, precision: Precision | None, device: str) -> None:
    """Refuse a backend that is not installed, or does not compute what is asked for.

    Raises:
        UsageError: A package is missing, or the device or the precision is not the backend's.
    """
    if backend == "torch":
        return
    if any(importlib.util.find_spec(package) is None for package in PACKAGES[backend]):
        raise UsageError(
            f"--backend {backend} needs the extra {backend}: "
            f"pip install 'sentence-bench[{backend}]'"
        )
    if device != "cpu":
        raise UsageError(f"--backend {backend} is for the CPU; add --device cpu")
    if backend == "onnx" and precision not in (None, "fp32"):
        raise UsageError(f"--backend onnx computes in fp32; for {precision} take torch or openvino")


def choose_precision(asked: AskedPrecision, device: str, note: Callable[[str], None]) -> Precision:
    """Choose a precision that a device computes fast.

    Args:
        asked: A precision, or ``auto`` for bf16 where the device has it, else fp16 where it is a
            GPU, else fp32.
        device: Torch device.
        note: Told where the device has not what was asked for, and fp32 is taken.

    Raises:
        UsageError: There is no such precision.
    """
    if asked not in get_args(AskedPrecision):
        known = ", ".join(get_args(AskedPrecision))
        raise UsageError(f"unknown precision {asked!r}; choose {known}")
    if asked == "auto":
        fast: tuple[Precision, ...] = ("bf16",) if device == "cpu" else ("bf16", "fp16")
        return next((one for one in fast if _computes(device, one)), FULL)
    if asked == FULL or _computes(device, asked):
        return asked
    note(f"the {device} has no instructions for {asked}; fp32 is used")
    return FULL


def _computes(device: str, precision: Precision) -> bool:
    """Whether a device has instructions for a precision."""
    if device == "cpu":
        return bool(_INSTRUCTIONS[precision] & _cpu_flags())
    if device.startswith("cuda") and precision == "bf16":
        import torch

        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Apple's GPUs compute fp16 since the first, bf16 only since some version of their system.
    return device.startswith("cuda") or precision == "fp16"


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    lines = (line.partition(":") for line in text.splitlines())
    flags = (value for name, _, value in lines if name.strip() in ("flags", "Features"))
    return frozenset(next(flags, "").split())
