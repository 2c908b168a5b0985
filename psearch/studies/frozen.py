"""Teachers that are given and not trained: their weights read, their embeddings centred on the training
people, and kept as a run like any other teacher."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict

from psearch import distributed
from psearch.engine.loop import TrainState
from psearch.records import RunRecord
from psearch.runs import checkpoint
from psearch.runs.config import Recipe
from psearch.runs.directory import Run
from psearch.runs.provenance import code
from psearch.studies.fit import Workplace
from psearch.studies.identity_features import describe_people
from psearch.studies.recipe import new_task
from psearch.tasks.frozen import FrozenTask
from psearch.tasks.task import DatasetFacts

log = logging.getLogger(__name__)


def frozen_task(recipe: Recipe, workplace: Workplace) -> tuple[FrozenTask, DatasetFacts]:
    """The task of a frozen teacher, with its weights. ValueError if they cannot be read or do not fit, or if
    the recipe's `_target_` is no `FrozenTask`."""
    task, facts = new_task(recipe, workplace.benchmark)
    if not isinstance(task, FrozenTask):
        raise ValueError(f"_target_ {recipe.student['_target_']} is no psearch.tasks.frozen.FrozenTask")
    return task, facts


def keep(run: Run, task: FrozenTask, facts: DatasetFacts, workplace: Workplace, *, closure: str) -> None:
    """Settle a frozen teacher on the training people and write it into its run, which is finished then.
    closure: digest of the code that made it."""
    begun, benchmark = time.monotonic(), workplace.benchmark
    task.to(workplace.device)
    if task.needs_people and benchmark.identities:
        people = distributed.on_first_rank(
            lambda: describe_people(task.bare, benchmark, teacher="", device=workplace.device)
        )
        task.settle(people.embeddings.to(workplace.device))
    seconds = time.monotonic() - begun
    state = {"network": task.network.state_dict(), "criterion": task.criterion.state_dict()}
    state |= asdict(TrainState(seconds=seconds)) | {"config": run.config, "code": code()}
    state |= {"facts": facts.plain() | {"data": benchmark.train_fingerprint}}
    training = {"epochs": 0, "steps": 0, "seconds": seconds}
    record = RunRecord(training=training, code=code() | {"closure": closure})

    def write() -> None:
        checkpoint.save(run.directory, state)
        run.finish(record)

    distributed.on_first_rank(write)
