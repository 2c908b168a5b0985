"""What signals mean to a job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from psearch.cluster import work
from psearch.training.interruption import Interrupted


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR2)
    yield
    signal.signal(signal.SIGUSR2, before)


def interrupted(*signums: int) -> Callable[[], None]:
    """Work that is interrupted by these signals, one at each attempt, and then done."""
    waiting = list(signums)

    def attempt() -> None:
        if waiting:
            raise Interrupted(waiting.pop(0), "saved")

    return attempt


def test_after_sigterm_the_work_goes_on_until_slurm_ends_it() -> None:
    work._until_done(interrupted(signal.SIGTERM, signal.SIGTERM))


def test_a_warning_is_handed_to_who_requeues_once_all_is_saved() -> None:
    class Requeued(BaseException):
        pass

    def requeue(*_: object) -> None:
        raise Requeued

    signal.signal(signal.SIGUSR2, requeue)
    with pytest.raises(Requeued):
        work._until_done(interrupted(signal.SIGTERM, signal.SIGUSR2))


def test_a_warning_after_the_work_is_done_kills_nothing() -> None:
    """Python puts the default handlers back while it shuts down."""
    script = (
        "import os, signal\n"
        "from psearch.cluster.work import _until_done\n"
        "class Late:\n"
        "    def __del__(self, kill=os.kill, me=os.getpid(), signum=signal.SIGUSR2): kill(me, signum)\n"
        "signal.signal(signal.SIGUSR2, lambda *_: None)\n"
        "_until_done(lambda: None)\n"
        "signal.late = Late()\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[2]).returncode == 0


def test_failures_are_handed_on() -> None:
    def fail() -> None:
        raise ValueError("no data")

    with pytest.raises(ValueError, match="no data"):
        work._until_done(fail)


def test_jobs_are_plain_data_that_another_process_can_read(tmp_path: Path) -> None:
    from submitit.core.utils import DelayedSubmission

    job = work.Training({"seed": 1}, {"student": "oim"})
    DelayedSubmission(job).dump(tmp_path / "job.pkl")
    assert job.checkpoint().function == job
    assert b"psearch.cluster.work" in (tmp_path / "job.pkl").read_bytes()
    assert os.path.getsize(tmp_path / "job.pkl") < 2000
