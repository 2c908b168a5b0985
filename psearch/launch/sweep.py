"""A sweep that is a study: missing teachers first, then who needs them, and in the end the comparison."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher

from psearch.build import trusting
from psearch.config.errors import message
from psearch.launch.plan import Job, Plan, make_plan
from psearch.launch.slurm.submission import plain_launcher, submit_plan

log = logging.getLogger(__name__)

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[JobReturn]]
"""A Hydra launcher's `launch`: the overrides of each job and the number of the first -> what came back."""


def sweep(launcher: Launcher, hydra: Any, points: Sequence[Sequence[str]], *, preview: bool) -> None:
    """Launch a study: SLURM is handed all of it, any other launcher runs it while this waits.

    hydra: the composed node of that name. preview: only print what would be launched.
    """
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

    config_name, overrides = hydra.job.config_name, list(hydra.overrides.hydra)
    if preview:
        print(make_plan(config_name, overrides, points).preview(how(hydra)))
    elif isinstance(launcher, SlurmLauncher):
        print(submit_plan(make_plan(config_name, overrides, points), plain_launcher(hydra), overrides))
    else:
        StudySweep(launcher.launch, config_name, overrides).run(points)


def how(hydra: Any) -> str:
    """A line on where the jobs would run, and how many at once."""
    launcher = plain_launcher(hydra)
    if "gpus_per_node" in launcher:
        from psearch.launch.slurm.executor import describe

        return describe(launcher)
    return f"this machine, {launcher.get('n_jobs', 1)} at a time, each on the device it is told (device=auto)"


class StudySweep:
    """Runs the points of a grid through a launcher in two batches.

    First the missing teachers, beside the runs that wait for none of them; then the rest. A distinct
    teacher is trained in one job: the first run that needs it with `stage=teacher`, which trains all of its
    own. Points that mean the same run directory are one job. A failed job stops no other, and the
    comparison is made whatever happens.
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
        plan = make_plan(self.config_name, self.hydra, points)
        try:
            self.start([*plan.trainings, *(job for job in plan.jobs if not job.teachers)])
            self.start([job for job in plan.jobs if job.teachers and self.has_teachers(job, plan)])
        finally:
            with trusting(plan.trust):
                for study in plan.studies:
                    self.compare(study)
        if self.failures:
            raise ValueError(
                f"{len(self.failures)} failed, see above; the same command runs only what is missing"
            )

    def has_teachers(self, job: Job, plan: Plan) -> bool:
        """Whether the teachers that a job waited for were trained; if not, the job has failed with them."""
        if not any(plan.teachers[key].label in self.failures for key in job.teachers):
            return True
        self.fail(job.label, "not started: its teacher could not be trained")
        return False

    def start(self, jobs: Sequence[Job]) -> None:
        """Launch a batch and wait for it."""
        if not jobs:
            return
        log.info("Starting:%s", "".join(f"\n    {job.label}" for job in jobs))
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
                self.fail(job.label, message(error))

    def one_by_one(self, jobs: Sequence[Job]) -> None:
        """After a worker was killed: what has finished skips itself, and who is killed again is known."""
        if len(jobs) == 1:
            self.fail(
                jobs[0].label, "its process was killed; if it ran out of memory, lower hydra.launcher.n_jobs"
            )
            return
        log.warning("A worker process was killed. Going on with one job at a time.")
        for job in jobs:
            self.start([job])

    def compare(self, study: Path) -> None:
        """Print the comparison of all that the study has so far."""
        from psearch.studies.compare import compare_studies

        try:
            print(compare_studies([study]), flush=True)
        except Exception as error:
            self.fail(f"comparison of {study.name}", message(error))

    def fail(self, what: str, reason: str) -> None:
        """Remember and tell why something brought nothing."""
        log.error("FAILED %s: %s", what, reason)
        self.failures[what] = reason
