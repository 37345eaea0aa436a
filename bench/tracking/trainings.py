"""Trainings as trackers see them: the callbacks of transformers, given to every trainer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments, trainer

from bench.tracking.trackers import Facts, TrackedRun, Tracker

Attempt = Callable[[Tracker, str, Callable[[], None]], bool]


@contextmanager
def reporting(
    trackers: Callable[[], list[Tracker]], attempt: Attempt, name: str, facts: Facts
) -> Iterator[None]:
    """Let every trainer of transformers that is made meanwhile report to trackers.

    What trains is told nothing of it, as its code is part of what a model is known by.

    Args:
        trackers: The trackers that have not broken.
        attempt: Tells a tracker something; False where it breaks.
        name: What the trainings are called.
        facts: What else is said of them.
    """
    report = _Report(trackers, attempt, name, facts)
    # It is annotated as the list of classes that it begins with, and takes callbacks as well.
    library: Any = trainer
    before = library.DEFAULT_CALLBACKS
    # A model that another one starts from is trained within its build, and is its own run.
    others = [one for one in before if not isinstance(one, _Report)]
    library.DEFAULT_CALLBACKS = [*others, report]
    try:
        yield
    finally:
        library.DEFAULT_CALLBACKS = before
        report.end(broken=True)


class _Report(TrainerCallback):
    """Hands on what happens in trainings, one after the other.

    Args:
        trackers: The trackers that have not broken.
        attempt: Tells a tracker something; False where it breaks.
        name: What the trainings are called.
        facts: What else is said of them.
    """

    def __init__(
        self, trackers: Callable[[], list[Tracker]], attempt: Attempt, name: str, facts: Facts
    ) -> None:
        self._trackers = trackers
        self._attempt = attempt
        self._name = name
        self._facts = facts
        self._count = 0
        self._callbacks = dict[Tracker, TrainerCallback]()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin a run in each tracker."""
        # Of several processes one reports.
        if not state.is_world_process_zero:
            return
        self.end(broken=True)
        self._count += 1
        for tracker in self._trackers():
            self._attempt(tracker, self._run.name, partial(self._begin, tracker))
        self._hand_on("on_train_begin", args, state, control, kwargs)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Hand on losses, learning rates and dev scores."""
        self._hand_on("on_log", args, state, control, kwargs)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the runs."""
        self._hand_on("on_train_end", args, state, control, kwargs)
        self.end(broken=False)

    def end(self, *, broken: bool) -> None:
        """End the runs that have not ended.

        Args:
            broken: Whether their training broke off.
        """
        for tracker in [*self._callbacks]:
            del self._callbacks[tracker]
            self._attempt(tracker, self._run.name, partial(tracker.end_training, broken=broken))

    @property
    def _run(self) -> TrackedRun:
        number = f"-{self._count}" if self._count > 1 else ""
        return TrackedRun("training", f"{self._name}{number}", self._facts)

    def _begin(self, tracker: Tracker) -> None:
        self._callbacks[tracker] = tracker.begin_training(self._run)

    def _hand_on(
        self,
        event: str,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        given: dict[str, Any],
    ) -> None:
        if not self._callbacks:
            return
        for tracker, callback in [*self._callbacks.items()]:
            named = copy.copy(args)
            named.run_name, named.project = self._run.name, tracker.project
            act = partial(getattr(callback, event), named, state, copy.copy(control), **given)
            if not self._attempt(tracker, self._run.name, act):
                del self._callbacks[tracker]
