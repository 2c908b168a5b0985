"""What a sweep comes down to: distinct runs, the teachers some of them wait for, and where each will lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

from psearch.build import Trust, trusting
from psearch.config.compose import resolved, variant
from psearch.config.overrides import check
from psearch.config.trust import trust_of

Overrides = tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """One run: its overrides, its study's folder, the missing teachers it waits for, by their keys.

    label: what tells it from the others. trains: the teachers it trains and nothing else, by their keys.
    name: of its directory, or of a training of teachers. done: its results are there. others: what it was
    made from otherwise than it would be now. config, variant: what `psearch.studies.train.run` takes. trust:
    with which its config is built.
    """

    overrides: Overrides
    study: Path
    teachers: tuple[str, ...] = ()
    label: str = field(default="", compare=False)
    trains: tuple[str, ...] = field(default=(), compare=False)
    name: str = field(default="", compare=False)
    directory: str | None = field(default=None, compare=False)
    done: bool = field(default=False, compare=False)
    others: tuple[str, ...] = field(default=(), compare=False)
    config: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    variant: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    trust: Trust = field(default=Trust(), compare=False, repr=False)

    def training_its_teachers(self) -> Job:
        """The job that does nothing but train what this one waits for."""
        return replace(
            self,
            overrides=(*self.overrides, "stage=teacher"),
            teachers=(),
            label=f"the teacher of {self.label}",
            trains=self.teachers,
            name=_training(self.variant, self.teachers),
            directory=None,
            config={**self.config, "stage": "teacher"},
        )


@dataclass(frozen=True)
class Plan:
    """The runs of a sweep, and for each missing teacher the job that trains it, by the teacher's key."""

    jobs: tuple[Job, ...]
    teachers: Mapping[str, Job]

    @property
    def trainings(self) -> tuple[Job, ...]:
        """The jobs that train teachers; one may train several."""
        return tuple(dict.fromkeys(self.teachers.values()))

    @property
    def trust(self) -> Trust:
        """With which the studies are compared."""
        return reduce(or_, (job.trust for job in self.jobs), Trust())

    @property
    def studies(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(job.study for job in self.jobs))

    def of(self, study: Path) -> Plan:
        """The part that belongs to one study, with all teachers it needs."""
        jobs = tuple(job for job in self.jobs if job.study == study)
        wanted = {key for job in jobs for key in job.teachers}
        return Plan(jobs, {key: job for key, job in self.teachers.items() if key in wanted})

    def preview(self, how: str) -> str:
        """What would be launched, as text. how: a line on the machines it would run on."""
        lines = [how]
        for study in self.studies:
            part = self.of(study)
            lines.append(f"{study}: {part.summary}")
            lines += [f"  teacher     {job.name}" for job in part.trainings]
            lines += [part.line(job) for job in part.jobs]
            lines.append(f"  comparison  {study / 'report.html'}")
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        """How much there is to do: `1 teachers to train, 4 runs, 0 done already, 1 comparison`."""
        done, other = sum(job.done for job in self.jobs), sum(bool(job.others) for job in self.jobs)
        hint = f" ({other} with other code or teachers: kept; rerun=stale makes them again)" if other else ""
        return (
            f"{len(self.teachers)} teachers to train, {len(self.jobs) - done} runs, "
            f"{done} done already{hint}, 1 comparison"
        )

    def line(self, job: Job) -> str:
        """A run of the plan: where it lies and what it waits for."""
        first = ", ".join(dict.fromkeys(self.teachers[key].name for key in job.teachers))
        place = job.directory or job.name
        return f"  {'done' if job.done else 'run':10}  {place}{f', after {first}' if first else ''}"


def make_plan(config_name: str, hydra: Sequence[str], points: Sequence[Sequence[str]]) -> Plan:
    """Check and compose every point before any is launched; points that mean the same run are one.

    hydra: overrides of Hydra's own settings, which compose every job alike. Hydra must be initialised.
    Raises ValueError for a mistake in any point.
    """
    everywhere = set.intersection(*map(set, points)) if len(points) > 1 else set()
    distinct: dict[tuple[Any, ...], Job] = {}
    for point in points:
        label = " ".join(text for text in point if text not in everywhere) or " ".join(point)
        job = replace(_compose(config_name, hydra, tuple(point)), label=label)
        distinct.setdefault((job.study, job.directory, job.name), job)
    first = {key: job for job in reversed(distinct.values()) for key in job.teachers}
    return Plan(tuple(distinct.values()), {key: job.training_its_teachers() for key, job in first.items()})


def _compose(config_name: str, hydra: Sequence[str], point: Overrides) -> Job:
    from psearch.identity import job_name
    from psearch.records import RunRecord
    from psearch.runs import places
    from psearch.runs.config import RunConfig
    from psearch.studies.assembly import make_terms
    from psearch.studies.ingredients import data_of, outdated
    from psearch.studies.teachers import needed, ready

    cfg, settings = check(config_name, [*hydra, *point])
    config, trust = RunConfig.parse(resolved(cfg)), trust_of(cfg, settings)
    with trusting(trust):
        make_terms(config.terms)
        data = data_of(config)
    keys, chosen, outputs = needed(config, data), variant(cfg, settings), config.outputs
    missing = tuple(key for key in keys if not ready(key, places.teachers_directory(outputs)))
    job = Job(point, outputs / config.study, config=config.plain, variant=chosen, trust=trust)
    if config.only_teachers:
        done = bool(keys) and not missing
        return replace(job, trains=keys, name=_training(chosen, keys), done=done)
    name = job_name(chosen, config.plain, data.whole)
    directory = places.run_directory(outputs, config.study, name, config.directory)
    record = RunRecord.read(directory)
    others = tuple(outdated(record, config, data)) if record else ()
    done = record is not None and not (others and config.rerun == "stale")
    job = replace(job, name=name, directory=str(directory), done=done, others=others if done else ())
    return job if done else replace(job, teachers=missing)


def _training(chosen: Mapping[str, Any], keys: Sequence[str]) -> str:
    return "-".join(["teacher", str(chosen["teacher"]), *(key.rpartition("-")[2][:6] for key in keys)])
