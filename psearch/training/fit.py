"""One training, student or teacher: from a claimed run directory to trained weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from psearch.distill.distillation import Distillation
from psearch.distill.teacher import Teacher
from psearch.training.build import build
from psearch.training.recipe import new_task
from psearch.training.run import Run
from psearch.training.task import NetworkTask
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
    name: str,
    teachers: Sequence[Teacher] = (),
    evaluate: Callable[[NetworkTask], dict[str, Any]] | None = None,
    validate: Callable[[NetworkTask], dict[str, float]] | None = None,
    tags: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Train what the run's config says, resumed where it stopped, then evaluate and write its results.

    evaluate: the trained task -> what `results.json` holds besides status and training. validate: the task ->
    metrics on the validation split, every `trainer.validate_every` epochs. Returns the results.
    """
    config = run.config
    trainer: Trainer = build(config["trainer"])
    tracker = logger(
        directory=run.directory, config=config, study=study, name=name, tags=list(tags), job_type=job_type
    )
    with tracker:
        task, facts = new_task(config, benchmark, seed=config["seed"])
        if teachers:
            terms = {key: build(node) for key, node in config["distill"].items()}
            task.learn_from(Distillation(teachers, terms, student=task.network))
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
            facts=facts.plain() | {"data": benchmark.fingerprint},
        )
        results = {"status": "ok", "training": training} | (evaluate(task) if evaluate else {})
        run.finish(results)
        tracker.summary(_flat(results))
    return results


def _flat(results: dict[str, Any]) -> dict[str, float | str]:
    """Numbers of the results under names like `test/mAP` and `cost/parameters`."""
    named = {
        "test": results.get("metrics", {}),
        "cost": results.get("cost", {}),
        "training": results["training"],
    }
    return {
        f"{room}/{key}": value
        for room, values in named.items()
        for key, value in values.items()
        if isinstance(value, int | float | str)
    }
