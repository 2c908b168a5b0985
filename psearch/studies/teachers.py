"""Teachers are runs: a recipe is trained once, at an address made from what it is, and used ever after."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from psearch import distributed
from psearch.data.fingerprints import Fingerprints
from psearch.distill.teacher import IdentityFeatures, Teacher
from psearch.runs import checkpoint
from psearch.runs.config import RunConfig, TeacherConfig
from psearch.runs.directory import acquire, is_finished
from psearch.runs.provenance import code, weights_digest
from psearch.studies.fit import Workplace, training
from psearch.studies.frozen import frozen_task, keep
from psearch.studies.identity_features import identity_features
from psearch.studies.ingredients import teacher_directories, teacher_directory, training_code
from psearch.studies.recipe import restored_task
from psearch.tasks.task import NetworkTask
from psearch.types import Benchmark

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TeacherRun:
    """Where a trained teacher lies. name: its word in `conf/teacher`."""

    name: str
    checkpoint: Path

    @property
    def directory(self) -> Path:
        return self.checkpoint.parent

    def task(self) -> NetworkTask:
        """Its network and criterion as they were at the end of its training."""
        return restored_task(checkpoint.load(self.checkpoint), self.checkpoint)

    def load(self, benchmark: Benchmark, device: torch.device) -> Teacher:
        """The teacher, frozen, ready to be asked about this data."""
        state = checkpoint.load(self.checkpoint)
        task = restored_task(state, self.checkpoint).to(device)
        network, print_ = task.network, weights_digest(task.network.state_dict())

        def people() -> IdentityFeatures:
            return distributed.on_first_rank(
                lambda: identity_features(
                    network, benchmark, directory=self.directory, teacher=print_, device=device
                )
            )

        same_people = state["facts"].get("data") == benchmark.train_fingerprint
        return Teacher(
            network,
            name=self.name,
            fingerprint=print_,
            provides=task.provides,
            prototypes=task.prototypes if same_people else None,
            identity_features=people,
        )


def variant_of(name: str, seed: int = 0) -> dict[str, Any]:
    """What a teacher is called by where students are called by the choices made for them."""
    words = {"student": name, "compression": "", "teacher": "none", "distill": "none"}
    return words | {"seed": seed, "overrides": []}


def needed(config: RunConfig, data: Fingerprints) -> tuple[str, ...]:
    """The teachers of a run that a recipe makes, by the names of their directories, which runs wanting the
    same teacher share."""
    if not config.wants_teachers:
        return ()
    return tuple(place.name for place in teacher_directories(config, data).values())


def ready(name: str, home: Path) -> bool:
    """Whether the teacher of that directory is trained and whole. home: the folder of all teachers."""
    return is_finished(home / name) and checkpoint.damage(home / name / checkpoint.LAST) is None


def obtain(config: RunConfig, workplace: Workplace) -> list[TeacherRun]:
    """The teachers a run asks for, trained first if nobody did: other runs that want them wait meanwhile.

    Raises ValueError if a checkpoint cannot be read.
    """
    return [_obtain(teacher, workplace, config.outputs) for teacher in config.teachers.values()]


def _obtain(teacher: TeacherConfig, workplace: Workplace, outputs: Path) -> TeacherRun:
    if teacher.checkpoint is not None:
        checkpoint.load(teacher.checkpoint)
        return TeacherRun(teacher.name, teacher.checkpoint)
    recipe, benchmark = teacher.recipe, workplace.benchmark
    assert recipe is not None
    frozen = frozen_task(recipe, workplace) if teacher.frozen else None
    data = Fingerprints(benchmark.fingerprint, benchmark.train_fingerprint)
    directory = teacher_directory(teacher, data, outputs)
    with acquire(directory, dict(recipe.plain), wait_s=-1) as run:
        if run.finished and (reason := damage(directory)):
            log.warning("the teacher %s is damaged and made again: %s", directory, reason)
            distributed.on_first_rank(run.reopen)
        if frozen and not run.finished:
            keep(run, *frozen, workplace, closure=training_code(recipe))
        elif not run.finished:
            log.info("training the teacher %s in %s", teacher.name, directory)
            variant = variant_of(teacher.name, recipe.seed)
            named: dict[str, Any] = {"study": "teachers", "job_type": "teacher", "variant": variant}
            with training(run, recipe, workplace, **named) as prepared:
                prepared.finish(prepared.loop.train(), {"code": code() | {"closure": training_code(recipe)}})
    return TeacherRun(teacher.name, directory / checkpoint.LAST)


def damage(directory: Path) -> str | None:
    """Why a finished teacher cannot be used; None if it can."""
    return distributed.on_first_rank(lambda: checkpoint.damage(directory / checkpoint.LAST))
