"""Which class is fitted on which device."""

from __future__ import annotations

from bench.tasks.probes.logistic import Logistic

CPU = "cpu"


def logistic(device: str) -> Logistic:
    """Logistic regression on the CPU, or by torch on another device.

    Args:
        device: Torch device, one that computes in float64.
    """
    if device == CPU:
        return Logistic()
    # Imported late, as it brings torch.
    from bench.tasks.probes.logistic_torch import TorchLogistic

    return TorchLogistic(device)
