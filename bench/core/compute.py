"""On which device, by what and how exactly vectors are computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Backend = Literal["torch", "onnx", "openvino"]
Precision = Literal["fp32", "bf16", "fp16"]
FULL: Precision = "fp32"


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
