"""What a job of the cluster does: plain data that was fixed at submission, and what a signal means to it."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit.helpers import DelayedSubmission

from psearch import distributed
from psearch.build import Trust, trusting
from psearch.engine.signals import Interrupted

log = logging.getLogger(__name__)

PATIENCE_S = 300.0
"""How long a rank that has stopped waits for SLURM to end it."""


@dataclass(frozen=True)
class Training:
    """One run of a study, or of a teacher. config, variant: as `psearch.studies.train.run` takes them. trust:
    of the command line that submitted it."""

    config: Mapping[str, Any]
    variant: Mapping[str, Any]
    trust: Trust = Trust()

    def __call__(self) -> None:
        from psearch.runs.config import RunConfig
        from psearch.studies.train import run

        _begin()
        with trusting(self.trust):
            _until_done(lambda: run(RunConfig.parse(self.config), self.variant))

    def checkpoint(self) -> DelayedSubmission:
        """What submitit runs after a requeue: the same, which goes on from the last checkpoint."""
        return DelayedSubmission(self)


@dataclass(frozen=True)
class Comparing:
    """The comparison of a study with what it has by then."""

    study: Path
    trust: Trust = Trust()

    def __call__(self) -> None:
        from psearch.studies.compare import compare_studies

        _begin()
        with trusting(self.trust):
            _until_done(lambda: print(compare_studies([self.study]), flush=True))

    def checkpoint(self) -> DelayedSubmission:
        """After a requeue it is made anew."""
        return DelayedSubmission(self)


def _until_done(work: Callable[[], object]) -> None:
    """Do the work, however often it is interrupted.

    After SLURM's warning (SIGUSR2, sent before the time limit and before a preemption) the training has saved
    itself; submitit's handler, back in place, then requeues the job and ends it. SIGTERM is no order to
    requeue, as a cancelled job gets it too: saved, the work goes on until SLURM kills the job. A warning that
    comes when the work is done must not kill the process on its way out: Python resets its handlers there.
    Of several ranks the first one requeues the job, the others wait for that; and ranks that did not stop at
    the same step cannot go on together.
    """
    while True:
        try:
            work()
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            return
        except Interrupted as stop:
            log.warning("%s", stop)
            if stop.signum != signal.SIGTERM:
                signal.raise_signal(stop.signum)
            if distributed.is_distributed() and not (stop.saved and stop.signum == signal.SIGTERM):
                time.sleep(PATIENCE_S)
                raise


def _begin() -> None:
    os.umask(os.umask(0o002) | 0o002)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%m-%d %H:%M:%S")
    restarts = os.environ.get("SLURM_RESTART_COUNT")
    if restarts:
        log.info("start number %d of this job", int(restarts) + 1)
