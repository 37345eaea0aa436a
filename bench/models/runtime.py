"""What all trainings and encodings of a run share."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.core.cache import Cache
from bench.core.compute import FULL, Precision
from bench.core.errors import DataError
from bench.core.progress import Progress
from bench.data.access import DataAccess
from bench.tracking.tracking import Tracking


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What models are built and encode with.

    Attributes:
        profile: Scale of the trainings.
        device: Torch device.
        train_precision: Numbers that trainings multiply; weights stay fp32.
        cache: Trained models, unfinished trainings and vectors.
        data: Access to rows and texts; it says whether the network may be used.
        progress: Where long work reports.
        processes: Processes of each training, where the method can share it, see
            ``bench.models.processes``, and GPUs of each encoding.
        tracking: Trackers that trainings and scores are reported to.
    """

    profile: str
    device: str
    cache: Cache
    data: DataAccess
    progress: Progress
    processes: int = 1
    train_precision: Precision = FULL
    tracking: Tracking = field(default_factory=Tracking)

    @property
    def devices(self) -> list[str]:
        """The device, or the GPUs that share each encoding."""
        if self.processes == 1 or self.device != "cuda":
            return [self.device]
        return [f"cuda:{number}" for number in range(self.processes)]

    def refuse_changed(self) -> None:
        """Refuse files that changed after they were identified: what is made of them now differs.

        Raises:
            DataError: A file that the run has identified was removed, or has other content.
        """
        for path in self.data.hashes.changed(besides=self.cache.models):
            raise DataError(f"{path} has changed since the run began; run the same command again")
