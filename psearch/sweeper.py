"""A sweep that is a study: missing teachers first, then who needs them, and in the end the comparison."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn

from psearch.config import resolved, variant
from psearch.errors import message
from psearch.overrides import check

log = logging.getLogger(__name__)

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]
"""A Hydra launcher's `launch`: the overrides of each job and the number of the first -> what came back."""


@dataclass(frozen=True)
class Job:
    """One point of the grid: what it is called, its overrides, its study, the teacher it waits for."""

    name: str
    overrides: tuple[str, ...]
    study: str
    teacher: str | None = None

    def training_its_teacher(self) -> Job:
        """The job that does nothing but train what this one waits for."""
        return Job(f"the teacher of {self.name}", (*self.overrides, "stage=teacher"), self.study)


class StudySweep:
    """Runs the points of a grid through a launcher in two batches.

    First the missing teachers, beside the runs that wait for none of them; then the rest. Each distinct
    teacher is one job: the first run that needs it with `stage=teacher`. Points that mean the same run
    directory are one job. A failed job stops no other, and the comparison is made whatever happens.
    hydra: overrides of Hydra's own settings, which compose every job alike.
    """

    def __init__(self, launch: Launch, config_name: str, hydra: Sequence[str] = ()) -> None:
        self.launch = launch
        self.config_name = config_name
        self.hydra = list(hydra)
        self.launched = 0
        self.failures: dict[str, str] = {}

    def run(self, points: Sequence[Sequence[str]]) -> None:
        """Launch everything and wait; ValueError at the end if a job failed."""
        jobs = self.jobs(points)
        first = {job.teacher: job for job in reversed(jobs) if job.teacher is not None}
        teachers = {key: job.training_its_teacher() for key, job in first.items()}
        try:
            self.start([*teachers.values(), *(job for job in jobs if job.teacher is None)])
            self.start([job for job in jobs if job.teacher and self.has_teacher(job, teachers)])
        finally:
            for study in dict.fromkeys(job.study for job in jobs):
                self.compare(study)
        if self.failures:
            raise ValueError(
                f"{len(self.failures)} failed, see above; the same command runs only what is missing"
            )

    def jobs(self, points: Sequence[Sequence[str]]) -> list[Job]:
        """Check and compose every point before any is launched; points that mean the same run are one."""
        from psearch.training.identity import job_name
        from psearch.training.teachers import needed, ready

        everywhere = set.intersection(*map(set, points)) if len(points) > 1 else set()
        distinct: dict[tuple[Any, ...], Job] = {}
        for point in points:
            cfg, hydra = check(self.config_name, [*self.hydra, *point])
            config = resolved(cfg)
            key = needed(config)
            teacher = None if key is None or ready(key) else key
            place = (
                config["study"],
                config["directory"],
                job_name(variant(cfg, hydra), config),
                config["stage"],
            )
            name = " ".join(text for text in point if text not in everywhere) or " ".join(point)
            distinct.setdefault(place, Job(name, tuple(point), str(config["study"]), teacher))
        return list(distinct.values())

    def has_teacher(self, job: Job, teachers: Mapping[str, Job]) -> bool:
        """Whether the teacher that a job waited for was trained; if not, the job has failed with it."""
        if job.teacher is None or teachers[job.teacher].name not in self.failures:
            return True
        self.fail(job.name, "not started: its teacher could not be trained")
        return False

    def start(self, jobs: Sequence[Job]) -> None:
        """Launch a batch and wait for it."""
        if not jobs:
            return
        log.info("Starting:%s", "".join(f"\n    {job.name}" for job in jobs))
        try:
            returns = self.launch([job.overrides for job in jobs], self.launched)
        except BrokenProcessPool:  # a killed worker takes the other workers of its pool with it
            self.one_by_one(jobs)
            return
        except Exception as error:
            raise ValueError(f"the launcher gave up: {message(error)}") from error
        self.launched += len(jobs)
        for job, returned in zip(jobs, returns, strict=True):
            try:
                with redirect_stderr(StringIO()):  # Hydra prints all overrides of a failed job
                    _ = returned.return_value
            except Exception as error:
                self.fail(job.name, message(error))

    def one_by_one(self, jobs: Sequence[Job]) -> None:
        """After a worker was killed: what has finished skips itself, and who is killed again is known."""
        if len(jobs) == 1:
            self.fail(
                jobs[0].name, "its process was killed; if it ran out of memory, lower hydra.launcher.n_jobs"
            )
            return
        log.warning("A worker process was killed. Going on with one job at a time.")
        for job in jobs:
            self.start([job])

    def compare(self, study: str) -> None:
        """Print the comparison of all that the study has so far."""
        from psearch.training.compare import compare_studies

        try:
            print(compare_studies([Path("outputs", study)]), flush=True)
        except Exception as error:
            self.fail(f"comparison of {study}", message(error))

    def fail(self, what: str, reason: str) -> None:
        """Remember and tell why something brought nothing."""
        log.error("FAILED %s: %s", what, reason)
        self.failures[what] = reason
