"""What signals mean to a job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from submitit.core.job_environment import JobEnvironment, SignalHandler
from submitit.core.utils import DelayedSubmission, JobPaths, UncompletedJobError

from psearch.engine.signals import Interrupted
from psearch.launch.slurm import work


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
        "from psearch.launch.slurm.work import _until_done\n"
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
    job = work.Training({"seed": 1}, {"student": "oim"})
    DelayedSubmission(job).dump(tmp_path / "job.pkl")
    assert job.checkpoint().function == job
    assert b"psearch.launch.slurm.work" in (tmp_path / "job.pkl").read_bytes()
    assert os.path.getsize(tmp_path / "job.pkl") < 2000


class Requeued(BaseException):
    pass


class Queue(JobEnvironment):
    """A cluster's queue that only counts."""

    @property
    def global_rank(self) -> int:
        return 0

    def _requeue(self, countdown: int) -> None:
        raise Requeued


def starts(paths: JobPaths, minutes: int) -> int:
    """How often a job is started that is warned in each of its attempts, 20 at most."""
    for start in range(1, 21):
        delayed = DelayedSubmission.load(paths.submitted_pickle)
        handler = SignalHandler(Queue(), paths, delayed)
        handler._start_time -= 60 * minutes
        try:
            handler.checkpoint_and_try_requeue(signal.SIGUSR2)
        except Requeued:
            continue
        except UncompletedJobError as end:
            assert "timed-out too many times" in str(end)
            return start
    return 20


@pytest.mark.parametrize(("minutes", "started"), [(55, 4), (5, 20)])
def test_time_limits_are_counted_and_preemptions_are_not(tmp_path: Path, minutes: int, started: int) -> None:
    """Of a job of an hour that may run into its limit three times."""
    paths = JobPaths(tmp_path, job_id="1")
    job = DelayedSubmission(work.Training({"seed": 1}, {"student": "oim"}))
    job.set_timeout(60, max_num_timeout=3)
    job.dump(paths.submitted_pickle)
    assert starts(paths, minutes) == started
