"""One training, student or teacher: from a claimed run directory to trained weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from psearch import ranks
from psearch.distill.teacher import Teacher
from psearch.tracking.tracker import Tracker
from psearch.training.build import build
from psearch.training.checkpoint import LAST
from psearch.training.recipe import new_task
from psearch.training.run import Run
from psearch.training.task import NetworkTask
from psearch.training.teaching import teach
from psearch.training.tracked import summary_of, tracker_of
from psearch.training.trainer import Trainer
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
    trainer: Trainer = build(config["trainer"])
    with tracker_of(
        logger, run.directory, config=config, variant=variant, study=study, job_type=job_type
    ) as tracker:
        task, facts = new_task(config, benchmark, seed=config["seed"])
        if teachers:
            teach(task, teachers, config)
        loader = task.loader(
            benchmark, batch_size=trainer.batch_size, seed=config["seed"], workers=trainer.workers
        )
        training = trainer.fit(
            task,
            loader,
            run=run,
            tracker=tracker,
            seed=config["seed"],
            device=device,
            validate=(lambda: validate(task)) if validate else None,
            facts=facts.plain() | {"data": benchmark.train_fingerprint},
        )
        results = {"status": "ok", "training": training} | (evaluate(task, tracker) if evaluate else {})
        ranks.by_first(lambda: run.finish(results))
        tracker.summary(summary_of(results))
        tracker.checkpoint(run.directory / LAST)
    return results
