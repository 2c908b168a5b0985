"""One training, student or teacher: from a claimed run directory to trained weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from psearch import distributed
from psearch.build import build
from psearch.distill.teacher import Teacher
from psearch.engine.loop import TrainingLoop
from psearch.engine.options import TrainerOptions
from psearch.runs.checkpoint import LAST
from psearch.runs.directory import Run
from psearch.runs.labels import summary_of, tracker_of
from psearch.studies.assembly import teach
from psearch.studies.recipe import new_task
from psearch.tasks.task import NetworkTask
from psearch.tracking.tracker import Tracker
from psearch.types import Benchmark


def fit(
    run: Run,
    benchmark: Benchmark,
    *,
    device: torch.device,
    logger: Callable[..., Any],
    study: str,
    job_type: str,
    variant: Mapping[str, Any],
    teachers: Sequence[Teacher] = (),
    evaluate: Callable[[NetworkTask, Tracker], dict[str, Any]] | None = None,
    validate: Callable[[NetworkTask], dict[str, float]] | None = None,
) -> dict[str, Any]:
    """Train what the run's config says, resumed where it stopped, then evaluate and write its results.

    variant: what the run is called by in tracking. evaluate: the trained task and the tracker (for pictures)
    -> what `results.json` holds besides status and training. validate: the task -> metrics on the validation
    split, every `trainer.validate_every` epochs. Returns the results.
    """
    config = run.config
    trainer: TrainerOptions = build(config["trainer"])
    with tracker_of(
        logger, run.directory, config=config, variant=variant, study=study, job_type=job_type
    ) as tracker:
        task, facts = new_task(config, benchmark, seed=config["seed"])
        if teachers:
            teach(task, teachers, config)
        loader = task.loader(
            benchmark, batch_size=trainer.batch_size, seed=config["seed"], workers=trainer.workers
        )
        loop = TrainingLoop(
            task,
            loader,
            trainer,
            run=run,
            tracker=tracker,
            seed=config["seed"],
            device=device,
            validate=(lambda: validate(task)) if validate else None,
            facts=facts.plain() | {"data": benchmark.train_fingerprint},
        )
        results = {"status": "ok", "training": loop.train()} | (evaluate(task, tracker) if evaluate else {})
        distributed.on_first_rank(lambda: run.finish(results))
        tracker.summary(summary_of(results))
        tracker.checkpoint(run.directory / LAST)
    return results
