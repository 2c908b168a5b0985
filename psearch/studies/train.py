"""One run of a study: find or train its teachers, train the student, evaluate it, write the record."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from psearch import distributed
from psearch.build import build
from psearch.engine.process_group import join
from psearch.evaluation.detections_file import DETECTIONS, write_detections
from psearch.evaluation.result import RANKING, Evaluation, write_ranking
from psearch.identity import job_name
from psearch.runs import places
from psearch.runs.directory import Run, acquire
from psearch.runs.labels import summary
from psearch.studies.assembly import rehearse
from psearch.studies.fit import fit
from psearch.studies.measurement import Yardstick, agreement, device_named, measure, origin, short
from psearch.studies.pictures import example_searches, ranked_searches
from psearch.studies.teachers import TeacherRun, obtain
from psearch.tasks.task import NetworkTask
from psearch.tracking.tracker import Tracker
from psearch.types import Benchmark, Split

log = logging.getLogger(__name__)


def run(config: dict[str, Any], variant: Mapping[str, Any]) -> float | None:
    """Do one run, or what is left of it, in its own directory; returns search mAP (or the re-ID upper bound).

    config: resolved and plain. variant: the choices made in each group. With `stage: teacher` only the
    teachers are made ready. Raises ValueError for what a user can mend.
    """
    timeout_s = config["trainer"].get("rank_timeout_s", distributed.TIMEOUT_S)
    join(gpu=config["device"] != "cpu" and torch.cuda.is_available(), timeout_s=timeout_s)
    torch.set_num_threads(config["trainer"].get("threads") or torch.get_num_threads())
    device = device_named(config["device"])
    logger = build(config["logger"])
    wants_teacher = bool(config["distill"]) or config["stage"] == "teacher"
    distributed.on_first_rank(
        lambda: build(config["data"]) and None
    )  # renders or reads what all find ready then
    benchmark: Benchmark = build(config["data"])
    if config["distill"] and config["teacher"] and config["stage"] != "teacher":
        rehearse(config, benchmark)
    outputs = places.outputs(config.get("outputs"))
    home = places.teachers_directory(outputs)
    teachers = obtain(config, benchmark, device=device, logger=logger, home=home) if wants_teacher else []
    if config["stage"] == "teacher":
        return None
    name = job_name(variant, config)
    directory = places.run_directory(outputs, config["study"], name, config["directory"])
    with acquire(directory, config) as claimed:
        if claimed.finished:
            log.info("done already")
            results = claimed.results or {}
        else:
            results = _train(claimed, variant, benchmark, teachers, device=device, logger=logger)
    metrics = results["metrics"]
    log.info("%s: %s", short(directory), summary(results))
    return float(metrics.get("mAP", metrics["gt_mAP"]))


def _train(
    claimed: Run,
    variant: Mapping[str, Any],
    benchmark: Benchmark,
    teachers: Sequence[TeacherRun],
    *,
    device: torch.device,
    logger: Any,
) -> dict[str, Any]:
    config = claimed.config
    workers = config["trainer"]["workers"]
    outputs = places.outputs(config.get("outputs"))
    yardstick = Yardstick.of(benchmark, config["evaluation"], device=device, workers=workers)
    validation = yardstick.validation()
    loaded = [teacher.load(benchmark, device) for teacher in teachers]

    def evaluate(task: NetworkTask, tracker: Tracker) -> dict[str, Any]:
        evaluation, measured = measure(task, yardstick)
        distributed.on_first_rank(lambda: _keep(evaluation, yardstick.split, claimed.directory, tracker))
        known = [
            {
                "name": run.name,
                "directory": places.recorded(run.directory, outputs),
                "fingerprint": teacher.fingerprint,
            }
            for run, teacher in zip(teachers, loaded, strict=True)
        ]
        return {"role": "student", "variant": dict(variant), "teachers": known} | measured | origin(config)

    def validate(task: NetworkTask) -> dict[str, float]:
        assert validation is not None
        return validation.network(task.network).metrics | agreement(task, validation)

    return fit(
        claimed,
        benchmark,
        device=device,
        logger=logger,
        study=config["study"],
        job_type="student",
        variant=variant,
        teachers=loaded,
        evaluate=evaluate,
        validate=validate if validation is not None else None,
    )


def _keep(evaluation: Evaluation, split: Split, directory: Path, tracker: Tracker) -> None:
    """What was found, what the queries were answered with, and pictures of some searches."""
    write_detections(directory / DETECTIONS, split.scenes, evaluation.detections, evaluation.query_embeddings)
    write_ranking(directory / RANKING, evaluation.result.ranking)
    found = ranked_searches(evaluation.result.ranking, split)
    tracker.images("searches", example_searches(found, split, directory / "searches"))
