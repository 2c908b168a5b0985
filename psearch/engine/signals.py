"""Stopping a training from outside without losing what it has learnt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from psearch import distributed

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
"""Ctrl-C, what `kill` and a scheduler's time limit send, and the warning SLURM sends before preemption."""


SAVED = "everything so far is saved"


class Interrupted(KeyboardInterrupt):
    """A signal asked to stop, which is not a failure. `exit_code` is the one a shell expects; saved: whether
    all ranks stopped at the same step."""

    def __init__(self, signum: int, what: str) -> None:
        name = signal.Signals(signum).name
        super().__init__(f"interrupted by {name}: {what}; the same command goes on from there")
        self.signum, self.what, self.saved = signum, what, what == SAVED
        self.exit_code = 128 + signum

    def __reduce__(self) -> tuple[type[Interrupted], tuple[int, str]]:
        return Interrupted, (self.signum, self.what)  # so that it survives the way out of a worker process


class Interruption:
    """Turns a signal into a request, to be met at the next step; a second Ctrl-C is an end at once.

    A scheduler's signals follow each other (SIGTERM, SIGUSR2) and it kills when its time is up: these only
    replace the request. Outside of `deferred` blocks nothing is at stake, and the first ends at once too. On
    leaving, the handlers from before are back. Signals reach a process's main thread only; in another one
    this does nothing.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._deferred = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._before = {signum: signal.signal(signum, self._handle) for signum in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def asked(self) -> bool:
        """Whether to stop here, whichever rank got the signal: all answer alike, and must be asked alike."""
        [urgency] = distributed.all_max([SIGNALS.index(self.requested) + 1 if self.requested else 0])
        if urgency:
            self.requested = SIGNALS[urgency - 1]
        return urgency > 0

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """A block that watches `requested`, saves and ends when it is set; then raises Interrupted."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.asked():
            assert self.requested is not None
            raise Interrupted(self.requested, SAVED)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        insisting = signum == signal.SIGINT and self.requested is not None
        if insisting or not self._deferred:
            raise Interrupted(signum, "stopped at once, the last checkpoint is whole")
        self.requested = signum
