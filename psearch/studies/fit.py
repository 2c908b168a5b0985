"""One training, student or teacher: from an acquired run directory to a loop that is ready to go, and on to
its results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from psearch import distributed
from psearch.build import build
from psearch.distill.teacher import Teacher
from psearch.engine.loop import TrainingLoop
from psearch.engine.options import TrainerOptions
from psearch.records import RunRecord
from psearch.runs.checkpoint import LAST
from psearch.runs.config import Node, Recipe
from psearch.runs.directory import Run
from psearch.runs.labels import summary_of, tracker_of
from psearch.studies.assembly import attach_distillation
from psearch.studies.recipe import new_task
from psearch.tasks.task import NetworkTask
from psearch.tracking.tracker import Tracker
from psearch.types import Benchmark


@dataclass(frozen=True, eq=False)
class Workplace:
    """What every training of a run shares: its data, its device, and the logger it is watched by."""

    benchmark: Benchmark
    device: torch.device
    logger: Callable[..., Any]


def read_data(node: Mapping[str, Any]) -> Benchmark:
    """The data set of a node of `conf/data`, on every rank."""
    distributed.on_first_rank(lambda: build(node) and None)
    benchmark: Benchmark = build(node)
    return benchmark


@dataclass(frozen=True, eq=False)
class Training:
    """A training that is ready to go: `loop.train()` starts it, `finish` writes its results."""

    run: Run
    task: NetworkTask
    loop: TrainingLoop
    tracker: Tracker

    def finish(self, trained: Mapping[str, Any], measured: Mapping[str, Any]) -> RunRecord:
        """trained: what the loop returned. measured: the rest of `results.json`. Returns all of it."""
        record = RunRecord.parse({"status": "ok", "training": trained, **measured})
        distributed.on_first_rank(lambda: self.run.finish(record))
        self.tracker.summary(summary_of(record.to_json()))
        self.tracker.checkpoint(self.run.directory / LAST)
        return record


@contextmanager
def training(
    run: Run,
    recipe: Recipe,
    workplace: Workplace,
    *,
    study: str,
    job_type: str,
    variant: Mapping[str, Any],
    teachers: Sequence[Teacher] = (),
    terms: Mapping[str, Node] | None = None,
    validate: Callable[[NetworkTask], dict[str, float]] | None = None,
) -> Iterator[Training]:
    """A block in which a recipe can be trained in `run`, going on from its last checkpoint, and is tracked.

    variant: what the run is called by in tracking. terms: the distillation terms that read the teachers.
    validate: the task -> metrics on the validation split, every `trainer.validate_every` epochs.
    """
    options: TrainerOptions = build(recipe.trainer)
    named: dict[str, Any] = {"config": recipe.plain, "variant": variant, "study": study, "job_type": job_type}
    with tracker_of(workplace.logger, run.directory, **named) as tracker:
        benchmark = workplace.benchmark
        task, facts = new_task(recipe, benchmark)
        if teachers:
            attach_distillation(task, teachers, terms or {})
        loader = task.loader(
            benchmark, batch_size=options.batch_size, seed=recipe.seed, workers=options.workers
        )
        loop = TrainingLoop(
            task,
            loader,
            options,
            run=run,
            tracker=tracker,
            seed=recipe.seed,
            device=workplace.device,
            validate=(lambda: validate(task)) if validate else None,
            facts=facts.plain() | {"data": benchmark.train_fingerprint},
        )
        yield Training(run, task, loop, tracker)
