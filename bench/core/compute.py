"""On which device, by what and how exactly vectors are computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Backend = Literal["torch", "onnx", "openvino"]
Precision = Literal["fp32", "bf16", "fp16"]
AskedPrecision = Literal["fp32", "bf16", "fp16", "auto"]
FULL: Precision = "fp32"
# Packages that export to and run a backend, which its extra installs.
PACKAGES: Mapping[Backend, tuple[str, ...]] = {
    "torch": (),
    "onnx": ("onnxruntime", "onnx", "onnxscript"),
    "openvino": ("openvino",),
}


@dataclass(frozen=True)
class Compute:
    """What computes vectors, apart from the device.

    Attributes:
        backend: Library that runs the transformer.
        precision: Numbers that the transformer computes with.
    """

    backend: Backend = "torch"
    precision: Precision = FULL

    def __str__(self) -> str:
        """Words for people, such as ``openvino bf16``."""
        return f"{self.backend} {self.precision}"
