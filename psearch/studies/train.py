"""One run of a study: find or train its teachers, train the student, evaluate it, write the record."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from psearch import distributed
from psearch.build import build
from psearch.data.fingerprints import Fingerprints
from psearch.distill.teacher import Teacher
from psearch.engine.process_group import join
from psearch.evaluation.detections_file import DETECTIONS, write_detections
from psearch.evaluation.result import RANKING, Evaluation, write_ranking
from psearch.identity import job_name
from psearch.records import RunRecord
from psearch.runs import places
from psearch.runs.config import RunConfig
from psearch.runs.directory import Run, acquire
from psearch.runs.labels import summary
from psearch.studies.assembly import check_compatibility
from psearch.studies.fit import Training, Workplace, read_data, training
from psearch.studies.ingredients import outdated, run_code
from psearch.studies.measurement import EvaluationSetup, agreement, device_named, measure, origin, short
from psearch.studies.pictures import example_searches, ranked_searches
from psearch.studies.teachers import TeacherRun, obtain
from psearch.tasks.task import NetworkTask
from psearch.tracking.tracker import Tracker
from psearch.types import Split

log = logging.getLogger(__name__)


def run(config: RunConfig, variant: Mapping[str, Any]) -> float | None:
    """Do one run, or what is left of it, in its own directory; returns search mAP (or the re-ID upper bound).

    variant: the choices made in each group. With `stage: teacher` only the teachers are made ready. Raises
    ValueError for what a user can mend.
    """
    workplace = prepare(config)
    benchmark = workplace.benchmark
    data = Fingerprints(benchmark.fingerprint, benchmark.train_fingerprint)
    if config.terms and config.teachers and not config.only_teachers:
        check_compatibility(config, benchmark)
    if config.only_teachers:
        obtain(config, workplace)
        return None
    name = job_name(variant, config.plain, data.whole)
    directory = places.run_directory(config.outputs, config.study, name, config.directory)
    with acquire(directory, dict(config.plain)) as claimed:
        record = _still_good(claimed, config, data)
        if record is None:
            teachers = obtain(config, workplace) if config.terms else []
            student = _Student(config, variant, workplace, teachers)
            with training(claimed, config, workplace, **student.options) as ready:
                record = ready.finish(ready.loop.train(), student.measure(ready))
    log.info("%s: %s", short(directory), summary(record.to_json()))
    return float(record.metrics.get("mAP", record.metrics["gt_mAP"]))


def _still_good(run: Run, config: RunConfig, data: Fingerprints) -> RunRecord | None:
    """The record of a run that is finished and need not be done again. ValueError if it is of other data."""
    record = run.record
    if record is None:
        return None
    measured = record.protocol.get("fingerprint")
    if measured not in (None, data.whole):
        raise ValueError(
            f"{run.directory} holds a run on other data ({measured}, now {data.whole}): choose another "
            "directory="
        )
    others = " and ".join(outdated(record, config, data))
    if others and config.rerun == "stale":
        place = distributed.on_first_rank(run.set_aside)
        log.warning("made again, since it was made with other %s; what was there is in %s", others, place)
        return None
    hint = f" with other {others} (rerun=stale makes it again)" if others else ""
    log.info("done already%s", hint)
    return record


def prepare(config: RunConfig) -> Workplace:
    """Meet the other ranks, choose the device, and read the data: the first rank renders or caches it, the
    others find it ready."""
    timeout_s = config.trainer.get("rank_timeout_s", distributed.TIMEOUT_S)
    join(gpu=config.device != "cpu" and torch.cuda.is_available(), timeout_s=timeout_s)
    torch.set_num_threads(config.trainer.get("threads") or torch.get_num_threads())
    device = device_named(config.device)
    logger = build(config.logger)
    return Workplace(read_data(config.data), device, logger)


class _Student:
    """What is particular to training and measuring a student of a study."""

    def __init__(
        self,
        config: RunConfig,
        variant: Mapping[str, Any],
        workplace: Workplace,
        teachers: Sequence[TeacherRun],
    ) -> None:
        workers = config.trainer.get("workers", 0)
        self.config, self.variant, self.runs = config, variant, teachers
        self.setup = EvaluationSetup.of(
            workplace.benchmark, config.evaluation, device=workplace.device, workers=workers
        )
        self.validation = self.setup.validation()
        self.teachers: list[Teacher] = [t.load(workplace.benchmark, workplace.device) for t in teachers]

    @property
    def options(self) -> dict[str, Any]:
        """What `psearch.studies.fit.training` takes for it."""
        return {
            "study": self.config.study,
            "job_type": "student",
            "variant": self.variant,
            "teachers": self.teachers,
            "terms": self.config.terms,
            "validate": self._validate if self.validation is not None else None,
        }

    def _validate(self, task: NetworkTask) -> dict[str, float]:
        assert self.validation is not None
        return self.validation.network(task.network).metrics | agreement(task, self.validation)

    def measure(self, trained: Training) -> dict[str, Any]:
        """Evaluate the trained student, keep what it found, and tell its part of `results.json`."""
        evaluation, measured = measure(trained.task, self.setup)
        directory, tracker = trained.run.directory, trained.tracker
        distributed.on_first_rank(lambda: _keep(evaluation, self.setup.split, directory, tracker))
        home = self.config.outputs
        known = [
            {
                "name": run.name,
                "directory": places.recorded(run.directory, home),
                "fingerprint": teacher.fingerprint,
            }
            for run, teacher in zip(self.runs, self.teachers, strict=True)
        ]
        facts: dict[str, Any] = {"role": "student", "variant": dict(self.variant), "teachers": known}
        fingerprint = self.setup.benchmark.fingerprint
        origin_ = origin(self.config.plain, data=fingerprint, code=run_code(self.config))
        return facts | measured | origin_


def _keep(evaluation: Evaluation, split: Split, directory: Path, tracker: Tracker) -> None:
    """What was found, what the queries were answered with, and pictures of some searches."""
    write_detections(directory / DETECTIONS, split.scenes, evaluation.detections, evaluation.query_embeddings)
    write_ranking(directory / RANKING, evaluation.result.ranking)
    found = ranked_searches(evaluation.result.ranking, split)
    tracker.images("searches", example_searches(found, split, directory / "searches"))
