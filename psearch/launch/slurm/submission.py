"""A plan handed to SLURM as a whole: teachers, the runs that wait for them, and the comparison at the end.

SLURM itself holds the jobs back until their turn comes, so nothing needs to stay alive here.
"""

from __future__ import annotations

import logging
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import submitit
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from submitit.core.utils import FailedJobError, FailedSubmissionError

from psearch.build import NO_FURTHER, Trust
from psearch.config.overrides import searching
from psearch.config.program import CONF
from psearch.config.trust import check_kept
from psearch.launch.plan import Job, Plan, make_plan
from psearch.launch.slurm import queue
from psearch.launch.slurm.executor import make_executor, outside_of_jobs
from psearch.launch.slurm.ledger import COMPARISON, Entry, Ledger, all_ledgers
from psearch.launch.slurm.snapshot import freeze, own_packages
from psearch.launch.slurm.work import Comparing, Training
from psearch.runs import places

log = logging.getLogger(__name__)


def submit(plan: Plan, launcher: Mapping[str, Any], hydra: Sequence[str] = ()) -> list[Entry]:
    """Submit what is neither done nor under way; returns the new jobs.

    launcher: the composed node `hydra.launcher`. hydra: its overrides, kept for a resubmission. Raises
    ValueError if SLURM refuses a job; what it has taken by then stands in the ledger.
    """
    entries = []
    for study in plan.studies:
        with Ledger(study).open() as ledger, outside_of_jobs():
            entries += _Submission(ledger, launcher, tuple(hydra), plan.trust).submit(plan.of(study))
    return entries


ONE_TASK = {"nodes": 1, "tasks_per_node": 1}
"""What a comparison is; runs and teachers are a task per rank."""


class _Submission:
    """One study's part of a submission."""

    def __init__(
        self, ledger: Ledger, launcher: Mapping[str, Any], hydra: tuple[str, ...], trust: Trust
    ) -> None:
        self.ledger, self.launcher, self.hydra, self.trust = ledger, launcher, hydra, trust
        self.home = places.outputs_of(ledger.study)
        self.active = queue.active()
        self.busy = {name: e for name, e in ledger.latest().items() if e.job in self.active}
        self.code = freeze(ledger.study / "code", packages=own_packages(trust))
        self.logs = ledger.folder / "logs"
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def submit(self, plan: Plan) -> list[Entry]:
        trainers = self._teachers(plan)
        missing = [job for job in plan.jobs if not (job.done or set(job.trains) & set(trainers))]
        todo = [job for job in missing if job.name not in self.busy]
        new = [entry for entry in dict.fromkeys(trainers.values()) if entry.job not in self.active]
        for keys in dict.fromkeys(job.teachers for job in todo):
            group = [job for job in todo if job.teachers == keys]
            new += self._array(group, _after("afterok", [trainers[key].job for key in keys]))
        runs = [e.job for name, e in self.busy.items() if name != COMPARISON] + [entry.job for entry in new]
        if new or (runs and COMPARISON not in self.busy):
            new.append(self._comparison(runs))
        return new

    def _teachers(self, plan: Plan) -> dict[str, Entry]:
        """Who trains each missing teacher: a job under way already, in whichever study, or a new one."""
        known = [e for ledger in all_ledgers(self.home) for e in ledger.latest().values()]
        trainers = {key: e for e in known if e.job in self.active for key in e.trains}
        missing = [job for key, job in plan.teachers.items() if key not in trainers]
        new = self._array(list(dict.fromkeys(missing)), None)
        return {key: entry for entry in new for key in entry.trains} | trainers

    def _array(self, jobs: Sequence[Job], dependency: str | None) -> list[Entry]:
        work = [Training(dict(job.config), dict(job.variant), job.trust) for job in jobs]
        return self._launch(jobs, work, dependency)

    def _comparison(self, runs: Sequence[str]) -> Entry:
        """One comparison after everything: one that waits for less is called off."""
        old = self.busy.get(COMPARISON)
        if old is not None:
            queue.cancel([old.job])
        whole = sorted({job.partition("_")[0] for job in runs})  # arrays
        job = Job((), self.ledger.study, name=COMPARISON)
        [entry] = self._launch([job], [Comparing(self.ledger.study, self.trust)], _after("afterany", whole))
        return entry

    def _launch(self, jobs: Sequence[Job], work: Sequence[Any], dependency: str | None) -> list[Entry]:
        if not jobs:
            return []
        launcher = {**self.launcher, "dependency": dependency}
        if isinstance(work[0], Comparing):
            launcher |= ONE_TASK | {"gpus_per_node": launcher["gpus_per_node"] and 1}
        executor = make_executor(launcher, self.logs, self.code, self.ledger.study.name)
        try:
            launched = executor.submit_array(work) if len(work) > 1 else [executor.submit(work[0])]
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise ValueError(f"SLURM refused the job: {error}") from error
        entries = [self._entry(job, submitted) for job, submitted in zip(jobs, launched, strict=True)]
        self.ledger.add(entries)
        return entries

    def _entry(self, job: Job, submitted: submitit.Job[Any]) -> Entry:
        return Entry(
            job=submitted.job_id,
            name=job.name,
            directory=job.directory and places.recorded(Path(job.directory), self.home),
            trains=job.trains,
            overrides=job.overrides,
            hydra=self.hydra,
            code=places.recorded(self.code, self.home),
            log=places.recorded(Path(submitted.paths.stderr), self.home),
            time=time.time(),
        )


def _after(kind: str, jobs: Sequence[str]) -> str | None:
    """A dependency as sbatch takes it; none without jobs."""
    return ":".join([kind, *dict.fromkeys(jobs)]) if jobs else None


CONFIG = "train"


def submit_plan(plan: Plan, launcher: Mapping[str, Any], hydra: Sequence[str]) -> str:
    """Submit a plan; answers what was submitted and what to do next."""

    entries = submit(plan, launcher, hydra)
    if not entries:
        return "nothing to submit: everything is done, waiting or running"
    lines = [f"{entry.job:12} {entry.name}" for entry in entries]
    lines += [f"python -m psearch.status {shlex.quote(places.command_word(study))}" for study in plan.studies]
    return "\n".join([*lines, "This shell may be closed."])


def resubmit(
    study: Path, settings: Sequence[str] = (), *, trust: Trust = NO_FURTHER, folders: Sequence[str] = ()
) -> str:
    """Submit again what the ledger of a study knows and is neither done nor under way, into the outputs that
    the study lies in.

    settings: overrides of `hydra.launcher`. trust, folders: what this command line trusts, and the
    directories of config files it adds; the ledger is a file, and can add to neither. Raises ValueError if
    nothing was submitted before.
    """
    latest = Ledger(study).latest()
    entries = [entry for name, entry in latest.items() if name != COMPARISON]
    if not entries:
        raise ValueError(f"no jobs were submitted for {study}: run its command again instead")
    if stray := [text for text in settings if not text.lstrip("+").startswith("hydra.launcher.")]:
        raise ValueError(f"{stray[0]}: only hydra.launcher.KEY=VALUE may change, or it would be another run")
    for entry in entries:
        check_kept([*entry.hydra, *entry.overrides], settings, trust)
    hydra = [*entries[-1].hydra, *settings, *searching(folders)]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        plan = make_plan(CONFIG, hydra, [_here(entry.overrides, study) for entry in entries])
        composed = compose(CONFIG, [*hydra, *entries[-1].overrides], return_hydra_config=True)
    return submit_plan(plan, plain_launcher(composed.hydra), hydra)


def _here(overrides: Sequence[str], study: Path) -> tuple[str, ...]:
    """The overrides of a run, for the outputs that its study lies in now."""
    kept = tuple(text for text in overrides if not text.startswith("outputs="))
    home = places.outputs_of(study)
    if home.resolve() == places.outputs().resolve():
        return kept
    quoted = str(home.absolute()).replace("\\", "\\\\").replace("'", "\\'")
    return (*kept, f"outputs='{quoted}'")


def plain_launcher(hydra: Any) -> dict[str, Any]:
    """The node `hydra.launcher` as a plain dict."""
    node = OmegaConf.to_container(OmegaConf.masked_copy(hydra, ["launcher"]), resolve=False)
    assert isinstance(node, dict)
    return dict(node["launcher"])
