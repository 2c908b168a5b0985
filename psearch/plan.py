"""What a sweep comes down to: distinct runs, the teachers some of them wait for, and where each will lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from psearch.config import resolved, variant
from psearch.overrides import check

Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One run: its overrides, its study, the missing teacher it waits for (None: for none).

    trains: the key of the teacher, for a run that ends when that is there. name: of its directory, or what
    the training of a teacher is called. done: its results are there. config, variant: what
    `psearch.training.study.run` takes.
    """

    overrides: Overrides
    study: str
    teacher: str | None = None
    trains: str | None = field(default=None, compare=False)
    name: str = field(default="", compare=False)
    directory: str | None = field(default=None, compare=False)
    done: bool = field(default=False, compare=False)
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    variant: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        return " ".join(self.overrides)


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep, and for each missing teacher the job that trains it, by the teacher's key."""

    jobs: tuple[Job, ...]
    teachers: Mapping[str, Job]

    @property
    def studies(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(job.study for job in self.jobs))

    def of(self, study: str) -> Plan:
        """The part that belongs to one study, with all teachers it needs."""
        jobs = tuple(job for job in self.jobs if job.study == study)
        wanted = {job.teacher for job in jobs}
        return Plan(jobs, {key: job for key, job in self.teachers.items() if key in wanted})

    def preview(self, how: str) -> str:
        """What would be launched, as text. how: a line on the machines it would run on."""
        lines = [how]
        for study in self.studies:
            part = self.of(study)
            todo = [job for job in part.jobs if not job.done]
            lines.append(
                f"outputs/{study}: {len(part.teachers)} teachers to train, {len(todo)} runs, "
                f"{len(part.jobs) - len(todo)} done already, 1 comparison"
            )
            lines += [f"  teacher     {job.name}  ({job})" for job in part.teachers.values()]
            lines += [_line(job, part) for job in part.jobs]
            lines.append(f"  comparison  outputs/{study}/report.html")
        return "\n".join(lines)


def _line(job: Job, plan: Plan) -> str:
    first = f", after {plan.teachers[job.teacher].name}" if job.teacher else ""
    return f"  {'done' if job.done else 'run':10}  {job.directory or job.name}{first}"


def make_plan(config_name: str, hydra: Sequence[str], points: Sequence[Sequence[str]]) -> Plan:
    """Check and compose every point before any is launched; points that mean the same run are one.

    hydra: overrides of Hydra's own settings, which compose every job alike. Hydra must be initialised.
    Raises ValueError for a mistake in any point.
    """
    distinct: dict[tuple[Any, ...], Job] = {}
    for point in points:
        job = _compose(config_name, hydra, tuple(point))
        distinct.setdefault((job.study, job.directory, job.name), job)
    first = {job.teacher: job for job in reversed(distinct.values()) if job.teacher is not None}
    teachers = {key: _training(key, job, (*job.overrides, "stage=teacher")) for key, job in first.items()}
    return Plan(tuple(distinct.values()), teachers)


def _compose(config_name: str, hydra: Sequence[str], point: Overrides) -> Job:
    from psearch.training.identity import job_name
    from psearch.training.run import is_finished
    from psearch.training.teachers import needed, ready

    cfg, settings = check(config_name, [*hydra, *point])
    config, study = resolved(cfg), str(cfg.study)
    key, chosen = needed(config), variant(cfg, settings)
    missing = None if key is None or ready(key) else key
    job = Job(point, study, config=config, variant=chosen)
    if config["stage"] == "teacher":
        return replace(_training(key or "given", job, point), done=missing is None)
    name = job_name(chosen, config)
    directory = config["directory"] or str(Path("outputs", study, name))
    done = config["directory"] is None and is_finished(Path(directory))
    return replace(job, teacher=None if done else missing, name=name, directory=directory, done=done)


def _training(key: str, job: Job, overrides: Overrides) -> Job:
    """The run of a job that needs a teacher, ended when that teacher is there."""
    return replace(
        job,
        overrides=overrides,
        teacher=None,
        trains=key,
        name=f"teacher-{job.variant['teacher']}-{key[:6]}",
        directory=None,
        config={**job.config, "stage": "teacher"},
    )
